"""Summaries: counted once, at the end of a job; never again, however many rows it has."""

from collections.abc import Callable

from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, finish_chunk
from imgq_db.closing import close_job
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.summaries import Summary, may_count, store_missing_summary, summarize
from imgq_db.verifying import verify_job

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
Count = Callable[..., int]

ROWS = (
    LedgerRow(b"a", RowStatus.OK, 1, (1,), (0.95,), cached=True),
    LedgerRow(b"b", RowStatus.OK, None, (0,), (0.25,)),
    LedgerRow(b"c", RowStatus.FAILED, error_code="corrupt"),
    LedgerRow(b"d", RowStatus.FAILED, error_code="truncated"),
    LedgerRow(b"e", RowStatus.FAILED, error_code="truncated"),
    LedgerRow(b"f", RowStatus.SKIPPED, error_code="not_an_image"),
)
SUMMARY = Summary(
    labels=(("crane", 1),),
    unsure=1,
    failed={"truncated": 2, "corrupt": 1},
    skipped={"not_an_image": 1},
    histogram=(0, 0, 1, 0, 0, 0, 0, 0, 0, 1),
)


def test_an_ended_job_is_never_counted_again(
    engine: Engine, done: Jobs, labels: tuple[str, ...], execute: Callable[[str], None]
) -> None:
    job = done(*ROWS)
    execute("DELETE FROM prediction")
    assert summarize(engine, job) == SUMMARY
    assert list(summarize(engine, job).failed) == ["truncated", "corrupt"]
    assert store_missing_summary(engine) == 0


def test_a_running_jobs_summary_follows_its_rows(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, labels: tuple[str, ...]
) -> None:
    job = listed(2, 2)
    seen = []
    for _ in range(2):
        seen.append(summarize(engine, get_job(engine, job.uid)).labels)
        lease = claim()
        finish_chunk(engine, lease, rows(lease))
    assert seen == [(), (("tabby", 2),)]


def test_a_job_that_ended_early_is_counted_by_the_reconciler_once(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    job = listed(2, 2)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    assert cancel_job(engine, job.uid).state is JobState.CANCELLED
    assert [store_missing_summary(engine) for _ in range(2)] == [1, 0]
    assert count("job_summary WHERE counts ->> 'rows' = '2'") == 1
    assert all(check.holds for check in verify_job(engine, job.uid))


def test_a_job_that_somebody_counts_is_counted_and_closed_by_nobody_else(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    early, job = listed(2), listed(2)
    cancel_job(engine, early.uid)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    with engine.begin() as other:
        assert may_count(other, early.id) and may_count(other, job.id)
        assert not close_job(engine, job.id)
        assert store_missing_summary(engine) == 0
    assert close_job(engine, job.id)
    assert [store_missing_summary(engine) for _ in range(2)] == [1, 0]
    with engine.begin() as other:
        assert not may_count(other, job.id)


def test_a_summary_that_lies_is_found(
    engine: Engine, done: Jobs, execute: Callable[[str], None]
) -> None:
    job = done(*ROWS)
    execute("UPDATE job_summary SET counts = counts || '{\"cached\": 7}'")
    broken = {check.rule: check.violations for check in verify_job(engine, job.uid)}
    assert broken["an ended job's summary is what its rows add up to"] == 1


def test_a_summary_goes_with_its_job(engine: Engine, done: Jobs, count: Count) -> None:
    delete_job(engine, done(*ROWS).uid)
    while purge_deleted(engine):
        pass
    assert (count("job"), count("job_summary")) == (0, 0)
