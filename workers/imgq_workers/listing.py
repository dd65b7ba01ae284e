"""Listing a job's folder in turns, so that classifying goes on in between."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from imgq_db.cancelling import end_job
from imgq_db.closing import close_job
from imgq_db.errors import JobNotFound, LeaseLost
from imgq_db.jobs import get_job
from imgq_db.listing import ListingLease, add_chunks, claim_listing, release_listing
from imgq_db.queue import CLASSIFY
from imgq_db.retries import failed_paths
from imgq_db.sources import source_folder
from imgq_workers.context import WorkerContext
from imgq_workers.errors import retried_job_gone, source_unreadable
from imgq_workers.patterns import make_filter
from imgq_workers.walking import walk

#: A turn ends after so long; then chunks are classified before the next one.
TURN_SECONDS = 1.0
#: Chunks are committed at least so often, and so many at most at a time.
COMMIT_SECONDS = 0.25
COMMIT_CHUNKS = 64
#: The first chunks hold so many images; later ones grow to the configured size.
FIRST_CHUNK = 32

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Lister:
    """The listing that this process works on, kept between its turns."""

    context: WorkerContext
    _lease: ListingLease | None = None
    _paths: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def turn(self) -> bool:
        """List for a second. False: no job waits for its folder to be listed."""
        if self._lease is None:
            self._lease = self._claim()
        if self._lease is None:
            return False
        lease = self._lease
        with structlog.contextvars.bound_contextvars(job=str(lease.job_uid)):
            try:
                self._lease = self._list(lease)
            except LeaseLost:
                self._lease = None
                _log.warning("listing_lost")
            except JobNotFound:
                self._lease = None
                end_job(self.context.engine, lease.job_id, retried_job_gone())
            except OSError as error:
                self._lease = None
                folder = source_folder(lease.source, self.context.settings)
                end_job(
                    self.context.engine,
                    lease.job_id,
                    source_unreadable(folder, lease.source, error),
                )
        return True

    def close(self) -> None:
        """Give an unfinished listing back."""
        if self._lease is not None:
            release_listing(self.context.engine, self._lease)
            self._lease = None

    def _claim(self) -> ListingLease | None:
        settings = self.context.settings
        lease = claim_listing(
            self.context.engine, roots=self.context.roots, lease_seconds=settings.lease_seconds
        )
        if lease is not None:
            self._paths = _paths(self.context, lease)
        return lease

    def _list(self, lease: ListingLease) -> ListingLease | None:
        """Commit chunks for one turn; return the lease while there is more to list."""
        turn_ends = time.monotonic() + TURN_SECONDS
        while True:
            chunks, exhausted = self._next_run(lease.listed_images)
            lease = self._commit(lease, chunks, last=exhausted)
            if exhausted:
                _log.info("folder_listed", images=lease.listed_images)
                close_job(self.context.engine, lease.job_id)
                return None
            if time.monotonic() >= turn_ends:
                return lease

    def _next_run(self, listed: int) -> tuple[list[list[bytes]], bool]:
        run_ends = time.monotonic() + COMMIT_SECONDS
        chunks: list[list[bytes]] = []
        while len(chunks) < COMMIT_CHUNKS:
            size = self._chunk_size(listed)
            names = _take(self._paths, size)
            if names:
                chunks.append(names)
                listed += len(names)
            if len(names) < size:
                return chunks, True
            if time.monotonic() >= run_ends:
                break
        return chunks, False

    def _chunk_size(self, listed: int) -> int:
        """Begin with small chunks: a small folder is shared out, and progress shows early."""
        return min(self.context.settings.chunk_size, max(FIRST_CHUNK, listed // 4))

    def _commit(
        self, lease: ListingLease, chunks: list[list[bytes]], *, last: bool
    ) -> ListingLease:
        lease = add_chunks(
            self.context.engine,
            lease,
            chunks,
            lease_seconds=self.context.settings.lease_seconds,
            last=last,
        )
        if chunks:
            self.context.ring(CLASSIFY)
        return lease


def _take(paths: Iterator[bytes], count: int) -> list[bytes]:
    taken: list[bytes] = []
    for path in paths:
        taken.append(path)
        if len(taken) == count:
            break
    return taken


def _paths(context: WorkerContext, lease: ListingLease) -> Iterator[bytes]:
    if lease.only_failed:
        return _failed_paths(context, lease)
    passes: Callable[[bytes], bool] = make_filter(lease.options.include, lease.options.exclude)
    folder = os.fsencode(source_folder(lease.source, context.settings))
    return filter(passes, walk(folder, recursive=lease.options.recursive, after=lease.cursor))


def _failed_paths(context: WorkerContext, lease: ListingLease) -> Iterator[bytes]:
    assert lease.retry_of is not None
    get_job(context.engine, lease.retry_of)
    # Paths are in walk order and each committed one took the next number: skip so many.
    skip, after = lease.listed_images, -1
    while page := failed_paths(context.engine, lease.retry_of, after=after, limit=5_000):
        for _, path in page[skip:]:
            yield path
        skip = max(skip - len(page), 0)
        after = page[-1][0]
