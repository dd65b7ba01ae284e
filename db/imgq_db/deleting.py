"""Deleting: a job is gone for users at once; its rows go in batches, so that nobody waits."""

from uuid import UUID

from sqlalchemy import Connection, Engine, text

from imgq_db.errors import JobStillRunning
from imgq_db.idempotency import free_key
from imgq_db.jobs import read_job

#: Rows deleted in one transaction: whole chunks, until there are so many.
BATCH = 20_000
#: More chunks than this are not looked at for it: retried and split ones can be small.
BATCH_CHUNKS = 1_000

# Chunks lead the way, as there are few of them: to look for the first of 10^7 rows again and again
# would be to pass by all that were deleted before, until a vacuum has taken them away.
_TAKE_CHUNKS = """
DELETE FROM chunk WHERE id IN (SELECT id FROM (
    SELECT id, sum(images) OVER (ORDER BY first_image) - images AS before
    FROM (SELECT id, first_image, images FROM chunk WHERE job_id = :id
          ORDER BY first_image LIMIT :chunks) first) totals
  WHERE before < :batch)
RETURNING first_image, first_image + images AS behind
"""
_DELETE_ROWS = "DELETE FROM prediction WHERE job_id = :id AND image >= :first AND image < :behind"
# None, unless somebody wrote to the tables by hand.
_DELETE_STRAYS = """
DELETE FROM prediction WHERE job_id = :id
AND image < (SELECT min(image) + :batch FROM prediction WHERE job_id = :id)
"""


def delete_job(engine: Engine, uid: UUID) -> None:
    """Delete an ended job with its results. Raises JobNotFound, JobStillRunning."""
    with engine.begin() as connection:
        job = read_job(connection, uid)
        if not job.state.terminal:
            raise JobStillRunning(uid, "deleted")
        free_key(connection, job.id)
        connection.execute(
            text("UPDATE job SET deleted_at = imgq_now() WHERE id = :id"), {"id": job.id}
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
        return _purge_batch(connection, job_id)


def _purge_batch(connection: Connection, job_id: int) -> int:
    keys = {"id": job_id, "batch": BATCH, "chunks": BATCH_CHUNKS}
    chunks = connection.execute(text(_TAKE_CHUNKS), keys).all()
    if chunks:
        keys["first"] = min(chunk.first_image for chunk in chunks)
        keys["behind"] = max(chunk.behind for chunk in chunks)
        return len(chunks) + connection.execute(text(_DELETE_ROWS), keys).rowcount
    strays = connection.execute(text(_DELETE_STRAYS), keys).rowcount
    if strays:
        return strays
    return connection.execute(text("DELETE FROM job WHERE id = :id"), keys).rowcount
