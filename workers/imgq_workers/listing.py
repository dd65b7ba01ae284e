"""Listing a job's folder in turns, so that classifying goes on in between."""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import structlog

from imgq_db.cancelling import end_job
from imgq_db.closing import close_job
from imgq_db.engine import is_outage
from imgq_db.errors import JobNotFound, LeaseLost, SourceNotAllowed
from imgq_db.failures import Failure, FailureKind, fail_listing
from imgq_db.jobs import JobError, get_job
from imgq_db.listing import ListingLease, add_chunks, claim_listing, release_listing
from imgq_db.queue import CLASSIFY, LIST
from imgq_db.retries import failed_paths, paths_before_folders
from imgq_db.sources import source_folder
from imgq_workers.context import WorkerContext
from imgq_workers.errors import (
    by_workers,
    listing_raised,
    nothing_but_links,
    retried_job_gone,
    source_refused,
    source_unreadable,
)
from imgq_workers.leasekeeper import keep_listing
from imgq_workers.patterns import make_filter
from imgq_workers.walking import walk, walk_key

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
    _paths: Iterator[bytes | None] = field(default_factory=lambda: iter(()))
    _names: list[bytes] = field(default_factory=list)  # the beginning of the next chunk
    _links: int = 0  # to folders, which are not followed; since this process began

    def turn(self) -> bool:
        """List for a second. False: no job waits for its folder to be listed."""
        if self._lease is None:
            self._lease = self._claim()
        if self._lease is None:
            return False
        lease = self._lease
        with structlog.contextvars.bound_contextvars(job=str(lease.job_uid)):
            try:
                with keep_listing(self.context, lease):
                    self._lease = self._list(lease)
            except LeaseLost:
                self._lease = None
                _log.warning("listing_lost")
            except OSError as error:
                self._lease = None
                self._fail(lease, error)
            except Exception as error:
                if is_outage(error):
                    raise  # the lease expires, and somebody goes on from the cursor
                self._lease = None
                self._end(lease, error)
        return True

    def _end(self, lease: ListingLease, error: Exception) -> None:
        _log.exception("listing_raised")
        end_job(self.context.engine, lease.job_id, self._reason(lease, error))

    def _fail(self, lease: ListingLease, error: OSError) -> None:
        """Leave the listing to the others; end the job if nobody else could read the folder."""
        ends = self._reason(lease, error)
        failure = Failure(self.context.worker_uid, FailureKind.LISTING, ends.detail)
        setback = fail_listing(self.context.engine, lease, failure)
        if setback is None:
            _log.warning("listing_lost")
            return
        _log.warning("listing_failed", why=ends.detail)
        if setback.final:
            end_job(self.context.engine, lease.job_id, by_workers(ends, setback))
            return
        self.context.setbacks.leave(
            failure.kind, job_id=lease.job_id, seconds=setback.pause_seconds
        )
        self.context.ring(LIST)

    def _reason(self, lease: ListingLease, error: Exception) -> JobError:
        match error:
            case JobNotFound():
                return retried_job_gone()
            case SourceNotAllowed():
                return source_refused(error)
            case OSError():
                folder = source_folder(lease.source, self.context.settings)
                return source_unreadable(folder, lease.source, error)
            case _:
                return listing_raised(error)

    def close(self) -> None:
        """Give an unfinished listing back."""
        if self._lease is not None:
            release_listing(self.context.engine, self._lease)
            self._lease = None

    def _claim(self) -> ListingLease | None:
        settings = self.context.settings
        lease = claim_listing(
            self.context.engine,
            roots=self.context.roots,
            lease_seconds=settings.lease_seconds,
            left=self.context.setbacks.left(),
        )
        if lease is not None:
            self._paths = _paths(self.context, lease, left_out=self._leave_out)
            self._names, self._links = [], 0
        return lease

    def _list(self, lease: ListingLease) -> ListingLease | None:
        """Commit chunks for one turn; return the lease while there is more to list."""
        turn_ends = time.monotonic() + TURN_SECONDS
        while True:
            chunks, exhausted = self._next_run(lease.listed_images)
            lease = self._commit(lease, chunks, last=exhausted)
            if exhausted:
                self._finish(lease)
                return None
            if time.monotonic() >= turn_ends:
                return lease

    def _finish(self, lease: ListingLease) -> None:
        _log.info("folder_listed", images=lease.listed_images, links_left_out=self._links)
        if self._links and not lease.listed_images:
            end_job(self.context.engine, lease.job_id, nothing_but_links(self._links))
        else:
            close_job(self.context.engine, lease.job_id)

    def _leave_out(self, links: int) -> None:
        self._links += links

    def _next_run(self, listed: int) -> tuple[list[list[bytes]], bool]:
        """Return whole chunks, none if the time was too short for one, and whether that is all."""
        run_ends = time.monotonic() + COMMIT_SECONDS
        chunks: list[list[bytes]] = []
        for path in self._paths:
            if path is not None:
                self._names.append(path)
            if len(self._names) >= self._chunk_size(listed):
                chunks.append(self._names)
                listed, self._names = listed + len(self._names), []
            if len(chunks) == COMMIT_CHUNKS or time.monotonic() >= run_ends:
                return chunks, False
        rest = [self._names] if self._names else []
        return [*chunks, *rest], True

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


