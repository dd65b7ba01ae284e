"""A supervisor's loop: claim a training, see it to its end, and again."""

import structlog
from sqlalchemy.exc import SQLAlchemyError

from imgq_db.train_options import TrainOptions
from imgq_db.training.leases import TrainingLease, claim_training
from imgq_db.training.sweeping import sweep_if_due
from imgq_db.workers import is_draining, set_activity
from imgq_workers.devices import GpusTaken
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.folders import sweep_folders
from imgq_workers.training.supervising import supervise

_log = structlog.get_logger(__name__)


def train(context: TrainerContext) -> int:
    """Train until nothing waits, or this worker is to stop; return how many were claimed.

    A database that goes away ends the loop: the lease expires, and the reconciler rings again.
    """
    claimed = 0
    try:
        sweep_folders(context.engine, context.settings)
        sweep_if_due(context.engine, context.settings)
        while not is_draining(context.engine, context.worker_uid) and _train_one(context):
            claimed += 1
            sweep_folders(context.engine, context.settings)
        set_activity(context.engine, context.worker_uid, job=None)
    except SQLAlchemyError as error:
        _log.error("database_lost", error=str(error).strip())
    finally:
        context.devices.give_back()
    return claimed


def _train_one(context: TrainerContext) -> bool:
    try:
        device = context.devices.take()
    except GpusTaken:
        return False
    lease = claim_training(
        context.engine,
        owner=context.owner,
        roots=context.roots,
        lease_seconds=context.settings.train_lease_seconds,
    )
    if lease is None:
        return False
    try:
        supervise(context, lease, (device, *_more_devices(context, lease)))
    finally:
        context.devices.give_back_more()
    return True


def _more_devices(context: TrainerContext, lease: TrainingLease) -> tuple[str, ...]:
    """Return what the training of a network may have besides one device; all else needs one."""
    most, options = context.settings.train_devices - 1, lease.options
    if most < 1 or not isinstance(options, TrainOptions) or options.preset == "fast":
        return ()
    return context.devices.take_more(most)
