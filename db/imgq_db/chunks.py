"""Chunks: claim, renew, finish, give back. The only way that predictions get written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import DBAPIError

from imgq_db.cancelling import end_job
from imgq_db.crashes import SUSPECTS, Suspect, suspects_from_row
from imgq_db.engine import LAZILY, single_statements
from imgq_db.errors import LeaseLost, OptionInvalid
from imgq_db.failpoints import failpoint
from imgq_db.fairness import JOB_ORDER, NOTHING, TURN_SECONDS, LeftAlone
from imgq_db.jobs import unreadable_options
from imgq_db.leases import is_over, was_set_back
from imgq_db.ledger import LedgerRow, RowStatus, total_status, write_rows
from imgq_db.manifests import unpack_names
from imgq_db.options import AUTO, ClassifyOptions
from imgq_db.precisions import settle_precision
from imgq_db.stored_options import read_options


class OtherModelNext(Exception):
    """The next chunk is of a job with another model than the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a worker has to load for a job."""

    version_id: int
    precision: str


@dataclass(frozen=True, slots=True)
class ChunkLease:
    """A worker's claim on one chunk, with all it needs to classify it.

    owner: a fresh UUID of the process. token: grows with each claim; only the newest may commit.
    suspects: pictures that may end the process, by image number. settled: whether the job has this
    precision for good; else the claimer settles it once the model is loaded. errors: how often it
    failed before. asked_at: by this process' own clock (monotonic), not later than the claim.
    """

    chunk_id: int
    job_id: int
    job_uid: UUID
    owner: UUID
    token: int
    first_image: int
    names: tuple[bytes, ...]
    source: str
    options: ClassifyOptions
    model_version_id: int
    precision: str
    suspects: tuple[Suspect, ...] = ()
    settled: bool = True
    errors: int = 0
    asked_at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def model(self) -> Model:
        return Model(self.model_version_id, self.precision)


_DONE = "id = :chunk_id AND token = :token AND state = 'done'"
# Nobody but its owner may touch a claim: a claim that the server forgot gives its token again.
_HELD = "id = :chunk_id AND token = :token AND owner = :owner AND state = 'leased'"

_RELEASE = f"UPDATE chunk SET state = 'pending', owner = NULL, lease_until = NULL WHERE {_HELD}"

#: A worker leaves a chunk that it failed at to the others for so long.
LEFT_TO_OTHERS_SECONDS = 10
_CLAIMABLE = f"""(c.not_before IS NULL OR c.not_before <= (SELECT imgq_now())
    - CASE WHEN c.failed_by = CAST(:worker AS uuid) THEN {LEFT_TO_OTHERS_SECONDS} ELSE 0 END
    * interval '1 second' OR {was_set_back("c.not_before")})"""

# Among the jobs of the highest priority the one with the fewest leased chunks, then the one that
# was served longest ago: a lone worker, which holds no chunk when it claims, takes turns too.
_CANDIDATES = f"""
SELECT j.id, j.model_version_id, j.precision, {JOB_ORDER} AS rank,
  coalesce(j.served_at, '-infinity')
    < (SELECT imgq_now()) - interval '{TURN_SECONDS} seconds' AS due
FROM job j
WHERE j.state = 'running' AND j.kind = 'classify' AND j.root = ANY(:roots)
  AND (j.precision = '{AUTO}' OR j.precision = ANY(:precisions))
  AND NOT j.id = ANY(:left_jobs) AND NOT j.model_version_id = ANY(:left_versions)
  AND EXISTS (SELECT 1 FROM chunk c
    WHERE c.job_id = j.id AND c.state = 'pending' AND {_CLAIMABLE})
ORDER BY rank,
  (SELECT count(*) FROM chunk c WHERE c.job_id = j.id AND c.state = 'leased'),
  j.served_at NULLS FIRST, j.id
LIMIT 16
"""

_SERVED = f"""
{LAZILY} UPDATE job SET served_at = imgq_now() WHERE id IN (SELECT id FROM job WHERE id = :job_id
    AND coalesce(served_at, '-infinity') < (SELECT imgq_now()) - interval '{TURN_SECONDS} seconds'
    FOR UPDATE SKIP LOCKED)
"""

# Lazily: should a crash of the server undo it, the chunk is simply claimed again. Whoever computes
# on is not its owner any more, so the token that both then hold does no harm.
# The job's state is not asked: a cancel that comes between takes the chunk in a later batch, since
# a cancelling job is closed only when none of its chunks is pending or leased.
# A value, not a table to join with: where the planner expects few chunks it would read such a table
# once for each of them, and each time lock another one.
_CLAIM = f"""
{LAZILY} UPDATE chunk c SET state = 'leased', token = c.token + 1, owner = :owner,
    lease_until = imgq_now() + make_interval(secs => :lease_seconds), attempts = c.attempts + 1
