"""Listing: one worker at a time walks a job's folder and commits its chunks run by run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from imgq_db.cancelling import end_job
from imgq_db.engine import single_statements
from imgq_db.errors import LeaseLost, OptionInvalid
from imgq_db.failpoints import failpoint
from imgq_db.fairness import JOB_ORDER, NOTHING, LeftAlone
from imgq_db.jobs import unreadable_options
from imgq_db.leases import is_over
from imgq_db.manifests import pack_names
from imgq_db.options import ClassifyOptions
from imgq_db.stored_options import read_options


@dataclass(frozen=True, slots=True)
class ListingLease:
    """A worker's claim on the listing of one job.

    cursor: the last path that is safely in a chunk, None at the start.
    """

    job_id: int
    job_uid: UUID
    token: int
    source: str
    options: ClassifyOptions
    retry_of: UUID | None
    only_failed: bool
    cursor: bytes | None
    listed_images: int


_CLAIM = f"""
UPDATE job SET listing_token = listing_token + 1, state = 'running',
    listing_until = imgq_now() + make_interval(secs => :lease_seconds),
    started_at = coalesce(started_at, imgq_now())
WHERE id = (
    SELECT j.id FROM job j
    WHERE j.state IN ('queued', 'running') AND j.kind = 'classify' AND j.listed_at IS NULL
      AND j.root = ANY(:roots) AND NOT j.id = ANY(:left)
      AND (j.listing_until IS NULL OR {is_over("j.listing_until")})
    ORDER BY {JOB_ORDER}, j.id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, uid, listing_token, source, options, retry_of, only_failed, listing_cursor,
    listed_images
"""

_ADVANCE = """
UPDATE job SET listing_cursor = :cursor, listed_images = listed_images + :images,
    listing_until = imgq_now() + make_interval(secs => :lease_seconds),
    listed_at = CASE WHEN :last THEN imgq_now() END
WHERE id = :job_id AND listing_token = :token AND state = 'running' AND listed_at IS NULL
"""


def claim_listing(
    engine: Engine, *, roots: Sequence[str], lease_seconds: float, left: LeftAlone = NOTHING
) -> ListingLease | None:
    """Claim the most urgent job whose folder is not listed yet, None if there is none.

    One whose options nobody can do any more ends failed.
    left: what the worker leaves alone for now.
    """
    with single_statements(engine) as connection:
        row = connection.execute(
            text(_CLAIM),
            {"roots": list(roots), "lease_seconds": lease_seconds, "left": list(left.jobs)},
        ).first()
    if row is None:
        return None
    try:
        return _lease(row)
    except OptionInvalid as error:
        end_job(engine, row.id, unreadable_options(error))
    return claim_listing(engine, roots=roots, lease_seconds=lease_seconds, left=left)


def _lease(row: Any) -> ListingLease:
    return ListingLease(
        job_id=row.id,
        job_uid=row.uid,
        token=row.listing_token,
        source=row.source,
        options=read_options(ClassifyOptions, row.options),
        retry_of=row.retry_of,
        only_failed=row.only_failed,
        # The driver gives bytea as a memoryview.
        cursor=None if row.listing_cursor is None else bytes(row.listing_cursor),
        listed_images=row.listed_images,
    )


def add_chunks(
    engine: Engine,
    lease: ListingLease,
    chunks: Sequence[Sequence[bytes]],
    *,
    lease_seconds: float,
    last: bool = False,
) -> ListingLease:
    """Commit a run of chunks, and with `last` the end of the listing, in one transaction.

    Raises LeaseLost if somebody else lists the job by now, or it was cancelled.
    """
    images = sum(map(len, chunks))
    cursor = chunks[-1][-1] if chunks else lease.cursor
    with engine.begin() as connection:
        advanced = connection.execute(
            text(_ADVANCE),
            {
                "cursor": cursor,
                "images": images,
                "lease_seconds": lease_seconds,
                "last": last,
                "job_id": lease.job_id,
                "token": lease.token,
            },
        )
        if advanced.rowcount != 1:
            raise LeaseLost(f"the listing of job {lease.job_uid}")
        failpoint("listing.before_insert", str(lease.job_uid))
        _insert_chunks(connection, lease, chunks)
        if last:
            failpoint("listing.before_done", str(lease.job_uid))
    failpoint("listing.between_inserts", str(lease.job_uid))
    return replace(lease, cursor=cursor, listed_images=lease.listed_images + images)


def renew_listing(engine: Engine, lease: ListingLease, *, lease_seconds: float) -> bool:
    """Prolong a claim. False: it was lost, or the job was cancelled."""
    with engine.begin() as connection:
        renewed = connection.execute(
            text(
                "UPDATE job SET listing_until = imgq_now() + make_interval(secs => :lease_seconds)"
                " WHERE id = :job_id AND listing_token = :token AND state = 'running'"
                " AND listed_at IS NULL"
            ),
            {"job_id": lease.job_id, "token": lease.token, "lease_seconds": lease_seconds},
        )
        return renewed.rowcount == 1


def release_listing(engine: Engine, lease: ListingLease) -> None:
    """Give the listing back at once, for another worker to go on from the cursor."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE job SET listing_until = NULL WHERE id = :job_id AND listing_token = :token"
            ),
            {"job_id": lease.job_id, "token": lease.token},
        )


def _insert_chunks(
    connection: Connection, lease: ListingLease, chunks: Sequence[Sequence[bytes]]
) -> None:
    rows: list[dict[str, Any]] = []
    first = lease.listed_images
    for names in chunks:
        rows.append(
            {
                "job_id": lease.job_id,
                "first": first,
                "images": len(names),
                "manifest": pack_names(names),
            }
        )
        first += len(names)
    if rows:
        connection.execute(
            text(
                "INSERT INTO chunk (job_id, first_image, images, manifest)"
                " VALUES (:job_id, :first, :images, :manifest)"
            ),
            rows,
        )


def unlisted_jobs(engine: Engine, *, at_most: int) -> int:
    """Count the jobs whose listing waits for somebody, but not further than asked."""
    with engine.connect() as connection:
        waiting = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT 1 FROM job WHERE state IN ('queued', 'running')"
                " AND listed_at IS NULL AND kind = 'classify'"
                f" AND (listing_until IS NULL OR {is_over('listing_until')})"
                " LIMIT :limit) waiting"
            ),
            {"limit": at_most},
        )
        return int(waiting.scalar_one())
