"""Retries: a new job over the same folder, or over what failed in the first one."""

import json
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.errors import JobStillRunning, NoImageResults, NothingToRetry
from imgq_db.jobs import Job, asked_precision, insert_job, read_job

_BEFORE_FOLDERS = """
WITH RECURSIVE retried AS (
    SELECT id, retry_of, only_failed FROM job WHERE uid = :uid
    UNION ALL
    SELECT old.id, old.retry_of, old.only_failed
    FROM retried r JOIN job old ON old.uid = r.retry_of AND r.only_failed)
SELECT before.path
FROM retried r JOIN chunk c ON c.job_id = r.id AND c.failed > 0,
LATERAL (SELECT q.job_id, q.image FROM prediction q WHERE q.job_id = c.job_id
    AND q.image >= c.first_image AND q.image < c.first_image + c.images AND q.status = 1
    AND substr(q.path, length(q.path)) = CAST('/' AS bytea) ORDER BY q.image) p,
LATERAL (SELECT path FROM prediction q WHERE q.job_id = p.job_id AND q.image < p.image
    ORDER BY q.image DESC LIMIT 1) before
"""
# Only rows of chunks in which something failed are read: a job has up to 10^8. `few` are as many
# chunks as fill a page; of the first one everything may have been seen, so it counts for nothing.
_FAILED_PATHS = """
WITH failing AS MATERIALIZED (
    SELECT first_image, images, failed FROM chunk
    WHERE job_id = :job_id AND failed > 0 AND first_image >= coalesce((SELECT max(first_image)
        FROM chunk WHERE job_id = :job_id AND first_image <= :after), 0)
    ORDER BY first_image LIMIT :limit + 1),
few AS MATERIALIZED (
    SELECT first_image, images, sum(failed) OVER (ORDER BY first_image) - failed
        - first_value(failed) OVER (ORDER BY first_image) AS behind FROM failing)
SELECT p.image, p.path
FROM few, LATERAL (SELECT q.image, q.path FROM prediction q WHERE q.job_id = :job_id
    AND q.image >= few.first_image AND q.image < few.first_image + few.images
    AND q.image > :after AND q.status = 1 ORDER BY q.image) p
WHERE few.behind < :limit
ORDER BY p.image LIMIT :limit
"""


def retry_job(
    engine: Engine,
    uid: UUID,
    *,
    only_failed: bool,
    key_id: int | None = None,
    idempotency_key: str | None = None,
) -> Job:
    """Accept a new job like an ended one; that one never changes.

    A training begins anew: what can be resumed was resumed within the old job, and what ended that
    one is most often in its folder or its options. only_failed: of a classify job only.
    Raises NoImageResults, JobNotFound, JobStillRunning, NothingToRetry.
    """
    with engine.begin() as connection:
        old = read_job(connection, uid)
        if not old.state.terminal:
            raise JobStillRunning(uid, "retried")
        if only_failed and old.kind.trains:
            raise NoImageResults(uid, old.kind.value)
        if only_failed and old.progress.failed == 0:
            raise NothingToRetry(uid)
        same = connection.execute(
            text("SELECT only_failed, retry_of FROM job WHERE uid = :uid"), {"uid": uid}
        ).one()
        row = {
            "kind": old.kind.value,
            "name": old.name,
            "source": old.source,
            "root": old.root,
            "model": old.model_version_id,
            # As it was asked for: the worker that settled it then may be gone.
            "precision": asked_precision(old.options),
            "options": json.dumps(old.options.to_json()),
            "tags": json.dumps(old.tags),
            "priority": old.priority.rank,
            "key_id": key_id,
            "idempotency_key": idempotency_key,
            # All of a job that was a retry of failures: these failures again, not the folder.
            "retry_of": same.retry_of if same.only_failed and not only_failed else uid,
            "only_failed": only_failed or same.only_failed,
        }
        return read_job(connection, insert_job(connection, row))


def failed_paths(
    engine: Engine, uid: UUID, *, after: int, limit: int
) -> tuple[tuple[int, bytes], ...]:
    """Return image numbers and paths of a job's failed images, in walk order.

    after: the last image number seen, -1 at the start.
    """
    with engine.connect() as connection:
        job_id = connection.execute(text("SELECT id FROM job WHERE uid = :uid"), {"uid": uid})
        keys = {"job_id": job_id.scalar(), "after": after, "limit": limit}
        rows = connection.execute(text(_FAILED_PATHS), keys)
        return tuple((row.image, bytes(row.path)) for row in rows)


def paths_before_folders(engine: Engine, uid: UUID) -> tuple[bytes, ...]:
    """Return the path that was listed before each sub-folder that could not be listed.

    By the job, and by those that it retried what failed of.
    """
    with engine.connect() as connection:
        return tuple(map(bytes, connection.execute(text(_BEFORE_FOLDERS), {"uid": uid}).scalars()))
