"""A worker's loop: list a little, classify a chunk, and again, for at most some seconds."""

import time

import structlog
from sqlalchemy.exc import DBAPIError

from imgq_db.chunks import claim_chunk
from imgq_db.queue import CLASSIFY
from imgq_db.workers import is_draining, set_activity
from imgq_workers.classifying import classify_chunk
from imgq_workers.context import WorkerContext
from imgq_workers.listing import Lister

_log = structlog.get_logger(__name__)


def work(context: WorkerContext) -> int:
    """Work until nothing waits or the loop's time is over; return the chunks finished.

    The time is bounded so that a worker that is asked to stop can always end in time. A database
    that goes away ends the loop: leases expire, and the reconciler rings again.
    """
    try:
        return _work(context)
    except DBAPIError as error:
        _log.error("database_lost", error=str(error.orig).strip())
        return 0


def _work(context: WorkerContext) -> int:
    ends = time.monotonic() + context.settings.loop_seconds
    lister, finished, more = Lister(context), 0, True
    try:
        while more and not is_draining(context.engine, context.worker_uid):
            if time.monotonic() >= ends:
                context.ring(CLASSIFY)
                break
            listed = lister.turn()
            lease = claim_chunk(
                context.engine,
                owner=context.owner,
                roots=context.roots,
                lease_seconds=context.settings.lease_seconds,
                precisions=context.models.precisions,
            )
            if lease is not None:
                finished += classify_chunk(context, lease)
            more = listed or lease is not None
    finally:
        lister.close()
    set_activity(context.engine, context.worker_uid, job=None)
    return finished
