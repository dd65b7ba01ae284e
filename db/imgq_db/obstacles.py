"""What holds a job up: nobody is there who could take it, or workers failed at it."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from imgq_db.crashes import suspects_on_trial
from imgq_db.jobs import Job, JobState
from imgq_db.queue import CLASSIFY, TRAIN
from imgq_db.sources import FILE_ROOT, REGISTRY_ROOT
from imgq_db.workers import COMPUTES, IS_THERE, READS

#: Of the workers that failed so many are named.
NAMED_WORKERS = 3

_TAKERS = f"""
SELECT count(*) AS there, count(*) FILTER (WHERE {READS} OR j.root = '{REGISTRY_ROOT}') AS reading,
    count(*) FILTER (WHERE ({READS} OR j.root = '{REGISTRY_ROOT}')
        AND (w.queue <> '{CLASSIFY}' OR {COMPUTES})) AS able
FROM worker w, job j WHERE j.id = :id AND w.queue = :queue AND {IS_THERE}
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
    queue = TRAIN if job.kind.trains else CLASSIFY
    row = connection.execute(text(_TAKERS), {"id": job.id, "queue": queue}).one()
    return Takers(row.there, row.reading, row.able)


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
