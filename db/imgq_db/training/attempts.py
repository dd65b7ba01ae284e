"""Attempts that ended without a word: another one, or the end of the job."""

import json

from sqlalchemy import Connection, Engine, text

from imgq_db.jobs import JobError
from imgq_db.leases import is_over
from imgq_db.training.leases import FENCE, TrainingLease

#: However far each of them comes, a training whose processes are lost is not begun more often.
MOST_ATTEMPTS = 50
TOO_OFTEN = JobError(
    "no-progress",
    "The training was lost too often",
    f"It was begun {MOST_ATTEMPTS} times, and its process was gone each time.",
    "Look into the trainer's log; the machine may lack memory. Then imgq retry JOB.",
)

# The job's row first: a cancel takes both in this order. A stopped holder's lock is passed by.
_EXPIRED = f"""
SELECT j.id FROM job j JOIN training t ON t.job_id = j.id
WHERE t.state = 'leased' AND {is_over("t.lease_until")} AND j.state = 'running'
ORDER BY j.id LIMIT :limit FOR UPDATE OF j, t SKIP LOCKED
"""
_AGAIN = """
UPDATE training SET state = 'pending', owner = NULL, lease_until = NULL,
    idle_attempts = idle_attempts + 1, eta_seconds = NULL
WHERE job_id = :job_id AND idle_attempts + 1 < :idle AND attempts < :most
"""
_GIVE_UP = "UPDATE training SET state = 'done', token = token + 1, owner = NULL"
_GIVE_UP_AT = f"{_GIVE_UP} WHERE job_id = :job_id RETURNING idle_attempts + 1 >= :idle"
_FAIL_JOB = """
UPDATE job SET state = 'failed', finished_at = imgq_now(), counted_at = imgq_now(),
    error = CAST(:error AS jsonb)
WHERE id = :job_id AND state = 'running'
"""


def expire_trainings(engine: Engine, *, idle_attempts: int, limit: int = 100) -> int:
    """Free the trainings whose lease ran out, or end their jobs; return how many.

    idle_attempts: so many attempts in a row without a new checkpoint end a job.
    """
    with engine.begin() as connection:
        expired = list(connection.execute(text(_EXPIRED), {"limit": limit}).scalars())
        for job_id in expired:
            _go_on_or_fail(connection, job_id, idle_attempts)
    return len(expired)


def release_after_crash(
    engine: Engine, lease: TrainingLease, error: JobError, *, idle_attempts: int
) -> bool:
    """Give a training back after its processes died; False: it was one time too often, or lost.

    error: what the job fails with then.
    """
    with engine.begin() as connection:
        lock_job(connection, lease.job_id)
        held = connection.execute(
            text(f"SELECT 1 FROM training WHERE {FENCE} FOR UPDATE"), lease.fence
        ).first()
        if held is None:
            return False
        return _go_on_or_fail(connection, lease.job_id, idle_attempts, error)


def fail_training(engine: Engine, lease: TrainingLease, error: JobError) -> bool:
    """End a job with an error. False: the claim was lost meanwhile."""
    with engine.begin() as connection:
        lock_job(connection, lease.job_id)
        ended = connection.execute(text(f"{_GIVE_UP} WHERE {FENCE}"), lease.fence)
        if ended.rowcount == 1:
            _fail_job(connection, lease.job_id, error)
        return ended.rowcount == 1


def lock_job(connection: Connection, job_id: int) -> None:
    """Take the lock that comes before that of the training."""
    connection.execute(text("SELECT 1 FROM job WHERE id = :id FOR UPDATE"), {"id": job_id})


def _go_on_or_fail(
    connection: Connection, job_id: int, idle_attempts: int, error: JobError | None = None
) -> bool:
    keys = {"job_id": job_id, "idle": idle_attempts, "most": MOST_ATTEMPTS}
    if connection.execute(text(_AGAIN), keys).rowcount == 1:
        return True
    idle = connection.execute(text(_GIVE_UP_AT), keys).scalar_one()
    _fail_job(connection, job_id, error or (_no_progress(idle_attempts) if idle else TOO_OFTEN))
    return False


def _fail_job(connection: Connection, job_id: int, error: JobError) -> None:
    connection.execute(text(_FAIL_JOB), {"job_id": job_id, "error": json.dumps(error.to_json())})


def _no_progress(attempts: int) -> JobError:
    return JobError(
        "no-progress",
        "The training comes no further",
        f"It was begun {attempts} times in a row, and each time its process was gone before it"
        " had written another checkpoint.",
        "Look into the trainer's log; the machine may lack memory. Then imgq retry JOB.",
    )
