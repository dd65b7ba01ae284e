"""Keeping a claim alive while its chunk is classified, and noticing when to stop."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from imgq_db.chunks import ChunkLease, holds_lease, renew_lease
from imgq_db.listing import ListingLease, renew_listing
from imgq_workers.context import WorkerContext

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Keeper:
    """What a chunk's threads tell each other.

    lost: drop the work. draining: give it back. handed_out: no picture waits for a thread, so
    that the next chunk can begin. kept_until: then others may have the chunk, by this process' own
    clock (monotonic): a worker that cannot reach Postgres cannot be told so.
    """

    handed_out: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)
    draining: threading.Event = field(default_factory=threading.Event)
    kept_until: float = math.inf

    def should_stop(self) -> bool:
        over = time.monotonic() >= self.kept_until
        return over or self.lost.is_set() or self.draining.is_set()


@contextmanager
def keep_listing(context: WorkerContext, lease: ListingLease) -> Iterator[None]:
    """Renew a listing's lease in the background: one huge folder can take longer than it lasts."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_keep_listing, args=(context, lease, ended), name="listingkeeper", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _keep_listing(context: WorkerContext, lease: ListingLease, ended: threading.Event) -> None:
    settings = context.settings
    while not ended.wait(settings.beat_seconds):
        try:
            if not renew_listing(context.engine, lease, lease_seconds=settings.lease_seconds):
                return
        except SQLAlchemyError as error:  # also one of the pool's own: none was free in time
            # Each commit of the listing is fenced; the next round asks again.
            _log.warning("listing_not_renewed", error=str(error).strip())


@contextmanager
def keep_lease(
    context: WorkerContext, lease: ChunkLease, handed_out: threading.Event
) -> Iterator[Keeper]:
    """Renew a lease in the background for as long as the block runs.

    It may have waited for its turn since the claim, and was not renewed then.
    """
    keeper, ended = Keeper(handed_out), threading.Event()
    keeper.kept_until = lease.asked_at + context.settings.lease_seconds
    thread = threading.Thread(
        target=_keep, args=(context, lease, keeper, ended), name="leasekeeper", daemon=True
    )
    thread.start()
    try:
        yield keeper
    finally:
        ended.set()
        thread.join()


def _keep(
    context: WorkerContext, lease: ChunkLease, keeper: Keeper, ended: threading.Event
) -> None:
    settings = context.settings
    renew_at = lease.asked_at + settings.beat_seconds
    # To the end, also of a chunk that is to be dropped: it may hang, and that must be seen.
    while not ended.wait(settings.poll_seconds):
        try:
            asked_at = time.monotonic()
            renew = asked_at >= renew_at and not keeper.should_stop()
            if not _look(context, lease, keeper, renew=renew):
                keeper.lost.set()
            elif renew:
                keeper.kept_until = asked_at + settings.lease_seconds
                renew_at = time.monotonic() + settings.beat_seconds
            context.breadcrumbs.hear()
        except SQLAlchemyError as error:  # also one of the pool's own: none was free in time
            # The commit is fenced, so working on until the lease is over is safe.
            _log.warning("lease_not_renewed", chunk=lease.chunk_id, error=str(error).strip())


def _look(context: WorkerContext, lease: ChunkLease, keeper: Keeper, *, renew: bool) -> bool:
    if context.presence.is_draining():
        keeper.draining.set()
    if renew:
        return renew_lease(context.engine, lease, lease_seconds=context.settings.lease_seconds)
    return holds_lease(context.engine, lease)
