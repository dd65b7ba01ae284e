"""Closing: exactly when nothing is left, with counters that equal the rows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from imgq_db import closing
from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, finish_chunk, let_go
from imgq_db.closing import EMPTY_SOURCE, close_finished_jobs, close_job
from imgq_db.errors import LeaseLost
from imgq_db.jobs import Job, JobState, Progress, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.listing import claim_listing
from imgq_db.options import ClassifyOptions
from imgq_db.sources import FILE_ROOT
from imgq_db.summaries import Counts, count_rows
from imgq_db.verifying import verify_job

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
ROUNDS = 40


def ledger(ok: int, failed: int, skipped: int = 0) -> list[LedgerRow]:
    statuses = [RowStatus.OK] * ok + [RowStatus.FAILED] * failed + [RowStatus.SKIPPED] * skipped
    return [
        LedgerRow(b"%04d" % n, status, top_labels=(0,), top_scores=(1.0,))
        if status is RowStatus.OK
        else LedgerRow(b"%04d" % n, status, error_code="corrupt")
        for n, status in enumerate(statuses)
    ]


def test_a_job_succeeds_when_its_last_chunk_is_done(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job = listed(2, 1)
    for closed in (False, True):
        lease = claim()
        finish_chunk(engine, lease, rows(lease))
        assert close_job(engine, job.id) is closed
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    assert ended.finished_at is not None
    assert not close_job(engine, job.id)


def test_an_ended_jobs_counters_are_its_rows(done: Jobs) -> None:
    rows = [*ledger(2, 3, 1), LedgerRow(b"z", RowStatus.OK, 0, (0,), (1.0,), cached=True)]
    progress = done(*rows).progress
    speed = progress.images_per_second
    assert progress == Progress(7, ok=3, failed=3, skipped=1, cached=1, images_per_second=speed)
    assert speed is not None and 0 < speed < 1e6


def test_a_job_whose_listing_goes_on_is_not_closed(engine: Engine, make_job: Jobs) -> None:
    job = make_job()
    assert not close_job(engine, job.id)
    claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30)
    assert (close_job(engine, job.id), close_finished_jobs(engine)) == (False, 0)


def test_a_job_with_a_leased_chunk_is_not_closed(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    job = listed(1)
    claim()
    assert (close_job(engine, job.id), close_finished_jobs(engine)) == (False, 0)


def test_a_folder_without_files_fails_the_job(engine: Engine, listed: Jobs) -> None:
    job = listed()
    assert close_job(engine, job.id)
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.error) == (JobState.FAILED, EMPTY_SOURCE)
    assert ended.progress.fraction == 1.0


def test_a_folder_of_bad_pictures_is_a_success(done: Jobs) -> None:
    ended = done(*ledger(0, 3))
    assert (ended.state, ended.progress.failed) == (JobState.SUCCEEDED, 3)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM prediction WHERE image = 1",
        "UPDATE prediction SET status = 1 WHERE image = 1",
        "INSERT INTO prediction SELECT job_id, 77, chunk_id, token, status, label, confidence,"
        " top_labels, top_scores, cached, error_code, error_detail, digest, path"
        " FROM prediction WHERE image = 0",
        "UPDATE job SET listed_images = 4",
    ],
)
def test_a_ledger_that_does_not_add_up_never_succeeds(
    damage: str,
    engine: Engine,
    listed: Jobs,
    claim: Claim,
    rows: Rows,
    execute: Callable[[str], None],
) -> None:
    job = listed(3)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    execute(damage)
    assert close_job(engine, job.id)
    ended = get_job(engine, job.uid)
    assert ended.state is JobState.FAILED
    assert ended.error is not None and ended.error.slug == "ledger-mismatch"


@pytest.mark.parametrize(
    ("budget", "failed", "state"),
    [
        ("0", 0, JobState.SUCCEEDED),
        ("0", 1, JobState.FAILED),
        ("2", 2, JobState.SUCCEEDED),
        ("2", 3, JobState.FAILED),
        ("30%", 3, JobState.SUCCEEDED),
        ("29.9%", 3, JobState.FAILED),
    ],
)
def test_a_job_fails_when_more_images_fail_than_its_budget(
    budget: str, failed: int, state: JobState, done: Jobs
) -> None:
    ended = done(*ledger(10 - failed, failed), options=ClassifyOptions(max_failures=budget))
    assert ended.state is state
    assert (ended.error.slug if ended.error else None) == (
        "failure-budget-exceeded" if state is JobState.FAILED else None
    )
    assert ended.progress.done == 10


def test_skipped_files_are_no_failures(done: Jobs) -> None:
    ended = done(*ledger(1, 0, 9), options=ClassifyOptions(max_failures="0"))
    assert ended.state is JobState.SUCCEEDED


def test_two_last_chunks_that_finish_at_once_always_close_the_job(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    def finish(lease: ChunkLease) -> bool:
        finish_chunk(engine, lease, rows(lease))
        return close_job(engine, lease.job_id)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            job = listed(1, 1)
            closed = list(pool.map(finish, [claim(), claim()]))
            assert sorted(closed) == [False, True]
            assert get_job(engine, job.uid).state is JobState.SUCCEEDED


def test_many_closers_at_once_close_a_job_once(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job = listed(1)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: close_job(engine, job.id), range(8))) == 1
    assert all(check.holds for check in verify_job(engine, job.uid))


def test_a_closer_that_never_came_is_made_up_for(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    jobs = [listed(1), listed(1), listed()]
    for _ in range(2):
        lease = claim()
        finish_chunk(engine, lease, rows(lease))
    assert (close_finished_jobs(engine), close_finished_jobs(engine)) == (3, 0)
    assert all(get_job(engine, job.uid).state.terminal for job in jobs)


def test_a_job_that_cannot_be_counted_keeps_no_other_from_its_end(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = listed(1), listed(1)
    for _ in range(2):
        lease = claim()
        finish_chunk(engine, lease, rows(lease))

    def count(connection: Connection, job_id: int) -> Counts:
        if job_id == bad.id:
            connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$"))
        return count_rows(connection, job_id)

    monkeypatch.setattr(closing, "count_rows", count)
    with pytest.raises(OperationalError):
        close_finished_jobs(engine)
    states = [get_job(engine, job.uid).state for job in (bad, good)]
    assert states == [JobState.RUNNING, JobState.SUCCEEDED]


def test_those_that_are_counted_soon_are_closed_first(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small, cancelled = listed(3), listed(1), listed(2)
    for _ in range(2):
        lease = claim()
        finish_chunk(engine, lease, rows(lease))
    held, turns = claim(), list[int]()
    cancel_job(engine, cancelled.uid)
    assert let_go(engine, held)

    def close(_engine: Engine, job_id: int) -> bool:
        turns.append(job_id)
        return True

    monkeypatch.setattr(closing, "close_job", close)
    assert close_finished_jobs(engine) == 3
    assert turns == [cancelled.id, small.id, large.id]


def test_a_finished_job_takes_no_row(
    engine: Engine, done: Jobs, count: Callable[[str], int]
) -> None:
    job = done(*ledger(2, 0))
    stale = ChunkLease(
        chunk_id=1,
        job_id=job.id,
        job_uid=job.uid,
        owner=job.uid,
        token=1,
        first_image=0,
        names=(b"a",),
        source=job.source,
        options=job.classify_options,
        model_version_id=job.labels_version_id,
        precision=job.precision,
    )
    with pytest.raises(LeaseLost):
        finish_chunk(engine, stale, ledger(1, 0))
    assert count("prediction") == 2
