"""Idempotency keys: the same request twice gives the same answer, and one job."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from imgq_db.errors import IdempotencyInFlight, IdempotencyKeyReused
from imgq_db.leases import is_over

KEPT_HOURS = 24
#: A first request that died without an answer blocks its key for so long. One that is alive, and
#: slower, makes no second job: a job's own row has the key, too.
LOCK_SECONDS = 10


@dataclass(frozen=True, slots=True)
class StoredReply:
    """An answer as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def begin(engine: Engine, key_id: int | None, key: str, request_sha256: str) -> StoredReply | None:
    """Start a request under a key. None: it is new, answer it and call `complete`.

    Raises IdempotencyKeyReused (another body), IdempotencyInFlight.
    """
    keys = {"key_id": key_id or 0, "key": key, "hash": request_sha256, "lock": LOCK_SECONDS}
    with engine.begin() as connection:
        inserted = connection.execute(
            text(
                "INSERT INTO idempotency (key_id, key, request_sha256, locked_until)"
                " VALUES (:key_id, :key, :hash, imgq_now() + make_interval(secs => :lock))"
                " ON CONFLICT DO NOTHING"
            ),
            keys,
        )
        if inserted.rowcount == 1:
            return None
        row = connection.execute(
            text(
                f"SELECT *, NOT {is_over('locked_until')} AS locked FROM idempotency"
                " WHERE key_id = :key_id AND key = :key FOR UPDATE"
            ),
            keys,
        ).first()
        if row is None:
            raise IdempotencyInFlight
        return _found(connection, row, keys)


def _found(connection: Any, row: Any, keys: dict[str, Any]) -> StoredReply | None:
    if row.request_sha256 != keys["hash"]:
        raise IdempotencyKeyReused
    if row.status is not None:
        return StoredReply(row.status, row.headers, bytes(row.body))
    if row.locked:
        raise IdempotencyInFlight
    connection.execute(
        text(
            "UPDATE idempotency SET locked_until = imgq_now() + make_interval(secs => :lock)"
            " WHERE key_id = :key_id AND key = :key"
        ),
        keys,
    )
    return None


def complete(engine: Engine, key_id: int | None, key: str, reply: StoredReply) -> None:
    """Store the answer for the next request with this key."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE idempotency SET status = :status, headers = CAST(:headers AS jsonb),"
                " body = :body WHERE key_id = :key_id AND key = :key"
            ),
            {
                "key_id": key_id or 0,
                "key": key,
                "status": reply.status,
                "headers": json.dumps(reply.headers),
                "body": reply.body,
            },
        )


def abandon(engine: Engine, key_id: int | None, key: str) -> None:
    """Forget a request that was refused, so that a corrected one may use its key.

    Not if a job has the key: that was accepted, and no other body may be answered with it.
    """
    with engine.begin() as connection:
        connection.execute(
            text(
                "DELETE FROM idempotency WHERE key_id = :key_id AND key = :key AND status IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM job WHERE coalesce(job.key_id, 0) = :key_id"
                " AND job.idempotency_key = :key)"
            ),
            {"key_id": key_id or 0, "key": key},
        )


def unlock(engine: Engine, key_id: int | None, key: str) -> None:
    """Let the same request be sent again at once: nobody knows what became of the first one."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE idempotency SET locked_until = imgq_now() - interval '1 second'"
                " WHERE key_id = :key_id AND key = :key AND status IS NULL"
            ),
            {"key_id": key_id or 0, "key": key},
        )


def free_key(connection: Connection, job_id: int) -> None:
    """Take a job's key away from it, and with it the answer that the key would give again.

    The key's row goes first, as in a purge: each locks both, and must not wait for the other.
    """
    keys = {"id": job_id}
    connection.execute(
        text(
            "DELETE FROM idempotency i USING job j WHERE j.id = :id"
            " AND i.key_id = coalesce(j.key_id, 0) AND i.key = j.idempotency_key"
        ),
        keys,
    )
    connection.execute(
        text(
            "UPDATE job SET idempotency_key = NULL WHERE id = :id AND idempotency_key IS NOT NULL"
        ),
        keys,
    )


def purge_idempotency(engine: Engine) -> int:
    """Forget keys older than a day; return how many.

    A job loses its key together with the request that made it, though it is younger by a moment:
    with one of the two alone, another body would be answered with this job.
    """
    values = {"hours": KEPT_HOURS}
    expired = "created_at < imgq_now() - make_interval(hours => :hours)"
    with engine.begin() as connection:
        forgotten = connection.execute(
            text(
                f"WITH gone AS (DELETE FROM idempotency WHERE {expired}"
                f" AND {is_over('locked_until')} RETURNING key_id, key), freed AS ("
                "UPDATE job SET idempotency_key = NULL FROM gone WHERE"
                " coalesce(job.key_id, 0) = gone.key_id AND job.idempotency_key = gone.key)"
                " SELECT count(*) FROM gone"
            ),
            values,
        ).scalar_one()
        connection.execute(
            text(
                "UPDATE job SET idempotency_key = NULL"
                f" WHERE idempotency_key IS NOT NULL AND {expired} AND NOT EXISTS ("
                "SELECT 1 FROM idempotency i WHERE i.key_id = coalesce(job.key_id, 0)"
                " AND i.key = job.idempotency_key)"
            ),
            values,
        )
    return int(forgotten)
