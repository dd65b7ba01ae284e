"""What a training says, stored under its token: an epoch said twice is one epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from imgq_db.errors import LeaseLost
from imgq_db.failpoints import failpoint
from imgq_db.training.leases import FENCE, TrainingLease

#: Lines of a training's log that are kept, the newest ones.
LOG_LINES = 2_000
#: Old lines are looked for at every so many lines.
LOG_TRIM_LINES = 100
LOG_LINE_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Scanned:
    """The dataset is known. labels: pictures of each."""

    images: int
    labels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StageBegan:
    stage: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The trainer is at it. done: pictures of this stage, or of its epoch; total: None if it is
    not known yet."""

    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """run: which of the stage's runs, from 1; each has a seed or a network of its own, and counts
    its epochs from 1. Losses and scores are None where they are no numbers."""

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
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """A checkpoint that is whole on the disk. path: relative to the attempt's folder."""

    path: Path
    sha256: str
    stage: str
    run: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the log. level: info, warning, or output for what was no event."""

    level: str
    message: str


TrainingEvent = Scanned | StageBegan | Progressed | EpochEnded | CheckpointWritten | Said

_TAKE_NUMBERS = f"""
UPDATE training SET events = events + :count, heard_at = imgq_now() WHERE {FENCE}
RETURNING events - :count AS before
"""
_SCANNED = "UPDATE training SET images = :images WHERE job_id = :job_id"
_STAGE = """
UPDATE training SET stage = :stage, run = NULL, runs = NULL, epoch = NULL, epochs = NULL,
    done = NULL, total = NULL, train_loss = NULL, val_loss = NULL, macro_f1 = NULL,
    eta_seconds = NULL WHERE job_id = :job_id
"""
_PROGRESS = "UPDATE training SET done = :done, total = :total WHERE job_id = :job_id"
_EPOCH_ROW = """
INSERT INTO training_epoch (job_id, stage, run, runs, epoch, epochs, token, seq, train_loss,
    val_loss, macro_f1, learning_rate, images_per_second)
VALUES (:job_id, :stage, :run, :runs, :epoch, :epochs, :token, :seq, :train_loss, :val_loss,
    :macro_f1, :learning_rate, :images_per_second)
ON CONFLICT (job_id, stage, run, epoch) DO UPDATE SET runs = excluded.runs,
    epochs = excluded.epochs, token = excluded.token, seq = excluded.seq,
    train_loss = excluded.train_loss, val_loss = excluded.val_loss, macro_f1 = excluded.macro_f1,
    learning_rate = excluded.learning_rate, images_per_second = excluded.images_per_second,
    ended_at = excluded.ended_at
"""
# A run that began once more, at a lower learning rate, may end sooner than it did before.
_FORGET_LATER = """
DELETE FROM training_epoch
WHERE job_id = :job_id AND stage = :stage AND run = :run AND epoch > :epoch
"""
# Of all the time the job takes, as far as that is known; a bar never goes back.
_EPOCH_PROGRESS = """
UPDATE training t SET stage = :stage, run = :run, runs = :runs, epoch = :epoch, epochs = :epochs,
    done = NULL, total = NULL,
    train_loss = :train_loss, val_loss = :val_loss, macro_f1 = :macro_f1,
    eta_seconds = CAST(:eta_seconds AS real),
    fraction = greatest(t.fraction, least(1, coalesce(
        CAST(extract(epoch FROM imgq_now() - j.started_at) AS real) / nullif(
            CAST(extract(epoch FROM imgq_now() - j.started_at) AS real)
            + CAST(:eta_seconds AS real), 0),
        CAST(:epoch AS real) / :epochs)))
FROM job j WHERE t.job_id = :job_id AND j.id = t.job_id
"""
_CHECKPOINT = """
INSERT INTO checkpoint (job_id, path, sha256, stage, run, epoch, token, seq)
VALUES (:job_id, :path, :sha256, :stage, :run, :epoch, :token, :seq)
ON CONFLICT (job_id, path) DO UPDATE SET sha256 = excluded.sha256, stage = excluded.stage,
    run = excluded.run, epoch = excluded.epoch, token = excluded.token, seq = excluded.seq,
    written_at = excluded.written_at
"""
_PROGRESSED = "UPDATE training SET idle_attempts = 0 WHERE job_id = :job_id"
_LOG = """
INSERT INTO training_log (job_id, seq, level, message) VALUES (:job_id, :seq, :level, :message)
"""
_TRIM_LOG = """
DELETE FROM training_log WHERE job_id = :job_id AND seq <= (
    SELECT seq FROM training_log WHERE job_id = :job_id ORDER BY seq DESC OFFSET :kept LIMIT 1)
"""


def store_events(engine: Engine, lease: TrainingLease, events: Sequence[TrainingEvent]) -> None:
    """Store events in their order, in one transaction. Raises LeaseLost, and stores nothing.

    Sent again after a commit whose answer was lost, they change nothing but the log.
    """
    with engine.begin() as connection:
        keys = {**lease.fence, "count": len(events)}
        before = connection.execute(text(_TAKE_NUMBERS), keys).scalar()
        if before is None:
            raise LeaseLost(f"the training of job {lease.job_uid}")
        for seq, event in enumerate(events, before + 1):
            _store(connection, {**lease.fence, "seq": seq}, event)


def _store(connection: Connection, keys: dict[str, Any], event: TrainingEvent) -> None:
    match event:
        case Scanned():
            connection.execute(text(_SCANNED), {**keys, "images": event.images})
        case StageBegan():
            connection.execute(text(_STAGE), {**keys, "stage": event.stage})
        case Progressed():
            connection.execute(text(_PROGRESS), {**keys, **asdict(event)})
        case EpochEnded():
            values = {**keys, **asdict(event)}
            connection.execute(text(_EPOCH_ROW), values)
            connection.execute(text(_FORGET_LATER), values)
            connection.execute(text(_EPOCH_PROGRESS), values)
        case CheckpointWritten():
            failpoint("checkpoint.before_row", str(event.path))
            connection.execute(
                text(_CHECKPOINT), {**keys, **asdict(event), "path": str(event.path)}
            )
            connection.execute(text(_PROGRESSED), keys)
        case Said():
            message = event.message.replace("\0", "\N{REPLACEMENT CHARACTER}")
            kept = message[:LOG_LINE_CHARACTERS]
            connection.execute(text(_LOG), {**keys, "level": event.level, "message": kept})
            if keys["seq"] % LOG_TRIM_LINES == 0:
                connection.execute(text(_TRIM_LOG), {**keys, "kept": LOG_LINES})
