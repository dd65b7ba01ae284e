"""How far a train job is: the snapshot that polling reads, its epochs, and what it said."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

#: Columns of `training t` for `progress_from_row`, each behind a prefix of its own.
PROGRESS_COLUMNS = """t.images AS training_images, t.stage AS training_stage,
t.done AS training_done, t.total AS training_total, t.run AS training_run, t.runs AS training_runs,
t.epoch AS training_epoch, t.epochs AS training_epochs, t.fraction AS training_fraction,
t.eta_seconds AS training_eta_seconds, t.train_loss AS training_train_loss,
t.val_loss AS training_val_loss, t.macro_f1 AS training_macro_f1,
t.report IS NOT NULL AS training_reported"""
#: Most lines of a log that one call returns.
LOG_PAGE = 500
#: Of a job that has not succeeded never more is done, however little is left.
MOST_DONE = 0.99


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far a train or evaluate job is. None: not known yet.

    done, total: pictures in this stage, or in its epoch. run: which of the stage's runs the last
    epoch was in. epoch: the last one that ended, of `epochs` in this run. fraction: 0..1 of the
    whole job. reported: there is a report.
    """

    images: int | None = None
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    run: int | None = None
    runs: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    fraction: float | None = None
    eta_seconds: float | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    macro_f1: float | None = None
    reported: bool = False


@dataclass(frozen=True, slots=True)
class TrainingEpoch:
    """One epoch of one run of a stage, counted once however often it was begun."""

    stage: str
    run: int
    runs: int
    epoch: int
    epochs: int
    train_loss: float | None
    val_loss: float | None
    macro_f1: float | None
    learning_rate: float | None
    images_per_second: float | None
    ended_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a training's log. level: info, warning, or output for what was no event."""

    seq: int
    level: str
    message: str
    said_at: datetime.datetime


def progress_from_row(row: Any, *, running: bool, succeeded: bool) -> TrainingProgress:
    """Build the value from a row with PROGRESS_COLUMNS. running, succeeded: the job's state."""
    return TrainingProgress(
        images=row.training_images,
        stage=row.training_stage,
        done=row.training_done,
        total=row.training_total,
        run=row.training_run,
        runs=row.training_runs,
        epoch=row.training_epoch,
        epochs=row.training_epochs,
        fraction=1.0 if succeeded else _unfinished(row.training_fraction),
        eta_seconds=row.training_eta_seconds if running else None,
        train_loss=row.training_train_loss,
        val_loss=row.training_val_loss,
        macro_f1=row.training_macro_f1,
        reported=row.training_reported,
    )


def _unfinished(fraction: float | None) -> float | None:
    return None if fraction is None else min(fraction, MOST_DONE)


def list_epochs(engine: Engine, job_id: int) -> tuple[TrainingEpoch, ...]:
    """Return a job's epochs in the order they ended."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT stage, run, runs, epoch, epochs, train_loss, val_loss, macro_f1,"
                " learning_rate, images_per_second, ended_at FROM training_epoch"
                " WHERE job_id = :id ORDER BY seq, stage, run, epoch"
            ),
            {"id": job_id},
        )
        return tuple(TrainingEpoch(*row) for row in rows)


def list_training_log(
    engine: Engine, job_id: int, *, after: int = 0, limit: int = LOG_PAGE
) -> Sequence[LogLine]:
    """Return lines of a job's log, oldest first. after: the last seq seen, 0 at the start."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT seq, level, message, said_at FROM training_log"
                " WHERE job_id = :id AND seq > :after ORDER BY seq LIMIT :limit"
            ),
            {"id": job_id, "after": after, "limit": min(limit, LOG_PAGE)},
        )
        return tuple(LogLine(*row) for row in rows)
