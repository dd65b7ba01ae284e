"""Retries: a new job; the old one never changes."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, finish_chunk
from imgq_db.deleting import delete_job
from imgq_db.errors import JobNotFound, JobStillRunning, NothingToRetry
from imgq_db.jobs import Job, JobState, Priority, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.options import ClassifyOptions
from imgq_db.retries import _BEFORE_FOLDERS, _FAILED_PATHS, failed_paths, retry_job

Jobs = Callable[..., Job]
STATUSES = [RowStatus.FAILED, RowStatus.OK, RowStatus.SKIPPED, RowStatus.FAILED, RowStatus.FAILED]
LEDGER = [
    LedgerRow(b"%d\xff\n" % n, status, 0, (0,), (1.0,))
    if status is RowStatus.OK
    else LedgerRow(b"%d\xff\n" % n, status, error_code="corrupt")
    for n, status in enumerate(STATUSES)
]
ASKED: dict[str, object] = {
    "name": "spring",
    "tags": {"site": "7"},
    "priority": Priority.LOW,
    "options": ClassifyOptions(top_k=3, include=("*.jpg",), max_failures="9"),
}


def test_a_retry_is_a_new_job_with_what_the_old_one_asked(engine: Engine, done: Jobs) -> None:
    old = done(*LEDGER, **ASKED)
    new = retry_job(engine, old.uid, only_failed=False)
    kept = ("name", "tags", "priority", "options", "source", "root", "model", "kind")
    assert [getattr(new, field) for field in kept] == [getattr(old, field) for field in kept]
    assert new.precision == "auto"  # who settled it then may be gone
    assert (new.retry_of, new.state, new.progress.total) == (old.uid, JobState.QUEUED, None)
    assert new.uid != old.uid
    assert get_job(engine, old.uid) == old


def test_what_failed_is_listed_in_walk_order_and_from_any_point(engine: Engine, done: Jobs) -> None:
    done(LedgerRow(b"other", RowStatus.FAILED, error_code="corrupt"))
    old = done(*LEDGER)
    failed = ((0, b"0\xff\n"), (3, b"3\xff\n"), (4, b"4\xff\n"))
    assert failed_paths(engine, old.uid, after=-1, limit=9) == failed
    assert failed_paths(engine, old.uid, after=-1, limit=2) == failed[:2]
    assert failed_paths(engine, old.uid, after=0, limit=9) == failed[1:]
    assert failed_paths(engine, old.uid, after=4, limit=9) == ()


@pytest.fixture
def patchy(engine: Engine, listed: Jobs, claim: Callable[[], ChunkLease]) -> Job:
    """A job of five chunks, of which the second and the last hold a failure each."""
    job = listed(3, 2, 9, 9, 2)
    for failed in (None, 0, None, None, 0):
        lease = claim()
        rows = [LedgerRow(name, RowStatus.OK, 0, (0,), (1.0,)) for name in lease.names]
        if failed is not None:
            path = lease.names[failed]
            rows[failed] = LedgerRow(path, RowStatus.FAILED, error_code="corrupt")
        finish_chunk(engine, lease, rows)
    return job


def rows_read(plan: dict[str, Any]) -> Iterator[int]:
    """Yield how many rows of the ledger each part of a plan read."""
    if plan.get("Relation Name") == "prediction":
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield round(read * plan["Actual Loops"])
    for part in plan.get("Plans", ()):
        yield from rows_read(part)


def test_failures_are_found_in_every_chunk(engine: Engine, patchy: Job) -> None:
    failed = ((3, b"000003.jpg"), (23, b"000023.jpg"))
    assert failed_paths(engine, patchy.uid, after=-1, limit=9) == failed
    assert failed_paths(engine, patchy.uid, after=-1, limit=1) == failed[:1]
    for after in (3, 4, 22):
        assert failed_paths(engine, patchy.uid, after=after, limit=9) == failed[1:]


@pytest.mark.parametrize("query", [_FAILED_PATHS, _BEFORE_FOLDERS], ids=["failed", "folders"])
def test_only_rows_of_chunks_with_failures_are_read(
    engine: Engine, patchy: Job, query: str
) -> None:
    keys = {"uid": patchy.uid, "job_id": patchy.id, "after": -1, "limit": 9}
    assert read_by(engine, query, keys) == 2 + 2


def read_by(engine: Engine, query: str, keys: dict[str, Any]) -> int:
    """Return how many rows of the ledger a query reads."""
    with engine.begin() as connection:
        # The tables of a test are so small that nothing is faster than reading all of them.
        connection.execute(
            text("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        )
        explain = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        [told] = connection.execute(explain, keys).scalar_one()
    return sum(rows_read(told["Plan"]))


@pytest.fixture
def failing(engine: Engine, listed: Jobs, claim: Callable[[], ChunkLease]) -> Job:
    """A job of twenty chunks of three images, all of which failed."""
    job = listed(*[3] * 20)
    for _ in range(20):
        lease = claim()
        finish_chunk(
            engine,
            lease,
            [LedgerRow(name, RowStatus.FAILED, error_code="corrupt") for name in lease.names],
        )
    return job


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 60, 99])
def test_page_by_page_every_failure_is_found_once(engine: Engine, failing: Job, limit: int) -> None:
    found: list[int] = []
    while page := failed_paths(engine, failing.uid, after=found[-1] if found else -1, limit=limit):
        assert len(page) <= limit
        found += [image for image, _ in page]
    assert found == list(range(60))


def test_a_page_reads_little_more_than_its_own_rows(engine: Engine, failing: Job) -> None:
    keys = {"job_id": failing.id, "after": 10, "limit": 3}
    assert read_by(engine, _FAILED_PATHS, keys) <= 3 * 3


def test_a_job_without_failures_has_nothing_to_retry(engine: Engine, done: Jobs) -> None:
    old = done(*LEDGER[1:3])
    with pytest.raises(NothingToRetry):
        retry_job(engine, old.uid, only_failed=True)
    assert retry_job(engine, old.uid, only_failed=False).retry_of == old.uid


def test_a_job_that_has_not_ended_cannot_be_retried(engine: Engine, listed: Jobs) -> None:
    with pytest.raises(JobStillRunning):
        retry_job(engine, listed(1).uid, only_failed=False)


def test_a_cancelled_job_can_be_retried(engine: Engine, make_job: Jobs) -> None:
    old = cancel_job(engine, make_job().uid)
    assert retry_job(engine, old.uid, only_failed=False).state is JobState.QUEUED
    with pytest.raises(NothingToRetry):
        retry_job(engine, old.uid, only_failed=True)


def test_a_deleted_or_unknown_job_cannot_be_retried(engine: Engine, done: Jobs) -> None:
    old = done(*LEDGER)
    delete_job(engine, old.uid)
    for uid in (old.uid, uuid4()):
        with pytest.raises(JobNotFound):
            retry_job(engine, uid, only_failed=False)


def test_the_same_retry_twice_is_one_job(engine: Engine, done: Jobs) -> None:
    old = done(*LEDGER)
    retries = [
        retry_job(engine, old.uid, only_failed=True, key_id=4, idempotency_key="k")
        for _ in range(2)
    ]
    assert retries[0] == retries[1]


def test_all_of_a_retry_of_failures_are_these_failures_again(engine: Engine, done: Jobs) -> None:
    first = done(*LEDGER)
    again = retry_job(engine, first.uid, only_failed=True)
    cancel_job(engine, again.uid)
    once_more = retry_job(engine, again.uid, only_failed=False)
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT only_failed, retry_of FROM job WHERE uid = :uid"), {"uid": once_more.uid}
        ).one()
    assert tuple(row) == (True, first.uid)
