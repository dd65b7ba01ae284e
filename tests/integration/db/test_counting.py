"""The counters that polling reads: a snapshot that is never far behind, and never wrong."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, finish_chunk, let_go
from imgq_db.closing import close_job
from imgq_db.counting import store_counters, store_running_counters
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.options import ClassifyOptions

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
Clock = Callable[[float], None]


def failures(lease: ChunkLease) -> list[LedgerRow]:
    return [LedgerRow(name, RowStatus.FAILED, error_code="corrupt") for name in lease.names]


def test_a_snapshot_holds_the_sums_of_the_done_chunks(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job = listed(2, 3, 4)
    for make in (rows, failures):
        lease = claim()
        finish_chunk(engine, lease, make(lease))
    assert store_counters(engine, job.id)
    progress = get_job(engine, job.uid).progress
    assert (progress.ok, progress.failed, progress.done, progress.total) == (2, 3, 5, 9)
    assert progress.fraction == pytest.approx(5 / 9)


def test_a_snapshot_is_taken_at_most_once_a_second(
    engine: Engine, listed: Jobs, move_clock: Clock
) -> None:
    job = listed(1)
    taken = [store_counters(engine, job.id), store_counters(engine, job.id)]
    move_clock(1.1)
    assert [*taken, store_counters(engine, job.id)] == [True, False, True]


def test_a_snapshot_of_a_huge_job_is_taken_less_often(
    engine: Engine, listed: Jobs, execute: Callable[[str], None], move_clock: Clock
) -> None:
    job = listed(1)
    execute("UPDATE job SET listed_images = 100000000")
    taken = []
    for _ in range(3):
        taken.append(store_counters(engine, job.id))
        move_clock(5.1)
    assert taken == [True, False, True]


def test_speed_follows_what_was_done_lately(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, move_clock: Clock
) -> None:
    job = listed(100, 200, 1)
    speeds = []
    for _ in range(2):
        lease = claim()
        finish_chunk(engine, lease, rows(lease))
        move_clock(10)
        store_counters(engine, job.id)
        speeds.append(get_job(engine, job.uid).progress.images_per_second)
    assert speeds == [pytest.approx(10, rel=0.1), pytest.approx(0.6 * 10 + 0.4 * 20, rel=0.1)]
    assert get_job(engine, job.uid).progress.eta_seconds == pytest.approx(1 / 14, rel=0.1)


def test_a_job_that_stands_still_for_hours_keeps_being_counted(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, move_clock: Clock
) -> None:
    job = listed(3, 1)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    move_clock(1)
    for _ in range(60):
        assert store_counters(engine, job.id, interval_seconds=0)
    progress = get_job(engine, job.uid).progress
    assert (progress.ok, progress.eta_seconds) == (3, None)


def test_counters_of_an_ended_job_are_never_touched(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, move_clock: Clock
) -> None:
    job = listed(1)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    close_job(engine, job.id)
    move_clock(60)
    assert (store_counters(engine, job.id), store_running_counters(engine)) == (False, 0)


def test_every_running_job_is_counted_a_queued_one_is_not(
    engine: Engine, listed: Jobs, make_job: Jobs
) -> None:
    listed(1), listed(1), make_job()
    assert store_running_counters(engine) == 2


@pytest.mark.parametrize(
    ("budget", "state"), [("2", JobState.CANCELLING), ("3", JobState.RUNNING), ("60%", "running")]
)
def test_a_job_over_its_budget_is_ended_before_it_is_through(
    budget: str, state: str, engine: Engine, listed: Jobs, claim: Claim
) -> None:
    job = listed(3, 2, options=ClassifyOptions(max_failures=budget))
    lease = claim()
    finish_chunk(engine, lease, failures(lease))
    claim()
    store_counters(engine, job.id)
    assert get_job(engine, job.uid).state == state


def test_a_job_ended_by_its_budget_says_so(engine: Engine, listed: Jobs, claim: Claim) -> None:
    job = listed(3, 2, options=ClassifyOptions(max_failures="50%"))
    lease = claim()
    finish_chunk(engine, lease, failures(lease))
    store_counters(engine, job.id)
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.failed) == (JobState.FAILED, 3)
    assert ended.error is not None and ended.error.slug == "failure-budget-exceeded"


def test_a_job_that_is_being_cancelled_is_still_counted(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job = listed(2, 1)
    finished, computing = claim(), claim()
    finish_chunk(engine, finished, rows(finished))
    assert cancel_job(engine, job.uid).state is JobState.CANCELLING
    store_counters(engine, job.id)
    assert get_job(engine, job.uid).progress.ok == 2
    let_go(engine, computing)
