"""What a training says while it runs: one JSON object a line."""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TextIO

from imgq_trainer.errors import TrainerError

#: progress is told at most so often; whoever listens may take minutes of silence for a standstill
PROGRESS_SECONDS = 2.0


class Stage(StrEnum):
    SCAN = "scan"
    PROBE = "probe"
    FINETUNE = "finetune"
    SCRATCH = "scratch"
    REFIT = "refit"
    CALIBRATE = "calibrate"
    EVALUATE = "evaluate"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training pictures. run: which of the stage's courses, from 1; epoch: from
    1 in each. val_loss, macro_f1: None without any validation pictures. eta_seconds: about,
    until all networks are trained."""

    stage: str
    run: int
    runs: int
    epoch: int
    epochs: int
    train_loss: float
    val_loss: float | None
    macro_f1: float | None
    learning_rate: float
    images_per_second: float
    eta_seconds: float


class Events:
    """Writes events to a stream, each at once and whole, from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._progress_at = time.monotonic()

    def scanned(self, labels: Mapping[str, int], notes: Sequence[str]) -> None:
        self._say("scanned", images=sum(labels.values()), labels=dict(labels), notes=list(notes))

    def stage(self, stage: Stage) -> None:
        self._progress_at = time.monotonic()
        self._say("stage", stage=stage)

    def progress(self, done: int, total: int | None) -> None:
        """Tell how many pictures of this stage, or of its epoch, are behind; not at each call."""
        now = time.monotonic()
        if now - self._progress_at >= PROGRESS_SECONDS:
            self._progress_at = now
            self._say("progress", done=done, total=total)

    def epoch(self, epoch: Epoch) -> None:
        self._say("epoch", **asdict(epoch))

    def checkpoint(self, path: Path, sha256: str, *, stage: str, run: int, epoch: int) -> None:
        where = {"stage": stage, "run": run, "epoch": epoch}
        self._say("checkpoint", path=str(path), sha256=sha256, **where)

    def log(self, message: str, level: Literal["info", "warning"] = "info") -> None:
        self._say("log", level=level, message=message)

    def done(self, **content: object) -> None:
        self._say("done", **content)

    def failed(self, error: TrainerError) -> None:
        """Say why it ends. Errors of other rooms than training have no title and hint of their
        own, so their class is the title."""
        name = type(error).__name__
        spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
        self._say(
            "failed",
            slug=spaced.replace(" ", "-"),
            title=getattr(error, "title", spaced.capitalize()),
            detail=str(error),
            hint=getattr(error, "hint", None),
        )

    def _say(self, event: str, **content: Any) -> None:
        line = json.dumps({"event": event, **content}, allow_nan=False)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()
