"""Keeping the claim on a training alive, and noticing when to stop."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from imgq_db.training.leases import TrainingLease, holds_training, renew_training
from imgq_db.workers import is_draining
from imgq_workers.training.context import TrainerContext

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingKeeper:
    """lost: the claim went, or the job was cancelled. draining: give it back."""

    lost: threading.Event = field(default_factory=threading.Event)
    draining: threading.Event = field(default_factory=threading.Event)


@contextmanager
def keep_training(context: TrainerContext, lease: TrainingLease) -> Iterator[TrainingKeeper]:
    """Renew a lease in the background for as long as the block runs."""
    keeper, ended = TrainingKeeper(), threading.Event()
    thread = threading.Thread(
        target=_keep, args=(context, lease, keeper, ended), name="trainingkeeper", daemon=True
    )
    thread.start()
    try:
        yield keeper
    finally:
        ended.set()
        thread.join()


def _keep(
    context: TrainerContext,
    lease: TrainingLease,
    keeper: TrainingKeeper,
    ended: threading.Event,
) -> None:
    settings = context.settings
    told_at = renewed_at = time.monotonic()
    while not ended.wait(settings.poll_seconds) and not keeper.lost.is_set():
        now = time.monotonic()
        try:
            if now - renewed_at >= settings.train_beat_seconds:
                held = renew_training(
                    context.engine, lease, lease_seconds=settings.train_lease_seconds
                )
                renewed_at = now
            else:
                held = holds_training(context.engine, lease)
            if is_draining(context.engine, context.worker_uid):
                keeper.draining.set()
            told_at = now
        except SQLAlchemyError as error:
            _log.warning("lease_not_renewed", error=str(error).strip())
            # Somebody else may have it by now: two trainings at once would waste a machine.
            held = now - told_at < settings.train_lease_seconds
        if not held:
            keeper.lost.set()
