"""Watching pool children: what they are at for too long, and what a dead one left."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from imgq_db.cancelling import end_job
from imgq_db.crashes import Death, Decoded, report_death
from imgq_db.failures import Claim, Failure, FailureKind, fail_claim
from imgq_db.queue import CLASSIFY, Ring
from imgq_db.settings import Settings
from imgq_workers.crumb_files import Found, crumb_folder, find_crumbs, find_left, has_begun
from imgq_workers.deadlines import ROUND_SECONDS, Deadlines, deadline
from imgq_workers.errors import by_workers, process_keeps_dying
from imgq_workers.evidence import boot_differs, cause_of
from imgq_workers.stalls import Stall
from imgq_workers.trails import STOOD_STILL, Doing, Flight, OomKills, Trail, write_verdict

#: What a death counts as that came while a job's chore was underway, and what the chore is called.
_CHORES = {
    Doing.LOADING: (FailureKind.MODEL, "Loading the model"),
    Doing.OPENING: (FailureKind.SOURCE, "Opening the folder"),
}

_log = structlog.get_logger(__name__)


class Watched(NamedTuple):
    """What is known of a child from the rounds before."""

    deadlines: Deadlines
    stall: Stall


@contextmanager
def watching(engine: Engine, settings: Settings, worker: UUID, ring: Ring) -> Iterator[None]:
    """Watch this worker's children, and the dead of this machine, in the background."""
    tell_of_the_dead(engine, settings, ring, left=True)
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
    watched: dict[UUID, Watched] = {}
    limits = settings.decode_seconds, settings.load_seconds, settings.stall_seconds
    pause = min(ROUND_SECONDS, min(limits) / 4)
    while True:
        tell_of_the_dead(engine, settings, ring)
        try:
            watched = look_at_children(settings, worker, watched)
        except OSError as error:
            _log.warning("children_not_seen", error=str(error))
        if ended.wait(pause):
            return


def look_at_children(
    settings: Settings, worker: UUID, before: Mapping[UUID, Watched]
) -> dict[UUID, Watched]:
    """Kill a child that is at one thing for too long; return how long each is at what."""
    now: dict[UUID, Watched] = {}
    for found in find_crumbs(crumb_folder(settings)):
        trail = found.trail
        if trail is None or found.dead or trail.worker != worker:
            continue
        watched = before.get(trail.owner) or Watched(Deadlines(settings), Stall(settings))
        now[trail.owner] = watched
        flight, stands_still = watched.deadlines.overdue(trail), watched.stall.look(trail)
        if flight is not None:
            doing = flight.doing.name.lower()
            said = {"job": flight.job_id, "image": flight.first}
            _kill(found, trail, (flight.slot, flight.mark), f"{doing}_too_long", said)
        elif stands_still:
            chunks = [chunk.chunk_id for chunk in trail.held]
            _kill(found, trail, STOOD_STILL, "standing_still_too_long", {"chunks": chunks})
    return now


def _kill(
    found: Found, trail: Trail, verdict: tuple[int, int], what: str, said: Mapping[str, object]
) -> None:
    if trail.overdue != verdict:  # or what it waits for lets nobody kill it
        _log.error(what, pid=trail.pid, **said)
        write_verdict(found.fd, *verdict)
    os.kill(trail.pid, signal.SIGKILL)


def tell_of_the_dead(engine: Engine, settings: Settings, ring: Ring, *, left: bool = False) -> None:
    """Report the processes of this machine that died, and ring for the chunks that they held.

    left: also those that bore another host's name.
    """
    try:
        freed = report_dead(engine, settings) + (report_left(engine, settings) if left else 0)
    except (SQLAlchemyError, OSError) as error:
        _log.warning("death_not_reported", error=str(error).strip())  # the next round tries again
    else:
        if freed:
            ring(CLASSIFY)


def report_dead(engine: Engine, settings: Settings) -> int:
    """Tell the database of the processes of this machine that died; return the chunks freed.

    Raises the first error only when all were tried: what was not told yet stays to be told.
    """
    found = find_crumbs(crumb_folder(settings))
    return _tell(engine, settings, (each for each in found if each.dead and has_begun(each)))


def report_left(engine: Engine, settings: Settings) -> int:
    """Do so for those of this machine that bore another name, such as a container's before this.

    They lived in another control group, whose counters say nothing here.
    """
    return _tell(engine, settings, map(_left, find_left(settings)))


def _left(found: Found) -> Found:
    trail = found.trail
    if trail is None:
        return found
    return replace(found, trail=replace(trail, oom=OomKills(-1, trail.oom.machine)))


def _tell(engine: Engine, settings: Settings, dead: Iterable[Found]) -> int:
    freed, untold = 0, None
    for found in dead:
        try:
            if found.trail is not None:
                freed += _report(engine, settings, found, found.trail)
            found.remove()
        except (SQLAlchemyError, OSError) as error:  # the others are told of all the same
            _log.warning("one_death_not_reported", file=found.path.name, error=str(error).strip())
            untold = untold or error
    if untold is not None:
        raise untold
    return freed


def _report(engine: Engine, settings: Settings, found: Found, trail: Trail) -> int:
    fault, chore = found.fault(), trail.late if trail.late in trail.chores else None
    cause = cause_of(trail, fault, decode_seconds=settings.decode_seconds)
    blameless = boot_differs(trail) or chore is not None or trail.stood_still
    decoded = () if blameless else tuple(map(_decoded, trail.flights))
    if not (trail.held or decoded):
        return 0  # it ended in order
    _log.error(
        "worker_died",
        pid=trail.pid,
        cause=cause.reason if cause else chore and chore.doing.name.lower(),
        images=[(each.job_id, each.first, each.last) for each in decoded],
        fault=fault.partition("\n\nThread")[0].strip(),
    )
    if chore is not None:
        _, what = _CHORES[chore.doing]
        seconds = deadline(chore, settings)
        _blame_chunks(engine, trail, f"{what} took longer than {seconds:g} s.", chore.job_id)
    elif trail.stood_still and not decoded:
        why = f"Nothing of the worker's process moved for {settings.stall_seconds:g} s."
        _blame_chunks(engine, trail, why)
    elif cause is not None and not decoded:
        died = fault.partition("\n")[0] or "no memory was left"
        _blame_chunks(engine, trail, f"The worker's process died: {died}")
    alone = trail.alone and len(decoded) == 1 and decoded[0].first == decoded[0].last
    return report_death(engine, Death(trail.owner, trail.held, decoded, alone, cause))


def _decoded(flight: Flight) -> Decoded:
    return Decoded(flight.job_id, flight.first, flight.last)


def _blame_chunks(engine: Engine, trail: Trail, why: str, job_id: int | None = None) -> None:
    """Count a death with no picture to blame as any other failure of its chunks, or of a job's."""
    for chunk in trail.held:
        if job_id not in (None, chunk.job_id):
            continue
        chores = [_CHORES[chore.doing] for chore in trail.chores if chore.job_id == chunk.job_id]
        kind = chores[0][0] if chores else FailureKind.CHUNK
        claim = Claim(chunk.job_id, chunk.chunk_id, chunk.token, chunk.owner)
        setback = fail_claim(engine, claim, Failure(trail.worker, kind, why))
        if setback is not None and setback.final:
            error = process_keeps_dying(why, kind)
            end_job(engine, chunk.job_id, by_workers(error, setback))
