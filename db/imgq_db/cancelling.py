"""Cancelling: tokens are bumped, so that no row can be added once `cancelled` shows."""

import json
import time
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.closing import close_job
from imgq_db.failpoints import failpoint
from imgq_db.jobs import Job, JobError, get_job

# The owner stays on a leased chunk: it says who must let go before `cancelled` may show.
# An array, which is read once: a table of few rows may be joined by reading it for each of them.
_CANCEL_CHUNKS = """
UPDATE chunk SET state = 'cancelled', token = token + 1
WHERE id = ANY(ARRAY(SELECT id FROM chunk WHERE job_id = :id AND state IN ('pending', 'leased')
                     ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED))
"""
# A training is one row: it is cancelled with its job. Its owner stays as a chunk's does.
_CANCEL_TRAINING = """
UPDATE training SET state = 'cancelled', token = token + 1
WHERE job_id = :id AND state IN ('pending', 'leased')
"""
_BATCH = 5_000
#: A round of the reconciler spends so long on it: freeing leases must not wait for more.
ROUND_SECONDS = 1.0


def cancel_job(engine: Engine, uid: UUID) -> Job:
    """Cancel a job. One that has ended stays as it is. Raises JobNotFound."""
    job = get_job(engine, uid)
    if _start(engine, job.id, None):
        cancel_chunks(engine, job.id, at_most=_BATCH)
        close_job(engine, job.id)
    return get_job(engine, uid)


def end_job(engine: Engine, job_id: int, error: JobError) -> None:
    """End a job as failed: like a cancel, but with the reason."""
    if _start(engine, job_id, error):
        cancel_chunks(engine, job_id, at_most=_BATCH)
        close_job(engine, job_id)


def cancel_chunks(engine: Engine, job_id: int, *, at_most: int) -> int:
    """Cancel a batch of a job's open chunks; return how many."""
    with engine.begin() as connection:
        keys = {"id": job_id, "limit": at_most}
        cancelled = connection.execute(text(_CANCEL_CHUNKS), keys).rowcount
    failpoint("cancel.between_batches")
    return cancelled


def continue_cancelling(engine: Engine) -> int:
    """Cancel chunks of the jobs that are being cancelled, for a second at most."""
    with engine.connect() as connection:
        ids = list(
            connection.execute(text("SELECT id FROM job WHERE state = 'cancelling'")).scalars()
        )
    ends = time.monotonic() + ROUND_SECONDS
    cancelled = 0
    for job_id in ids:
        while batch := cancel_chunks(engine, job_id, at_most=_BATCH):
            cancelled += batch
            if time.monotonic() >= ends:
                return cancelled
    return cancelled


def _start(engine: Engine, job_id: int, error: JobError | None) -> bool:
    with engine.begin() as connection:
        started = connection.execute(
            text(
                "UPDATE job SET state = 'cancelling', listing_token = listing_token + 1,"
                " started_at = coalesce(started_at, imgq_now()), error = CAST(:error AS jsonb)"
                " WHERE id = :id AND state IN ('queued', 'running')"
            ),
            {"id": job_id, "error": json.dumps(error.to_json()) if error else None},
        )
        if started.rowcount == 1:
            connection.execute(text(_CANCEL_TRAINING), {"id": job_id})
        return started.rowcount == 1
