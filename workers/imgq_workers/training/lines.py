"""What a trainer's line of output means: an event for the database, its end, or just words."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgq_db.jobs import JobError
from imgq_db.training.events import (
    CheckpointWritten,
    EpochEnded,
    Progressed,
    Said,
    Scanned,
    StageBegan,
    TrainingEvent,
)


@dataclass(frozen=True, slots=True)
class Done:
    """The trainer says that its work is complete. Folders are absolute; dataset may be missing.

    decision: of a comparison, which leaves no folder: passed, reasons and counts. export: a folder.
    """

    artifact: Path | None
    report: Path | None
    dataset: Path | None
    metrics: dict[str, Any]
    verdict: tuple[str, ...]
    decision: dict[str, Any] | None = None
    export: Path | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The trainer says why it cannot go on."""

    error: JobError


Heard = TrainingEvent | Done | Failed
_LOSSES = (
    "train_loss",
    "val_loss",
    "macro_f1",
    "learning_rate",
    "images_per_second",
    "eta_seconds",
)


def understand(line: bytes, work_dir: Path) -> list[Heard]:
    """Return what a line says; what is no event of ours is kept as output.

    work_dir: checkpoints are below it, and are named relative to it.
    """
    try:
        said = json.loads(line)
        return _EVENTS[said["event"]](said, work_dir)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = line.decode("utf-8", "replace").strip()
        return [Said("output", text)] if text else []


def _scanned(said: Mapping[str, Any], _: Path) -> list[Heard]:
    notes = [Said("info", str(note)) for note in said.get("notes", ())]
    labels = {str(label): int(count) for label, count in said["labels"].items()}
    return [Scanned(int(said["images"]), labels), *notes]


def _stage(said: Mapping[str, Any], _: Path) -> list[Heard]:
    return [StageBegan(str(said["stage"]))]


def _progress(said: Mapping[str, Any], _: Path) -> list[Heard]:
    total = said["total"]
    return [Progressed(int(said["done"]), None if total is None else int(total))]


def _epoch(said: Mapping[str, Any], _: Path) -> list[Heard]:
    numbers = {name: _finite(said.get(name)) for name in _LOSSES}
    epochs, runs = max(int(said["epochs"]), 1), max(int(said["runs"]), 1)
    run, epoch = int(said["run"]), int(said["epoch"])
    return [EpochEnded(str(said["stage"]), run, runs, epoch, epochs, **numbers)]


def _checkpoint(said: Mapping[str, Any], work_dir: Path) -> list[Heard]:
    path, stage = Path(said["path"]).relative_to(work_dir), str(said["stage"])
    run, epoch = int(said["run"]), int(said["epoch"])
    return [CheckpointWritten(path, str(said["sha256"]), stage, run, epoch)]


def _log(said: Mapping[str, Any], _: Path) -> list[Heard]:
    level = "warning" if said.get("level") == "warning" else "info"
    return [Said(level, str(said["message"]))]


def _done(said: Mapping[str, Any], _: Path) -> list[Heard]:
    if "decision" in said:
        return [Done(None, None, None, plain(said["metrics"]), (), _decision(said["decision"]))]
    if "export" in said:
        return [Done(None, None, None, plain(said["metrics"]), (), export=Path(said["export"]))]
    verdict = said["verdict"]
    artifact, dataset = said.get("artifact"), said.get("dataset")
    return [
        Done(
            artifact=Path(artifact) if artifact else None,
            report=Path(said["report"]),
            dataset=Path(dataset) if dataset else None,
            metrics=plain(said["metrics"]),
            verdict=(verdict,) if isinstance(verdict, str) else tuple(map(str, verdict)),
        )
    ]


def _decision(said: Mapping[str, Any]) -> dict[str, Any]:
    reasons = [plain(str(reason)) for reason in said["reasons"]]
    return {
        "passed": bool(said["passed"]),
        "reasons": reasons,
        "counts": plain(dict(said["counts"])),
    }


def _failed(said: Mapping[str, Any], _: Path) -> list[Heard]:
    hint = said.get("hint")
    error = JobError(str(said["slug"]), str(said["title"]), str(said["detail"]), hint and str(hint))
    return [Failed(error)]


_EVENTS = {
    "scanned": _scanned,
    "stage": _stage,
    "progress": _progress,
    "epoch": _epoch,
    "checkpoint": _checkpoint,
    "log": _log,
    "done": _done,
    "failed": _failed,
}


def plain(value: Any) -> Any:
    """Return a JSON value without what Postgres cannot hold: NaN, infinities, NUL."""
    if isinstance(value, dict):
        return {plain(str(name)): plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return _finite(value) if isinstance(value, float) else value


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
