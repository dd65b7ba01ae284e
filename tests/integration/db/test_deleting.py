"""Deleting: gone for users at once, gone from the tables in batches."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db import deleting
from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, finish_chunk
from imgq_db.closing import close_job
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.errors import JobNotFound, JobStillRunning
from imgq_db.jobs import Job, get_job, list_jobs
from imgq_db.ledger import LedgerRow, RowStatus

Jobs = Callable[..., Job]
Count = Callable[[str], int]
LEDGER = [LedgerRow(b"%d" % n, RowStatus.FAILED, error_code="corrupt") for n in range(5)]


def test_a_deleted_job_is_gone_at_once(engine: Engine, done: Jobs) -> None:
    job, other = done(*LEDGER), done(*LEDGER)
    delete_job(engine, job.uid)
    for act in (get_job, delete_job, cancel_job):
        with pytest.raises(JobNotFound):
            act(engine, job.uid)
    assert list_jobs(engine).items == (other,)


@pytest.mark.parametrize("claimed", [False, True])
def test_a_job_that_has_not_ended_cannot_be_deleted(
    claimed: bool, engine: Engine, listed: Jobs, claim: Callable[[], object]
) -> None:
    job = listed(1)
    if claimed:
        claim()
        cancel_job(engine, job.uid)
    with pytest.raises(JobStillRunning, match="cannot be deleted yet"):
        delete_job(engine, job.uid)
    assert get_job(engine, job.uid).uid == job.uid


def test_an_unknown_job_cannot_be_deleted(engine: Engine) -> None:
    with pytest.raises(JobNotFound):
        delete_job(engine, uuid4())


@pytest.fixture
def ended(
    engine: Engine,
    listed: Jobs,
    claim: Callable[[], ChunkLease],
    rows: Callable[[ChunkLease], list[LedgerRow]],
) -> Jobs:
    """A job of chunks of these sizes, all done."""

    def make(*sizes: int) -> Job:
        job = listed(*sizes)
        for _ in sizes:
            lease = claim()
            finish_chunk(engine, lease, rows(lease))
        close_job(engine, job.id)
        return get_job(engine, job.uid)

    return make


def purged(engine: Engine) -> list[int]:
    removed = []
    while batch := purge_deleted(engine):
        removed.append(batch)
    return removed


def test_rows_of_deleted_jobs_go_in_batches_and_no_others(
    engine: Engine, ended: Jobs, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "BATCH", 4)
    jobs = [ended(1, 2, 3, 2) for _ in range(3)]
    for job in jobs[::2]:
        delete_job(engine, job.uid)
    # Rows and chunks: 1 + 2 + 3 of 3, 2 of 1; the job.
    assert purged(engine) == [9, 3, 1] * 2
    assert (count("prediction"), count("chunk"), count("job")) == (8, 4, 1)
    assert get_job(engine, jobs[1].uid) == jobs[1]


def test_of_many_small_chunks_a_batch_takes_no_more_than_so_many(
    engine: Engine, ended: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "BATCH_CHUNKS", 2)
    delete_job(engine, ended(1, 1, 1).uid)
    assert purged(engine) == [4, 2, 1]


def test_rows_that_lost_their_chunk_go_too(
    engine: Engine,
    ended: Jobs,
    count: Count,
    execute: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deleting, "BATCH", 2)
    delete_job(engine, ended(5).uid)
    execute("DELETE FROM chunk")
    assert purged(engine) == [2, 2, 1, 1]
    assert (count("prediction"), count("job")) == (0, 0)


def test_a_deleted_jobs_idempotency_key_is_free_again(engine: Engine, make_job: Jobs) -> None:
    first = make_job(idempotency_key="k")
    cancel_job(engine, first.uid)
    delete_job(engine, first.uid)
    assert make_job(idempotency_key="k").uid != first.uid
