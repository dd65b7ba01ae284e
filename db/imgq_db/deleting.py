"""Deleting: a job is gone for users at once; its rows go in batches, so that nobody waits."""

from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.errors import JobStillRunning
from imgq_db.jobs import read_job

#: Rows deleted in one transaction.
BATCH = 20_000


def delete_job(engine: Engine, uid: UUID) -> None:
    """Delete an ended job with its results. Raises JobNotFound, JobStillRunning."""
    with engine.begin() as connection:
        job = read_job(connection, uid)
        if not job.state.terminal:
            raise JobStillRunning(uid, "deleted")
        connection.execute(
            text("UPDATE job SET deleted_at = imgq_now(), idempotency_key = NULL WHERE id = :id"),
            {"id": job.id},
        )


def purge_deleted(engine: Engine) -> int:
    """Remove a batch of the rows of deleted jobs; return how many. 0: nothing is left."""
    with engine.connect() as connection:
        job_id = connection.execute(
            text("SELECT id FROM job WHERE deleted_at IS NOT NULL ORDER BY id LIMIT 1")
        ).scalar()
    if job_id is None:
        return 0
    with engine.begin() as connection:
        removed = connection.execute(
            text(
                "DELETE FROM prediction WHERE job_id = :id AND image < ("
                " SELECT min(image) + :batch FROM prediction WHERE job_id = :id)"
            ),
            {"id": job_id, "batch": BATCH},
        ).rowcount
        if removed == 0:
            connection.execute(text("DELETE FROM chunk WHERE job_id = :id"), {"id": job_id})
            connection.execute(text("DELETE FROM job WHERE id = :id"), {"id": job_id})
            removed = 1
    return removed
