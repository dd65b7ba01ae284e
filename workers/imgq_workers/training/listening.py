"""Listening to a trainer until its process is gone: events are stored as they come."""

import time
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from imgq_db.engine import is_outage
from imgq_db.errors import LeaseLost
from imgq_db.train_options import TrainOptions
from imgq_db.training.events import TrainingEvent, store_events
from imgq_db.training.leases import TrainingLease
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.keeper import TrainingKeeper
from imgq_workers.training.lines import Done, Failed, understand
from imgq_workers.training.processes import TrainerProcess

#: What a cancelled training gets to write its best so far, if that was asked for.
KEEP_BEST_SECONDS = 3.0

_log = structlog.get_logger(__name__)


class Stop(Enum):
    """Why a supervisor ends a trainer."""

    LOST = auto()  # the claim went, or the job was cancelled
    DRAINING = auto()  # this worker was asked to stop
    SILENT = auto()  # the trainer has said nothing for too long
    OVER = auto()  # it said done or failed, and does not end


@dataclass(slots=True)
class Heard:
    """What came of listening. ending: None if the trainer said neither done nor failed."""

    ending: Done | Failed | None = None
    stop: Stop | None = None
    unstored: list[TrainingEvent] = field(default_factory=list)
    heard_at: float = field(default_factory=time.monotonic)
    kill_at: float = float("inf")


def listen(
    context: TrainerContext,
    lease: TrainingLease,
    process: TrainerProcess,
    keeper: TrainingKeeper,
    work_dir: Path,
) -> Heard:
    """Return when the trainer's output has ended, and with it all of its processes.

    While the database is away nothing is read, so that the trainer waits and nothing is lost.
    """
    heard, ended = Heard(), False
    while not ended or heard.unstored:
        if heard.unstored:
            _await_store(context, lease, keeper, heard)
        elif not ended:
            lines, ended = process.read_lines(context.settings.poll_seconds)
            for line in lines:
                _take(heard, line, work_dir)
            _store(context, lease, keeper, heard)
        _end_if_wanted(context, lease, process, keeper, heard)
    return heard


def _take(heard: Heard, line: bytes, work_dir: Path) -> None:
    heard.heard_at = time.monotonic()
    for said in understand(line, work_dir):
        if not isinstance(said, Done | Failed):
            heard.unstored.append(said)
        elif heard.ending is None:
            heard.ending = said


def _store(
    context: TrainerContext, lease: TrainingLease, keeper: TrainingKeeper, heard: Heard
) -> None:
    if not heard.unstored:
        return
    try:
        store_events(context.engine, lease, heard.unstored)
    except LeaseLost:
        keeper.lost.set()
    except SQLAlchemyError as error:
        if is_outage(error) and not keeper.lost.is_set():
            _log.warning("events_wait", error=str(error).strip())
            return
        if not is_outage(error):
            raise
    heard.unstored = []


def _await_store(
    context: TrainerContext, lease: TrainingLease, keeper: TrainingKeeper, heard: Heard
) -> None:
    keeper.lost.wait(context.settings.poll_seconds)
    _store(context, lease, keeper, heard)
    heard.heard_at = time.monotonic()  # it was not listened to


def _end_if_wanted(
    context: TrainerContext,
    lease: TrainingLease,
    process: TrainerProcess,
    keeper: TrainingKeeper,
    heard: Heard,
) -> None:
    now = time.monotonic()
    reason = _reason(context, keeper, heard, now)
    worse = reason is Stop.LOST and heard.stop is not Stop.LOST
    if reason is not None and (heard.stop is None or worse):
        _log.info("training_stopped", reason=reason.name.lower())
        heard.stop = reason
        grace = _grace(context, lease, reason)
        heard.kill_at = now + grace
        if grace and reason is not Stop.OVER:
            process.ask_to_stop()
    if now >= heard.kill_at:
        process.kill()


def _reason(
    context: TrainerContext, keeper: TrainingKeeper, heard: Heard, now: float
) -> Stop | None:
    if keeper.lost.is_set():
        return Stop.LOST
    if heard.ending is not None:
        return Stop.OVER
    if keeper.draining.is_set():
        return Stop.DRAINING
    if now - heard.heard_at >= context.settings.train_silence_seconds:
        return Stop.SILENT
    return None


def _grace(context: TrainerContext, lease: TrainingLease, reason: Stop) -> float:
    if reason in (Stop.DRAINING, Stop.OVER):
        return context.settings.train_stop_seconds
    options = lease.options
    keeps = isinstance(options, TrainOptions) and options.keep_best
    return KEEP_BEST_SECONDS if reason is Stop.LOST and keeps else 0.0
