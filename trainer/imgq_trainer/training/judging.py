"""The end of a training or an evaluation: figures on pictures never learned from, and a report."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from imgq_trainer.artifacts import Artifact
from imgq_trainer.datasets.snapshots import FINDINGS_FILE
from imgq_trainer.datasets.values import Dataset, Example, Split
from imgq_trainer.evaluating.evaluation import Known, evaluate
from imgq_trainer.evaluating.scored import Scored
from imgq_trainer.evaluating.values import Evaluation
from imgq_trainer.reporting.values import EpochRow, ReportData
from imgq_trainer.reporting.writing import write_report
from imgq_trainer.training.events import Events
from imgq_trainer.training.explaining import mistakes, overlays
from imgq_trainer.training.scoring import Judge

#: whose versions a result may depend on
PACKAGES = ("imgq", "torch", "timm", "openvino", "numpy", "pillow", "simplejpeg")


@dataclass(frozen=True, slots=True)
class Told:
    """What a report says besides the figures."""

    title: str
    model: str
    settings: Mapping[str, JsonValue]
    notes: Sequence[str] = ()
    history: Sequence[Mapping[str, Any]] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    evaluation: Evaluation
    report: Path


def judge_model(
    judge: Judge,
    artifact: Artifact,
    dataset: Dataset,
    told: Told,
    folder: Path,
    *,
    majority: int,
    probe: Scored | None,
    scored: Scored,
    seed: int,
    tested_on: str,
    known: Known,
    chosen_on: int | None,
) -> Verdict:
    """Evaluate a model's scores, and write the report to folder / "report".

    folder: its "dataset" holds the dataset. Raises NothingToEvaluate, ScoresNotFinite.
    """
    evaluation = evaluate(
        scored,
        temperature=artifact.model.temperature,
        majority=majority,
        probe=probe,
        seed=seed,
        tested_on=tested_on,
        learned=known,
        chosen_on=chosen_on,
    )
    examples = examples_of(dataset, Split.TEST)
    report = ReportData(
        title=told.title,
        model=told.model,
        evaluation=evaluation,
        epochs=tuple(EpochRow(**row) for row in told.history),
        findings=json.loads((folder / "dataset" / FINDINGS_FILE).read_bytes()),
        settings=told.settings,
        versions=versions(),
        digests={"dataset": dataset.digest, "test split": dataset.test_digest, **told.digests},
        notes=tuple(told.notes),
        mistakes=tuple(mistakes(judge, examples, scored, artifact.model.temperature)),
        overlays=tuple(overlays(judge, artifact, examples, scored)),
    )
    write_report(folder / "report", report)
    return Verdict(evaluation, folder / "report")


def metrics_of(evaluation: Evaluation) -> dict[str, JsonValue]:
    """Return the figures that a version is listed with."""
    figures, learned = evaluation.figures, evaluation.learned
    seen: dict[str, JsonValue] = {}
    if learned is not None and learned.pictures:
        seen = {"learned_pictures": learned.pictures}
        if learned.others is not None:
            seen |= {"accuracy_of_others": learned.others.accuracy}
    low, high = evaluation.intervals.macro_f1
    if low < high:  # or else all draws of pictures that are all right, which is no knowledge
        seen["macro_f1_interval"] = [low, high]
    return {
        "pictures": evaluation.pictures,
        "accuracy": figures.accuracy,
        "accuracy_interval": list(evaluation.intervals.accuracy_widest),
        "balanced_accuracy": figures.balanced_accuracy,
        "macro_f1": figures.macro_f1,
        "ece": evaluation.calibration.after.ece,
        "standing": evaluation.standing,
        **seen,
    }


def examples_of(dataset: Dataset, split: Split) -> tuple[Example, ...]:
    return tuple(example for example in dataset.examples if example.split is split)


def versions() -> dict[str, str]:
    """Return the versions of what a result may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def say_scanned(events: Events, dataset: Dataset) -> None:
    sizes = [sum(counts) for counts in dataset.findings.counts]
    events.scanned(dict(zip(dataset.labels, sizes, strict=True)), dataset.findings.notes)


def say_done(
    events: Events, artifact: Artifact, verdict: Verdict, dataset: Dataset, work_dir: Path
) -> None:
    events.done(
        artifact=str(artifact.folder),
        report=str(verdict.report),
        dataset=str(work_dir / "dataset"),
        dataset_digest=dataset.digest,
        metrics=metrics_of(verdict.evaluation),
        verdict=list(verdict.evaluation.verdict),
    )
