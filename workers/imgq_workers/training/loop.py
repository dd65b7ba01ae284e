"""A supervisor's loop: claim a training, see it to its end, and again."""

import structlog
from sqlalchemy.exc import DBAPIError

from imgq_db.training.leases import claim_training
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
    except DBAPIError as error:
        _log.error("database_lost", error=str(error.orig).strip())
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
    if lease is not None:
        supervise(context, lease, device)
    return lease is not None
