"""Watching pool children: a picture that is decoded for too long, and what a dead child left."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from imgq_db.cancelling import end_job
from imgq_db.crashes import Death, Decoded, report_death
from imgq_db.failures import Claim, Failure, FailureKind, fail_claim
from imgq_db.queue import CLASSIFY, Ring
from imgq_db.settings import Settings
from imgq_workers.breadcrumbs import Flight, Trail, write_verdict
from imgq_workers.crumb_files import Found, crumb_folder, find_crumbs, has_begun
from imgq_workers.errors import by_workers, process_keeps_dying
from imgq_workers.evidence import boot_differs, cause_of
from imgq_workers.running_time import Sample, ran_seconds, sample_thread

#: A round of looking at the children, or a quarter of the deadline if that is shorter.
ROUND_SECONDS = 1.0

_log = structlog.get_logger(__name__)


@contextmanager
def watching(engine: Engine, settings: Settings, worker: UUID, ring: Ring) -> Iterator[None]:
    """Watch this worker's children, and the dead of this machine, in the background."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(engine, settings, worker, ring, ended), name="watching", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        tell_of_the_dead(engine, settings, ring)  # the child that has just ended, if it was killed


def _watch(
    engine: Engine, settings: Settings, worker: UUID, ring: Ring, ended: threading.Event
) -> None:
    deadlines: dict[UUID, Deadlines] = {}
    pause = min(ROUND_SECONDS, settings.decode_seconds / 4)
    while True:
        tell_of_the_dead(engine, settings, ring)
        try:
            deadlines = look_at_children(settings, worker, deadlines)
        except OSError as error:
            _log.warning("children_not_seen", error=str(error))
        if ended.wait(pause):
            return


def look_at_children(
    settings: Settings, worker: UUID, before: Mapping[UUID, "Deadlines"]
) -> dict[UUID, "Deadlines"]:
    """Kill a child that is at one picture for too long; return how long each is at what."""
    now: dict[UUID, Deadlines] = {}
    for found in find_crumbs(crumb_folder(settings)):
        trail = found.trail
        if trail is None or found.dead or trail.worker != worker:
            continue
        deadlines = before.get(trail.owner) or Deadlines(settings.decode_seconds)
        now[trail.owner] = deadlines
        flight = deadlines.overdue(trail)
        if flight is not None:
            _log.error("decoding_too_long", job=flight.job_id, image=flight.first, pid=trail.pid)
            write_verdict(found.fd, flight)
            os.kill(trail.pid, signal.SIGKILL)
    return now


def tell_of_the_dead(engine: Engine, settings: Settings, ring: Ring) -> None:
    """Report the processes of this machine that died, and ring for the chunks that they held."""
    try:
        freed = report_dead(engine, settings)
    except (SQLAlchemyError, OSError) as error:
        _log.warning("death_not_reported", error=str(error).strip())  # the next round tries again
    else:
        if freed:
            ring(CLASSIFY)


def report_dead(engine: Engine, settings: Settings) -> int:
    """Tell the database of the processes of this machine that died; return the chunks freed.

    Raises DBAPIError, OSError: what was not told yet stays to be told.
    """
    freed = 0
    for found in find_crumbs(crumb_folder(settings)):
        if found.dead and has_begun(found):
            if found.trail is not None:
                freed += _report(engine, settings, found, found.trail)
            found.remove()
    return freed


def _report(engine: Engine, settings: Settings, found: Found, trail: Trail) -> int:
    fault = found.fault()
    cause = cause_of(trail, fault, decode_seconds=settings.decode_seconds)
    decoded = () if boot_differs(trail) else tuple(map(_decoded, trail.flights))
    if not (trail.held or decoded):
        return 0  # it ended in order
    _log.error(
        "worker_died",
        pid=trail.pid,
        cause=cause and cause.reason,
        images=[(each.job_id, each.first, each.last) for each in decoded],
        fault=fault.partition("\n\nThread")[0].strip(),
    )
    if cause is not None and not decoded:
        _blame_chunks(engine, trail, fault)
    alone = trail.alone and len(decoded) == 1 and decoded[0].first == decoded[0].last
    return report_death(engine, Death(trail.owner, trail.held, decoded, alone, cause))


def _decoded(flight: Flight) -> Decoded:
    return Decoded(flight.job_id, flight.first, flight.last)


def _blame_chunks(engine: Engine, trail: Trail, fault: str) -> None:
    """Count a crash with no picture to blame as any other failure of its chunks."""
    why = f"The worker's process died: {fault.partition(chr(10))[0] or 'no memory was left'}"
    for chunk in trail.held:
        loading = chunk.job_id in trail.loading
        failure = Failure(trail.worker, FailureKind.MODEL if loading else FailureKind.CHUNK, why)
        claim = Claim(chunk.job_id, chunk.chunk_id, chunk.token, chunk.owner)
        setback = fail_claim(engine, claim, failure)
        if setback is not None and setback.final:
            error = process_keeps_dying(why, loading=loading)
            end_job(engine, chunk.job_id, by_workers(error, setback))


@dataclass(frozen=True, slots=True)
class _Watched:
    mark: int
    sample: Sample | None
    ran_seconds: float


@dataclass(slots=True)
class Deadlines:
    """For how long each thread of one process has been at its picture."""

    seconds: float
    _looked_at: float = field(default_factory=time.monotonic)
    _watched: dict[int, _Watched] = field(default_factory=dict)

    def overdue(self, trail: Trail) -> Flight | None:
        """Look at the process once more; return a picture that it has been at for too long."""
        now = time.monotonic()
        # A longer round means that this process was stopped, and most often so was the other.
        elapsed = min(now - self._looked_at, 2 * ROUND_SECONDS)
        self._looked_at = now
        self._watched = {
            flight.slot: self._look(trail.pid, flight, elapsed) for flight in trail.flights
        }
        late = (f for f in trail.flights if self._watched[f.slot].ran_seconds >= self.seconds)
        return next(late, None)

    def _look(self, pid: int, flight: Flight, elapsed: float) -> _Watched:
        sample, last = sample_thread(pid, flight.thread), self._watched.get(flight.slot)
        if last is None or last.mark != flight.mark:
            return _Watched(flight.mark, sample, 0.0)
        ran = last.ran_seconds + ran_seconds(last.sample, sample, elapsed)
        return _Watched(flight.mark, sample, ran)
