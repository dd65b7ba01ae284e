"""What holds a job up: others come first, nobody is there who could take it, or workers failed."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from imgq_db.crashes import suspects_on_trial
from imgq_db.fairness import JOB_ORDER
from imgq_db.jobs import Job, JobState
from imgq_db.queue import CLASSIFY, TRAIN
from imgq_db.sources import FILE_ROOT, REGISTRY_ROOT
from imgq_db.workers import COMPUTES, IS_THERE, READS

#: Of the workers that failed so many are named.
NAMED_WORKERS = 3

# SQL over `worker w, job j`, the worker being one of the job's queue.
_READING = f"({READS} OR j.root = '{REGISTRY_ROOT}')"
_ABLE = f"({_READING} AND (w.queue <> '{CLASSIFY}' OR {COMPUTES}))"

_TAKERS = f"""
SELECT count(*) AS there, count(*) FILTER (WHERE {_READING}) AS reading,
    count(*) FILTER (WHERE {_ABLE}) AS able
FROM worker w, job j WHERE j.id = :id AND w.queue = :queue AND {IS_THERE}
"""
# In the order of the claims. While nobody is there who could take it, all of its kind are ahead.
_AHEAD = f"""
WITH taker AS (SELECT w.* FROM worker w, job j
        WHERE j.id = :id AND w.queue = :queue AND {IS_THERE} AND {_ABLE}),
    waiting AS (SELECT j.id, j.root, j.precision, {JOB_ORDER} AS rank FROM job j
        WHERE j.state IN ('queued', 'running') AND (j.kind <> 'classify') = :trains)
SELECT count(*) FROM waiting j JOIN waiting own ON own.id = :id
WHERE (j.rank, j.id) < (own.rank, own.id) AND (NOT EXISTS (SELECT 1 FROM taker)
    OR EXISTS (SELECT 1 FROM taker w WHERE {_ABLE}))
"""
# Of what was done since, nobody needs to know that it failed before.
_FAILURES = """
SELECT count(*) AS failures, (array_agg(f.why ORDER BY f.id DESC))[1] AS why,
    array_agg(DISTINCT coalesce(f.worker_name, CAST(f.worker AS text))) AS workers
FROM job_failure f JOIN job j ON j.id = f.job_id LEFT JOIN chunk c ON c.id = f.chunk_id
WHERE f.job_id = :id AND (c.state IN ('pending', 'leased')
    OR (f.chunk_id IS NULL AND j.listed_at IS NULL))
"""


@dataclass(frozen=True, slots=True)
class Takers:
    """Workers of a job's queue: all, those that may read its source, and that can compute it."""

    there: int
    reading: int
    able: int


def queue_position(engine: Engine, job: Job) -> int | None:
    """Return how many jobs are ahead of a queued one, None once it began.

    They are those that come first in a claim of some worker that could take this one, too; of all
    of its kind while no such worker is there.
    """
    if job.state is not JobState.QUEUED:
        return None
    keys = {"id": job.id, "queue": _queue(job), "trains": job.kind.trains}
    with engine.connect() as connection:
        return int(connection.execute(text(_AHEAD), keys).scalar_one())


def find_obstacle(engine: Engine, job: Job) -> str | None:
    """Return in words what holds a job up that has not ended; None: nothing that is known."""
    if job.state not in (JobState.QUEUED, JobState.RUNNING):
        return None
    with engine.connect() as connection:
        said = (
            _nobody_takes(job, _count_takers(connection, job)),
            _failed(connection, job),
            _crashed(connection, job),
        )
    return " ".join(filter(None, said)) or None


def _count_takers(connection: Connection, job: Job) -> Takers:
    row = connection.execute(text(_TAKERS), {"id": job.id, "queue": _queue(job)}).one()
    return Takers(row.there, row.reading, row.able)


def _queue(job: Job) -> str:
    return TRAIN if job.kind.trains else CLASSIFY


def _nobody_takes(job: Job, takers: Takers) -> str | None:
    kind = "trainer" if job.kind.trains else "worker"
    if not takers.there:
        return f"It waits for a {kind}: none is there."
    if not takers.reading:
        what = "any local file" if job.root == FILE_ROOT else f"the root {job.root}"
        return f"It waits for a {kind} that may read {what}: none that is there may."
    if not takers.able:
        return f"It waits for a {kind} that computes {job.precision}: none that is there does."
    return None


def _failed(connection: Connection, job: Job) -> str | None:
    row = connection.execute(text(_FAILURES), {"id": job.id}).one()
    if not row.failures:
        return None
    named = ", ".join(row.workers[:NAMED_WORKERS])
    more = len(row.workers) - NAMED_WORKERS
    who = f"{named} and {more} more" if more > 0 else named
    times = "once" if row.failures == 1 else f"{row.failures} times"
    return f"{who} failed at a part of it, {times}, and it is tried again. The last time: {row.why}"


def _crashed(connection: Connection, job: Job) -> str | None:
    suspects = suspects_on_trial(connection, job.id)
    if not suspects:
        return None
    pictures = "1 picture was" if suspects == 1 else f"{suspects} pictures were"
    return (
        f"{pictures} being decoded when a worker crashed: tried alone before the rest of the chunk,"
        " and failed if a worker crashes again."
    )