def _paths(
    context: WorkerContext, lease: ListingLease, *, left_out: Callable[[int], None]
) -> Iterator[bytes | None]:
    """Yield the paths to classify; None for one that is left out, so that time can be kept."""
    if lease.only_failed:
        yield from _failed_paths(context, lease)
        return
    passes = make_filter(lease.options.include, lease.options.exclude)
    folder = os.fsencode(source_folder(lease.source, context.settings))
    recursive, after = lease.options.recursive, lease.cursor
    for path in walk(folder, recursive=recursive, after=after, left_out=left_out):
        yield path if passes(path) else None


def _failed_paths(context: WorkerContext, lease: ListingLease) -> Iterator[bytes | None]:
    assert lease.retry_of is not None
    listed = None if lease.cursor is None else walk_key(lease.cursor)
    after = -1
    seen: dict[bytes, bytes] | None = None
    while True:
        page = failed_paths(context.engine, lease.retry_of, after=after, limit=5_000)
        get_job(context.engine, lease.retry_of)  # a deleted job's rows are going: do not trust them
        if not page:
            return
        for _, path in page:
            if listed is not None and walk_key(path) <= listed:
                yield None
            elif path.endswith(b"/"):
                if seen is None:
                    seen = _seen_in_folders(paths_before_folders(context.engine, lease.retry_of))
                yield from _walk_again(context, lease, path, seen.get(path))
            else:
                yield path
        after = page[-1][0]


def _seen_in_folders(paths: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the last of some paths in each folder, however deep."""
    seen: dict[bytes, bytes] = {}
    for path in sorted(paths, key=walk_key):
        *parents, _ = path.rstrip(b"/").split(b"/")
        seen |= {folder + b"/": path for folder in itertools.accumulate(parents, _join)}
    return seen


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name


def _walk_again(
    context: WorkerContext, lease: ListingLease, folder: bytes, before: bytes | None
) -> Iterator[bytes | None]:
    """Yield what is in a sub-folder that could not be listed; itself, if it still cannot be.

    before: the last path in it that was listed before it closed, None if that was none.
    """
    root = os.fsencode(source_folder(lease.source, context.settings))
    with os.scandir(root):
        pass  # one that cannot be read at all says nothing of what is in it
    steps = folder.rstrip(b"/").split(b"/")
    above = (b"/".join([root, *steps[: n + 1]]) for n in range(len(steps)))
    # Not Path's, which raises where a folder above is closed.
    if any(os.path.islink(each) for each in above):  # noqa: PTH114
        yield folder
        return
    passes = make_filter(lease.options.include, lease.options.exclude)
    seen = max(filter(None, (before, lease.cursor)), key=walk_key, default=None)
    for path in walk(root, after=seen, within=folder):
        yield path if path == folder or passes(path) else None
