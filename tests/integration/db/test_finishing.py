"""Finishing a chunk: one transaction under its token, whatever breaks around it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from imgq_db import chunks
from imgq_db.chunks import (
    ChunkLease,
    finish_chunk,
    holds_lease,
)
from imgq_db.errors import LeaseLost
from imgq_db.jobs import Job
from imgq_db.ledger import LedgerRow, write_rows
from imgq_db.settings import Settings

from .conftest import PENDING, chunk_row

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
Count = Callable[[str], int]
Clock = Callable[[float], None]


def test_a_finished_chunk_holds_its_counters_and_nobody(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    listed(3)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    assert chunk_row(engine, lease) == {**PENDING, "state": "done", "token": 1, "ok": 3}


def test_finishing_twice_writes_once(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    listed(3)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    with pytest.raises(LeaseLost):
        finish_chunk(engine, lease, rows(lease))
    assert count("prediction") == 3


def test_a_chunk_is_finished_by_one_of_many_at_once(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    listed(3)
    lease = claim()

    def finish(_: int) -> bool:
        try:
            finish_chunk(engine, lease, rows(lease))
        except LeaseLost:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(finish, range(8))) == [False] * 7 + [True]
    assert count("prediction") == 3


def test_a_token_does_not_help_who_is_not_the_owner(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    """A server that crashed may forget a claim, and give its token out once more."""
    listed(3)
    lease = claim()
    forgotten = replace(lease, owner=uuid4())
    with pytest.raises(LeaseLost):
        finish_chunk(engine, forgotten, rows(forgotten))
    assert (count("prediction"), holds_lease(engine, lease)) == (0, True)


@pytest.mark.parametrize("missing", [1, -1])
def test_a_row_too_few_or_too_many_is_never_written(
    missing: int, engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    listed(3)
    lease = claim()
    with pytest.raises(ValueError, match="rows for 3 images"):
        finish_chunk(engine, lease, (rows(lease) * 2)[: 3 - missing])
    assert (count("prediction"), holds_lease(engine, lease)) == (0, True)


def test_a_connection_lost_after_the_commit_is_a_finished_chunk(
    engine: Engine,
    listed: Jobs,
    claim: Claim,
    rows: Rows,
    count: Count,
    broken_commit: Callable[[bool], None],
) -> None:
    listed(3)
    lease = claim()
    broken_commit(True)
    finish_chunk(engine, lease, rows(lease))
    assert (count("prediction"), count("chunk WHERE state = 'done'")) == (3, 1)


def test_a_connection_lost_before_the_commit_leaves_the_chunk_leased(
    engine: Engine,
    listed: Jobs,
    claim: Claim,
    rows: Rows,
    count: Count,
    broken_commit: Callable[[bool], None],
) -> None:
    listed(3)
    lease = claim()
    broken_commit(False)
    with pytest.raises(OperationalError):
        finish_chunk(engine, lease, rows(lease))
    assert (count("prediction"), holds_lease(engine, lease)) == (0, True)
    finish_chunk(engine, lease, rows(lease))
    assert count("prediction") == 3


def test_a_backend_killed_before_the_rows_leaves_the_chunk_leased(
    engine: Engine,
    settings: Settings,
    listed: Jobs,
    claim: Claim,
    rows: Rows,
    count: Count,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed(3)
    lease = claim()

    def kill_then_write(connection: object, **values: object) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()  # type: ignore[attr-defined]
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        write_rows(connection, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(chunks, "write_rows", kill_then_write)
    with pytest.raises(DBAPIError):
        finish_chunk(engine, lease, rows(lease))
    assert (count("prediction"), holds_lease(engine, lease)) == (0, True)


def test_a_row_that_is_there_already_is_an_error_that_surfaces(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    job = listed(3)
    lease = claim()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO prediction (job_id, image, chunk_id, token, status, cached, path)"
                " VALUES (:job, 1, :chunk, 0, 0, false, 'x')"
            ),
            {"job": job.id, "chunk": lease.chunk_id},
        )
    with pytest.raises(IntegrityError, match="pk_prediction"):
        finish_chunk(engine, lease, rows(lease))
    assert (count("prediction"), holds_lease(engine, lease)) == (1, True)
