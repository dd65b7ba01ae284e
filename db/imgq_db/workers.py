"""The workers that are there, for people to look at. No lease depends on these rows."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.engine import LAZILY, single_statements
from imgq_db.heartbeats import GONE_SECONDS, LIVE_SECONDS
from imgq_db.queue import CLASSIFY

#: SQL over `worker w`: it is there, and stays.
IS_THERE = f"""(w.state <> 'draining'
    AND w.seen_at > (SELECT imgq_now()) - interval '{LIVE_SECONDS} seconds')"""
#: SQL over `worker w, job j`: it may read the source; it computes as is wanted.
READS = "j.root = ANY(w.roots)"
COMPUTES = """(w.precisions IS NULL OR j.precision = ANY(w.precisions)
    OR (j.precision = 'auto' AND cardinality(w.precisions) > 0))"""
#: … and all of it: it could claim a chunk of the job.
COULD_CLAIM = f"(w.queue = 'classify' AND {IS_THERE} AND {READS} AND {COMPUTES})"


_SET_ACTIVITY = f"""
{LAZILY} UPDATE worker SET job_uid = :job, seen_at = imgq_now(),
    images_per_second = coalesce(CAST(:speed AS real), images_per_second),
    device = coalesce(CAST(:device AS text), device),
    precisions = coalesce(CAST(:precisions AS text[]), precisions),
    state = CASE WHEN state = 'draining' THEN state
        WHEN CAST(:job AS uuid) IS NULL THEN 'idle' ELSE 'busy' END
WHERE uid = :uid RETURNING state
"""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process and what it does. state: idle, busy or draining.

    queue: classify, or train for a supervisor of trainings. precisions: what it can compute, None
    until it is known.
    """

    uid: UUID
    host: str
    pid: int
    device: str
    state: str
    roots: tuple[str, ...]
    job: UUID | None
    images_per_second: float | None
    started_at: datetime.datetime
    seen_at: datetime.datetime
    queue: str = CLASSIFY
    precisions: tuple[str, ...] | None = None


def beat_worker(
    engine: Engine,
    uid: UUID,
    *,
    host: str,
    pid: int,
    device: str,
    roots: Sequence[str],
    queue: str = CLASSIFY,
) -> None:
    """Say that a worker is alive."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO worker (uid, host, pid, device, state, roots, queue)"
                " VALUES (:uid, :host, :pid, :device, 'idle', :roots, :queue)"
                " ON CONFLICT (uid) DO UPDATE SET seen_at = imgq_now()"
            ),
            {
                "uid": uid,
                "host": host,
                "pid": pid,
                "device": device,
                "roots": list(roots),
                "queue": queue,
            },
        )


def set_activity(
    engine: Engine,
    uid: UUID,
    *,
    job: UUID | None,
    images_per_second: float | None = None,
    device: str | None = None,
    precisions: Sequence[str] | None = None,
) -> bool:
    """Say what a worker does now, and hear whether it was asked to stop.

    job None: nothing. A speed, device or precisions of None stay.
    """
    told = {"speed": images_per_second, "device": device}
    offered = None if precisions is None else list(precisions)
    with single_statements(engine) as connection:
        state = connection.execute(
            text(_SET_ACTIVITY), {"uid": uid, "job": job, "precisions": offered, **told}
        ).scalar()
    return bool(state == "draining")


def start_draining(engine: Engine, uid: UUID) -> None:
    """Ask a worker to give its chunk back and stop."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE worker SET state = 'draining' WHERE uid = :uid"), {"uid": uid}
        )


def is_draining(engine: Engine, uid: UUID) -> bool:
    """Tell whether a worker was asked to stop."""
    with single_statements(engine) as connection:
        state = connection.execute(
            text("SELECT state FROM worker WHERE uid = :uid"), {"uid": uid}
        ).scalar()
    return state == "draining"


def remove_worker(engine: Engine, uid: UUID) -> None:
    """Take a worker that stopped off the list."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM worker WHERE uid = :uid"), {"uid": uid})


def purge_workers(engine: Engine) -> int:
    """Take workers that vanished off the list; return how many."""
    with engine.begin() as connection:
        return connection.execute(
            text("DELETE FROM worker WHERE seen_at < imgq_now() - make_interval(secs => :gone)"),
            {"gone": GONE_SECONDS},
        ).rowcount


def list_workers(engine: Engine, *, max_age_seconds: float = GONE_SECONDS) -> tuple[Worker, ...]:
    """Return the workers seen lately, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT * FROM worker WHERE seen_at >= imgq_now() - make_interval(secs => :age)"
                " ORDER BY started_at, uid"
            ),
            {"age": max_age_seconds},
        )
        return tuple(
            Worker(
                uid=row.uid,
                host=row.host,
                pid=row.pid,
                device=row.device,
                state=row.state,
                roots=tuple(row.roots),
                job=row.job_uid,
                images_per_second=row.images_per_second,
                started_at=row.started_at,
                seen_at=row.seen_at,
                queue=row.queue,
                precisions=None if row.precisions is None else tuple(row.precisions),
            )
            for row in rows
        )
