"""Cancelling: once `cancelled` shows, no row is added and nobody computes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job, continue_cancelling, end_job
from imgq_db.chunks import ChunkLease, finish_chunk, holds_lease, let_go, renew_lease
from imgq_db.closing import close_finished_jobs, close_job
from imgq_db.errors import JobNotFound, LeaseLost
from imgq_db.jobs import Job, JobError, JobState, get_job
from imgq_db.ledger import LedgerRow
from imgq_db.verifying import verify_job

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
Count = Callable[[str], int]
ERROR = JobError("model-unloadable", "The model cannot be loaded", "It is gone.", "Import it.")
ROUNDS = 25


def test_a_queued_job_is_cancelled_at_once(engine: Engine, make_job: Jobs) -> None:
    ended = cancel_job(engine, make_job().uid)
    assert (ended.state, ended.error) == (JobState.CANCELLED, None)
    assert ended.finished_at is not None


def test_an_unknown_job_cannot_be_cancelled(engine: Engine) -> None:
    with pytest.raises(JobNotFound):
        cancel_job(engine, uuid4())


def test_an_ended_job_stays_as_it_is(engine: Engine, listed: Jobs) -> None:
    job = listed()
    close_job(engine, job.id)
    before = get_job(engine, job.uid)
    assert cancel_job(engine, job.uid) == before
    end_job(engine, job.id, ERROR)
    assert get_job(engine, job.uid) == before


def test_a_cancelled_job_gains_no_rows(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    job = listed(1, 1, 1)
    finished, computing = claim(), claim()
    finish_chunk(engine, finished, rows(finished))
    cancel_job(engine, job.uid)
    with pytest.raises(LeaseLost):
        finish_chunk(engine, computing, rows(computing))
    assert not renew_lease(engine, computing, lease_seconds=30)
    assert not holds_lease(engine, computing)
    assert (count("prediction"), count("chunk WHERE state = 'cancelled'")) == (1, 2)


def test_cancelling_shows_until_the_last_worker_has_let_go(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    job = listed(1, 1, 1)
    one, other = claim(), claim()
    seen = [cancel_job(engine, job.uid).state]
    for lease in (one, other):
        let_go(engine, lease)
        close_job(engine, job.id)
        seen.append(get_job(engine, job.uid).state)
    assert seen == [JobState.CANCELLING, JobState.CANCELLING, JobState.CANCELLED]


def test_cancelling_ends_with_the_lease_of_a_worker_that_died(
    engine: Engine, listed: Jobs, claim: Claim, move_clock: Callable[[float], None]
) -> None:
    job = listed(1)
    claim()
    cancel_job(engine, job.uid)
    move_clock(29)
    assert close_finished_jobs(engine) == 0
    move_clock(2)
    assert close_finished_jobs(engine) == 1
    assert get_job(engine, job.uid).state is JobState.CANCELLED


def test_a_second_cancel_of_a_job_that_is_being_cancelled_changes_nothing(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    job = listed(1)
    claim()
    assert cancel_job(engine, job.uid) == cancel_job(engine, job.uid)


def test_a_cancelled_jobs_counters_are_the_rows_that_it_has(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job = listed(2, 3)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    progress = cancel_job(engine, job.uid).progress
    assert (progress.total, progress.ok, progress.done) == (5, 2, 2)
    assert all(check.holds for check in verify_job(engine, job.uid))


def test_a_job_ended_for_a_reason_fails_with_it(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job = listed(1, 1)
    lease = claim()
    end_job(engine, job.id, ERROR)
    assert get_job(engine, job.uid).state is JobState.CANCELLING
    with pytest.raises(LeaseLost):
        finish_chunk(engine, lease, rows(lease))
    let_go(engine, lease)
    close_job(engine, job.id)
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.error) == (JobState.FAILED, ERROR)


def test_a_cancel_and_an_error_at_once_keep_the_first(engine: Engine, listed: Jobs) -> None:
    job = listed(1)
    cancelled = cancel_job(engine, job.uid)
    end_job(engine, job.id, ERROR)
    assert get_job(engine, job.uid) == cancelled


def test_a_job_of_many_chunks_is_cancelled_in_batches(
    engine: Engine, listed: Jobs, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_db.cancelling._BATCH", 2)
    monkeypatch.setattr("imgq_db.cancelling.ROUND_SECONDS", 0)
    job = listed(*[1] * 7)
    assert cancel_job(engine, job.uid).state is JobState.CANCELLING
    assert [continue_cancelling(engine) for _ in range(4)] == [2, 2, 1, 0]
    assert close_finished_jobs(engine) == 1
    assert count("chunk WHERE state = 'cancelled' AND token = 1") == 7


def test_a_cancel_racing_a_finish_leaves_rows_or_a_cancel_never_both(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    outcomes = set()

    def finish(lease: ChunkLease, late_seconds: float) -> bool:
        threading.Event().wait(late_seconds)  # from just before the cancel to well after it
        try:
            finish_chunk(engine, lease, rows(lease))
        except LeaseLost:
            let_go(engine, lease)
            return False
        close_job(engine, lease.job_id)
        return True

    with ThreadPoolExecutor(2) as pool:
        for number in range(ROUNDS):
            job = listed(3)
            finished = pool.submit(finish, claim(), 0.06 * number / ROUNDS)
            pool.submit(cancel_job, engine, job.uid).result()
            written = finished.result()
            continue_cancelling(engine)
            close_finished_jobs(engine)
            ended = get_job(engine, job.uid)
            assert ended.state in (JobState.SUCCEEDED, JobState.CANCELLED)
            assert count(f"prediction WHERE job_id = {job.id}") == (3 if written else 0)
            assert ended.state is not JobState.SUCCEEDED or written
            assert all(check.holds for check in verify_job(engine, job.uid))
            outcomes.add(written)
    assert outcomes == {True, False}
