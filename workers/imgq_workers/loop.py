"""A worker's loop: list a little, classify a chunk, and again, for at most some seconds."""

import sys
import time

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from imgq_db.chunks import ChunkLease, OtherModelNext, claim_chunk
from imgq_db.engine import is_outage
from imgq_db.queue import CLASSIFY
from imgq_trainer.errors import DeviceBroken
from imgq_workers.context import WorkerContext
from imgq_workers.lanes import Lanes
from imgq_workers.listing import Lister

_log = structlog.get_logger(__name__)


def work(context: WorkerContext) -> int:
    """Work until nothing waits or the loop's time is over; return the chunks finished.

    The time is bounded so that a worker that is asked to stop can always end in time. A database
    that goes away ends the loop: leases expire, and the reconciler rings again. A device that
    breaks ends the process: only a new one can use it again. Raises SystemExit.
    """
    try:
        return _work(context)
    except SQLAlchemyError as error:
        if not is_outage(error) and not isinstance(error, DBAPIError):
            raise
        _log.error("database_lost", error=str(error).strip())
        return 0
    except DeviceBroken as error:
        _log.error("device_broken", error=str(error))
        sys.exit(1)


def _work(context: WorkerContext) -> int:
    ends = time.monotonic() + context.settings.loop_seconds
    lister, more = Lister(context), True
    with Lanes(context) as lanes:
        try:
            while more:
                lanes.await_room()
                if context.presence.is_draining():
                    break
                if time.monotonic() >= ends:
                    context.ring(CLASSIFY)
                    break
                listed = lister.turn()
                claimed = _claim(context, lanes)
                # A chunk underway may be given back, and be the last one that waits.
                more = listed or claimed or lanes.await_all()
        finally:
            lister.close()
        lanes.await_all()
    context.counting.await_all()
    context.presence.tell(job=None)
    return lanes.finished


def _claim(context: WorkerContext, lanes: Lanes) -> bool:
    try:
        lease = _next_chunk(context, lanes)
    except OtherModelNext:
        lanes.await_all()  # before a claim, which is kept only from the start of its work
        lease = _next_chunk(context, lanes)
    if lease is not None:
        lanes.start(lease)
    return lease is not None


def _next_chunk(context: WorkerContext, lanes: Lanes) -> ChunkLease | None:
    precisions = context.models.precisions
    context.presence.offers(precisions)
    return claim_chunk(
        context.engine,
        owner=context.owner,
        roots=context.roots,
        lease_seconds=context.settings.lease_seconds,
        precisions=precisions,
        preferred=lanes.preferred,
        only=lanes.only,
        worker=context.worker_uid,
        left=context.setbacks.left(),
    )
