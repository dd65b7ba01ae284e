"""How the values of trainings become the bodies that clients read."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from imgq_api.train_replies import (
    EpochBody,
    EpochsBody,
    LogBody,
    LogLineBody,
    TrainProgress,
    TrainResult,
)
from imgq_db.pages import write_cursor
from imgq_db.training.progress import LogLine, TrainingEpoch, TrainingProgress


def train_progress(progress: TrainingProgress) -> TrainProgress:
    """Return how far a training is, as clients read it."""
    return TrainProgress(**asdict(progress))


def train_result(result: dict[str, Any]) -> TrainResult:
    """Return what a job came to, as clients read it."""
    return TrainResult(**result)


def epochs_body(epochs: Sequence[TrainingEpoch]) -> EpochsBody:
    """Return all epochs as one page."""
    return EpochsBody(items=[EpochBody(**asdict(epoch)) for epoch in epochs], next_cursor=None)


def log_body(lines: Sequence[LogLine], *, after: int, more: bool) -> LogBody:
    """Return a page of a log. after: the line before it. more: there may be lines after it."""
    last = lines[-1].seq if lines else after
    items = [
        LogLineBody(level=line.level, message=line.message, said_at=line.said_at) for line in lines
    ]
    return LogBody(items=items, next_cursor=write_cursor(last) if more else None)
