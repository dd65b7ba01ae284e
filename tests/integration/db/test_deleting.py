"""Deleting: gone for users at once, gone from the tables in batches."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db import deleting
from imgq_db.cancelling import cancel_job
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


def test_rows_of_deleted_jobs_go_in_batches_and_no_others(
    engine: Engine, done: Jobs, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "BATCH", 2)
    jobs = [done(*LEDGER) for _ in range(3)]
    for job in jobs[::2]:
        delete_job(engine, job.uid)
    removed = []
    while batch := purge_deleted(engine):
        removed.append(batch)
    assert removed == [2, 2, 1, 1] * 2
    assert (count("prediction"), count("chunk"), count("job")) == (5, 1, 1)
    assert get_job(engine, jobs[1].uid) == jobs[1]


def test_a_deleted_jobs_idempotency_key_is_free_again(engine: Engine, make_job: Jobs) -> None:
    first = make_job(idempotency_key="k")
    cancel_job(engine, first.uid)
    delete_job(engine, first.uid)
    assert make_job(idempotency_key="k").uid != first.uid
