"""Closing: when nothing is left to do, the ledger is verified and the job gets its last state."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from imgq_db.each_job import for_each_job
from imgq_db.engine import single_statements
from imgq_db.errors import OptionInvalid
from imgq_db.estimates import TO_DO
from imgq_db.failpoints import failpoint
from imgq_db.jobs import JobError, unreadable_options
from imgq_db.leases import is_over
from imgq_db.options import ClassifyOptions, parse_budget
from imgq_db.stored_options import read_options
from imgq_db.summaries import Counts, count_rows, may_count, store_counts

EMPTY_SOURCE = JobError(
    "empty-source",
    "The folder holds no files",
    "No file was found in the folder, or none that --include and --exclude leave.",
    "Check the path and the patterns. Links to folders are not followed.",
)

# Apart, so that each finds its partial index: there may be 10^5 chunks that are done.
_OPEN_CHUNK = """(EXISTS (SELECT 1 FROM chunk WHERE job_id = j.id AND state = 'pending')
    OR EXISTS (SELECT 1 FROM chunk WHERE job_id = j.id AND state = 'leased'))"""
_PENDING_CHUNK = "SELECT 1 FROM chunk WHERE job_id = :id AND state = 'pending' LIMIT 1"
# A worker that was computing when the job was cancelled, and whose lease still runs.
_HELD = f"""(EXISTS (SELECT 1 FROM chunk WHERE job_id = :id AND state = 'cancelled'
    AND owner IS NOT NULL AND NOT {is_over("lease_until")})
    OR EXISTS (SELECT 1 FROM training WHERE job_id = :id AND state = 'cancelled'
    AND owner IS NOT NULL AND NOT {is_over("lease_until")}))"""
_CHUNK_SUMS = """
SELECT coalesce(sum(ok), 0) AS ok, coalesce(sum(failed), 0) AS failed,
    coalesce(sum(skipped), 0) AS skipped, coalesce(sum(cached), 0) AS cached
FROM chunk WHERE job_id = :id
"""
_STORE_TO_DO = f"""
UPDATE job SET to_do = (SELECT count(*) FROM prediction
    WHERE job_id = :id AND error_code = '{TO_DO}' AND NOT cached) WHERE id = :id
"""


@dataclass(frozen=True, slots=True)
class Counters:
    """Images of a job by status."""

    ok: int
    failed: int
    skipped: int
    cached: int

    @property
    def rows(self) -> int:
        return self.ok + self.failed + self.skipped


def close_job(engine: Engine, job_id: int) -> bool:
    """Give a job its last state if nothing is left to do; True if this call did.

    Runs in a transaction of its own after the last commit, and again in the reconciler: two last
    chunks that finish at once cannot see each other. One process at a time counts a job's rows.
    """
    with single_statements(engine) as connection:
        # Asked after every chunk: most often this is all.
        if connection.execute(text(_PENDING_CHUNK), {"id": job_id}).first():
            return False
        job = connection.execute(
            text(
                "SELECT state, listed_at, listed_images, options, error,"
                f" {_OPEN_CHUNK} AS open, {_HELD} AS held FROM job j WHERE id = :id"
            ),
            {"id": job_id},
        ).first()
    if job is None or job.open:
        return False
    if job.state == "cancelling" and not job.held:
        return _close_early(engine, job_id, failed=job.error is not None)
    if job.state == "running" and job.listed_at is not None:
        return _close_complete(engine, job_id, job)
    return False


def close_finished_jobs(engine: Engine) -> int:
    """Close every job that is ready for it; return how many.

    Those that are counted soon come first. Raises as for_each_job does.
    """
    with engine.connect() as connection:
        ids = connection.execute(
            text(
                "SELECT id FROM job j WHERE (state = 'cancelling' OR (state = 'running'"
                f" AND listed_at IS NOT NULL)) AND NOT {_OPEN_CHUNK}"
                " ORDER BY state <> 'cancelling', listed_images, id"
            )
        ).scalars()
        ready = list(ids)
    return for_each_job(ready, lambda job_id: close_job(engine, job_id))


def _close_early(engine: Engine, job_id: int, *, failed: bool) -> bool:
    state = "failed" if failed else "cancelled"
    with engine.begin() as connection:
        counters = _chunk_sums(connection, job_id)
        return _end(connection, job_id, "cancelling", state, counters, None)


def _close_complete(engine: Engine, job_id: int, job: Any) -> bool:
    with engine.begin() as connection:
        if not may_count(connection, job_id):
            return False  # a job of 10^8 rows is counted for minutes
        # All chunks are done, so no row can be added: the counts cannot move any more.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        counts = count_rows(connection, job_id)
        rows = _counters(counts)
        try:
            options = read_options(ClassifyOptions, job.options)
        except OptionInvalid as unreadable:
            error: JobError | None = unreadable_options(unreadable)
        else:
            error = _verdict(job, options, rows, _chunk_sums(connection, job_id))
            if options.dry_run:
                connection.execute(text(_STORE_TO_DO), {"id": job_id})
        store_counts(connection, job_id, counts)
        return _end(connection, job_id, "running", "failed" if error else "succeeded", rows, error)


def _verdict(
    job: Any, options: ClassifyOptions, rows: Counters, chunks: Counters
) -> JobError | None:
    if job.listed_images == 0:
        return EMPTY_SOURCE
    if rows != chunks or rows.rows != job.listed_images:
        return JobError(
            "ledger-mismatch",
            "The ledger does not add up",
            f"{job.listed_images} images were found, but the ledger holds {rows.rows} rows.",
            "This is a bug in imgq: please report it with the output of imgq verify-job.",
        )
    budget = options.max_failures
    if budget and parse_budget(budget).exceeded(rows.failed, job.listed_images):
        return budget_error(budget, rows.failed)
    return None


def budget_error(budget: str, failed: int) -> JobError:
    """Return the error of a job of which more images failed than its caller allows."""
    return JobError(
        "failure-budget-exceeded",
        "Too many images failed",
        f"{failed} images failed; --max-failures allows {budget}.",
        "imgq results JOB --status failed",
    )


def _end(
    connection: Connection,
    job_id: int,
    from_state: str,
    to_state: str,
    counters: Counters,
    error: JobError | None,
) -> bool:
    ended = connection.execute(
        text(
            "UPDATE job SET state = :to_state, finished_at = imgq_now(), counted_at = imgq_now(),"
            " ok = :ok, failed = :failed, skipped = :skipped, cached = :cached,"
            " images_per_second = :rows / greatest(extract(epoch FROM imgq_now() - started_at),"
            " 0.001), error = coalesce(CAST(:error AS jsonb), error)"
            " WHERE id = :id AND state = :from_state"
        ),
        {
            "id": job_id,
            "from_state": from_state,
            "to_state": to_state,
            "ok": counters.ok,
            "failed": counters.failed,
            "skipped": counters.skipped,
            "cached": counters.cached,
            "rows": counters.rows,
            "error": json.dumps(error.to_json()) if error else None,
        },
    )
    failpoint("close.before_commit")
    return ended.rowcount == 1


def _counters(counts: Counts) -> Counters:
    failed, skipped = sum(counts.failed.values()), sum(counts.skipped.values())
    return Counters(counts.ok, failed, skipped, counts.cached)


def _chunk_sums(connection: Connection, job_id: int) -> Counters:
    row = connection.execute(text(_CHUNK_SUMS), {"id": job_id}).one()
    return Counters(int(row.ok), int(row.failed), int(row.skipped), int(row.cached))