FROM job j
WHERE c.id = (SELECT id FROM chunk c WHERE job_id = :job_id AND state = 'pending' AND {_CLAIMABLE}
              ORDER BY first_image LIMIT 1 FOR UPDATE SKIP LOCKED)
  AND j.id = c.job_id AND (j.precision = '{AUTO}' OR j.precision = ANY(:precisions))
RETURNING c.id, c.job_id, j.uid AS job_uid, c.token, c.first_image, c.manifest, j.source,
    j.options, j.model_version_id, j.precision, c.errors, {SUSPECTS}
"""

_FINISH = f"""
UPDATE chunk SET state = 'done', owner = NULL, lease_until = NULL, done_at = imgq_now(),
    ok = :ok, failed = :failed, skipped = :skipped, cached = :cached
WHERE {_HELD}
"""


def claim_chunk(
    engine: Engine,
    *,
    owner: UUID,
    roots: Sequence[str],
    lease_seconds: float,
    precisions: Sequence[str] = ("exact",),
    preferred: Model | None = None,
    only: Model | None = None,
    worker: UUID | None = None,
    left: LeftAlone = NOTHING,
) -> ChunkLease | None:
    """Claim the next chunk, committed before any work begins; None if nothing waits.

    precisions: what the worker can compute, the fastest first; that one is for a job that left the
    choice open. preferred: of the jobs with the same priority, those with this
    model go first. only: claim of no other model; raises OtherModelNext if one is next.
    worker: whose failures count, None for nobody's. left: what the worker leaves alone for now.
    A job whose options nobody can do any more ends failed.
    """
    able = {
        "roots": list(roots),
        "precisions": list(precisions),
        "worker": worker,
        "left_jobs": list(left.jobs),
        "left_versions": list(left.versions),
    }
    with single_statements(engine) as connection:
        candidates = connection.execute(text(_CANDIDATES), able).all() if precisions else ()
        for job in _in_turn(candidates, preferred, precisions):
            if only is not None and _model(job, precisions) != only:
                raise OtherModelNext
            keys = {**able, "job_id": job.id, "owner": owner, "lease_seconds": lease_seconds}
            asked_at = time.monotonic()
            row = connection.execute(text(_CLAIM), keys).first()
            if row is not None:
                failpoint("claim.committed", str(row.job_uid))
                if job.due:
                    connection.execute(text(_SERVED), keys)
                try:
                    lease = _lease(row, owner, _settled(row, precisions))
                    return replace(lease, asked_at=asked_at)
                except OptionInvalid as error:
                    _end_unreadable(
                        engine, connection, keys | {"chunk_id": row.id, "token": row.token}, error
                    )
    return None


def _end_unreadable(
    engine: Engine, connection: Connection, claim: dict[str, Any], error: OptionInvalid
) -> None:
    """End the job of a claim whose options nobody can do, and leave no lease behind."""
    connection.execute(text(_RELEASE), claim)
    end_job(engine, claim["job_id"], unreadable_options(error))


def _in_turn(
    jobs: Sequence[Row[Any]], preferred: Model | None, precisions: Sequence[str]
) -> Sequence[Row[Any]]:
    """Return jobs in fair order, but those of the model that is in memory first."""
    if preferred is None:
        return jobs
    return sorted(jobs, key=lambda job: (job.rank, _model(job, precisions) != preferred))


def _model(job: Row[Any], precisions: Sequence[str]) -> Model:
    return Model(job.model_version_id, _settled(job, precisions))


def _settled(job: Row[Any], precisions: Sequence[str]) -> str:
    fastest: str = precisions[0] if job.precision == AUTO else job.precision
    return fastest


def renew_lease(engine: Engine, lease: ChunkLease, *, lease_seconds: float) -> bool:
    """Prolong a claim. False: it was lost or cancelled, stop working on it."""
    return _execute(
        engine,
        "UPDATE chunk SET lease_until = imgq_now() + make_interval(secs => :lease_seconds)"
        f" WHERE {_HELD}",
        lease,
        lease_seconds=lease_seconds,
    )


def holds_lease(engine: Engine, lease: ChunkLease) -> bool:
    """Tell whether the claim still stands, without prolonging it."""
    return _reads(engine, lease, _HELD)


def release_chunk(engine: Engine, lease: ChunkLease) -> bool:
    """Give a chunk back untouched, for anybody to claim at once."""
    return _execute(engine, _RELEASE, lease)


def let_go(engine: Engine, lease: ChunkLease) -> bool:
    """Say that this process no longer computes for a chunk that was cancelled under it."""
    return _execute(
        engine,
        # By the token that the cancel left: a process may have claimed again what it once lost, and
        # whoever hears of the loss only now must not speak for the other.
        "UPDATE chunk SET owner = NULL WHERE id = :chunk_id AND token = :token + 1"
        " AND owner = :owner AND state = 'cancelled'",
        lease,
    )


def finish_chunk(engine: Engine, lease: ChunkLease, rows: Sequence[LedgerRow]) -> None:
    """Write a chunk's rows and close it, in one transaction under its token.

    Raises LeaseLost, OtherPrecision, and then nothing was written. A connection that broke at the
    commit is resolved by reading the token back: the rows are never sent a second time under it.
    """
    if len(rows) != len(lease.names):
        raise ValueError(f"{len(rows)} rows for {len(lease.names)} images")
    subject = str(lease.job_uid)
    if not lease.settled:  # on its own: a process that is stopped below would hold the job's row
        settle_precision(engine, lease.job_id, lease.precision)
    try:
        with engine.begin() as connection:
            failpoint("finish.before_fence", subject)
            _write(connection, lease, rows)
            failpoint("finish.before_commit", subject)
    except DBAPIError:
        if not _reads(engine, lease, _DONE):
            raise
    failpoint("finish.after_commit", subject)


def _write(connection: Connection, lease: ChunkLease, rows: Sequence[LedgerRow]) -> None:
    fenced = connection.execute(
        text(_FINISH),
        {
            "chunk_id": lease.chunk_id,
            "token": lease.token,
            "owner": lease.owner,
            "ok": total_status(rows, RowStatus.OK),
            "failed": total_status(rows, RowStatus.FAILED),
            "skipped": total_status(rows, RowStatus.SKIPPED),
            "cached": sum(row.cached for row in rows),
        },
    )
    if fenced.rowcount != 1:
        raise LeaseLost(f"chunk {lease.chunk_id} of job {lease.job_uid}")
    failpoint("finish.after_fence", str(lease.job_uid))
    write_rows(
        connection,
        job_id=lease.job_id,
        chunk_id=lease.chunk_id,
        token=lease.token,
        first_image=lease.first_image,
        rows=rows,
    )


def expire_leases(engine: Engine, *, limit: int = 500) -> int:
    """Free the chunks whose lease ran out; return how many."""
    # SKIP LOCKED: a stopped worker may hold a row's lock until its session times out.
    statement = f"""
    UPDATE chunk SET state = 'pending', owner = NULL, lease_until = NULL
    WHERE id IN (SELECT id FROM chunk WHERE state = 'leased' AND {is_over("lease_until")}
                 LIMIT :limit FOR UPDATE SKIP LOCKED)
    """
    with engine.begin() as connection:
        freed = connection.execute(text(statement), {"limit": limit}).rowcount
        if freed:
            failpoint("expire.mid_batch")
        return freed


def pending_chunks(engine: Engine, *, at_most: int) -> int:
    """Count the chunks that wait, but not further than asked."""
    with engine.connect() as connection:
        waiting = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT 1 FROM chunk c JOIN job j ON j.id = c.job_id"
                " WHERE c.state = 'pending' AND j.state = 'running' AND (c.not_before IS NULL"
                " OR c.not_before <= (SELECT imgq_now())"
                f" OR {was_set_back('c.not_before')}) LIMIT :limit) waiting"
            ),
            {"limit": at_most},
        )
        return int(waiting.scalar_one())


def _execute(engine: Engine, statement: str, lease: ChunkLease, **values: object) -> bool:
    keys = {"chunk_id": lease.chunk_id, "token": lease.token, "owner": lease.owner, **values}
    with single_statements(engine) as connection:
        return connection.execute(text(statement), keys).rowcount == 1


def _reads(engine: Engine, lease: ChunkLease, condition: str) -> bool:
    keys = {"chunk_id": lease.chunk_id, "token": lease.token, "owner": lease.owner}
    with single_statements(engine) as connection:
        found = connection.execute(text(f"SELECT 1 FROM chunk WHERE {condition}"), keys)
        return found.first() is not None


def _lease(row: Any, owner: UUID, precision: str) -> ChunkLease:
    return ChunkLease(
        chunk_id=row.id,
        job_id=row.job_id,
        job_uid=row.job_uid,
        owner=owner,
        token=row.token,
        first_image=row.first_image,
        names=unpack_names(row.manifest),
        source=row.source,
        options=read_options(ClassifyOptions, row.options),
        model_version_id=row.model_version_id,
        precision=precision,
        settled=row.precision != AUTO,
        suspects=suspects_from_row(row.suspects),
        errors=row.errors,
    )
