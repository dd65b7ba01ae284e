"""What the tables hold, as values to compare; and what they say of themselves."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.manifests import unpack_names
from imgq_db.standstills import STANDSTILLS
from imgq_db.verifying import verify_job

_JOBS = "SELECT * FROM job WHERE deleted_at IS NULL ORDER BY id"
_CHUNKS = "SELECT * FROM chunk WHERE job_id = ANY(:jobs) ORDER BY job_id, first_image"
_ROWS = """
SELECT p.job_id, p.image, p.path, p.status, p.token, c.first_image AS first
FROM prediction p LEFT JOIN chunk c ON c.id = p.chunk_id
WHERE p.job_id = ANY(:jobs) ORDER BY p.job_id, p.image
"""


class Row(NamedTuple):
    """A row of the ledger. first: where its chunk begins."""

    job_id: int
    image: int
    path: bytes
    status: int
    token: int
    first: int


def read_jobs(engine: Engine) -> Sequence[Any]:
    """Return the rows of all jobs that were not deleted."""
    return _read(engine, _JOBS)


def read_chunks(engine: Engine, jobs: Sequence[int]) -> Sequence[Any]:
    return _read(engine, _CHUNKS, jobs=list(jobs))


def read_rows(engine: Engine, jobs: Sequence[int]) -> Sequence[Row]:
    """Return the ledger's rows."""
    rows = _read(engine, _ROWS, jobs=list(jobs))
    return [Row(r.job_id, r.image, bytes(r.path), r.status, r.token, r.first) for r in rows]


def read_names(chunk: Any) -> tuple[bytes, ...]:
    return unpack_names(chunk.manifest)


def count_rows(engine: Engine, tables: Sequence[str]) -> int:
    """Count all rows of some tables."""
    return sum(_read(engine, f"SELECT count(*) AS rows FROM {table}")[0].rows for table in tables)


def strays(engine: Engine) -> int:
    """Count what is left of jobs that are gone."""
    tables = ("chunk", "prediction", "suspect", "job_failure", "job_summary", "training")
    gone = "WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.id = job_id)"
    return count_rows(engine, [f"{table} {gone}" for table in tables])


def broken_rules(engine: Engine, uid: UUID) -> list[str]:
    """Return the invariants that a job breaks, as `imgq verify-job` sees it.

    Here the reconciler may stay away for long, and a job stands still then.
    """
    broken = [check.rule for check in verify_job(engine, uid) if not check.holds]
    return [rule for rule in broken if rule not in STANDSTILLS]


def empty(engine: Engine) -> None:
    """Forget every job, and every version that was trained."""
    with engine.begin() as connection:
        for table in ("prediction", "chunk", "training", "job"):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("DELETE FROM model_version WHERE source <> 'builtin'"))
        connection.execute(text("DELETE FROM model WHERE name <> 'imagenet'"))


def _read(engine: Engine, query: str, **values: object) -> Sequence[Any]:
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()
