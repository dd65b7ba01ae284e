"""A job whose stored options this version cannot do ends failed, and holds up nothing else."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from imgq_db.chunks import ChunkLease, claim_chunk, finish_chunk
from imgq_db.closing import close_job
from imgq_db.counting import store_running_counters
from imgq_db.jobs import Job, JobKind, JobState, get_job, list_jobs
from imgq_db.ledger import LedgerRow
from imgq_db.listing import claim_listing
from imgq_db.sources import FILE_ROOT
from imgq_db.train_options import TrainOptions
from imgq_db.training.leases import claim_training
from imgq_db.verifying import verify_job

Jobs = Callable[..., Job]
Spoil = Callable[..., None]
Claim = Callable[[], ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]


@pytest.fixture
def spoil(engine: Engine) -> Spoil:
    """Let another version have stored a job's options."""

    def run(job: Job, **options: object) -> None:
        statement = "UPDATE job SET options = options || CAST(:options AS jsonb) WHERE id = :id"
        with engine.begin() as connection:
            connection.execute(text(statement), {"id": job.id, "options": json.dumps(options)})

    return run


def reason(engine: Engine, job: Job) -> tuple[JobState, str | None, str | None]:
    ended = get_job(engine, job.uid)
    if ended.error is None:
        return ended.state, None, None
    return ended.state, ended.error.slug, ended.error.detail


UNREADABLE = (JobState.FAILED, "options-unreadable", "top_k is 5000; it must be 1 to 100.")


def test_a_claim_goes_to_the_next_job_and_leaves_no_lease(
    engine: Engine, listed: Jobs, spoil: Spoil
) -> None:
    bad, good = listed(1), listed(1)
    spoil(bad, top_k=5000)
    lease = claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None and lease.job_id == good.id
    assert reason(engine, bad) == UNREADABLE
    assert all(check.holds for check in verify_job(engine, bad.uid))


def test_a_listing_goes_to_the_next_job(engine: Engine, make_job: Jobs, spoil: Spoil) -> None:
    bad, good = make_job(), make_job()
    spoil(bad, top_k=5000)
    lease = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None and lease.job_id == good.id
    assert reason(engine, bad) == UNREADABLE


def test_a_trainer_goes_to_the_next_training(engine: Engine, make_job: Jobs, spoil: Spoil) -> None:
    bad, good = (make_job(kind=JobKind.TRAIN, options=TrainOptions("birds")) for _ in range(2))
    spoil(bad, preset="newer")
    lease = claim_training(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None and lease.job_id == good.id
    assert reason(engine, bad)[:2] == (JobState.FAILED, "options-unreadable")


def test_a_job_that_runs_ends_when_it_is_counted(
    engine: Engine, listed: Jobs, spoil: Spoil
) -> None:
    bad = listed(1)
    spoil(bad, top_k=5000)
    assert store_running_counters(engine) == 1
    assert reason(engine, bad) == UNREADABLE


def test_a_job_that_is_done_ends_all_the_same(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, spoil: Spoil
) -> None:
    bad = listed(1)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    spoil(bad, top_k=5000)
    assert close_job(engine, bad.id)
    assert reason(engine, bad) == UNREADABLE


@pytest.mark.parametrize("options", [{"top_k": 5000}, {"top_k": "many"}, {"include": 3}])
def test_it_is_shown_with_the_options_that_it_has(
    engine: Engine, make_job: Jobs, spoil: Spoil, options: dict[str, object]
) -> None:
    spoil(make_job(), **options)
    (job,) = list_jobs(engine).items
    assert {name: job.options.to_json()[name] for name in options} == options
