"""Obstacles: who is missing for a job, and who failed at it, in words."""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, claim_chunk, finish_chunk
from imgq_db.failures import Failure, FailureKind, fail_chunk
from imgq_db.fairness import AGING_SECONDS
from imgq_db.heartbeats import LIVE_SECONDS
from imgq_db.jobs import Job, JobKind, NewJob, Priority, create_job, get_job
from imgq_db.ledger import LedgerRow
from imgq_db.obstacles import find_obstacle, queue_position
from imgq_db.options import ClassifyOptions
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT
from imgq_db.train_options import TrainOptions
from imgq_db.workers import beat_worker, set_activity

Jobs = Callable[..., Job]
Beat = Callable[..., UUID]
Rows = Callable[[ChunkLease], list[LedgerRow]]


@pytest.fixture
def beat(engine: Engine) -> Iterator[Beat]:
    pids = iter(range(1, 99))

    def make(root: str = FILE_ROOT, queue: str = "classify", *precisions: str) -> UUID:
        uid, pid = uuid4(), next(pids)
        beat_worker(engine, uid, host="h", pid=pid, device="cpu", roots=[root], queue=queue)
        if precisions:
            set_activity(engine, uid, job=None, precisions=precisions)
        return uid

    yield make


def test_a_job_says_what_kind_of_worker_is_missing(
    engine: Engine, make_job: Jobs, beat: Beat
) -> None:
    job = make_job(options=ClassifyOptions(precision="int8"))
    said = [find_obstacle(engine, job)]
    for worker in ((FILE_ROOT, "train"), ("scans",), (FILE_ROOT, "classify", "exact")):
        beat(*worker)
        said.append(find_obstacle(engine, job))
    beat(FILE_ROOT, "classify", "int8", "exact")
    assert [*said, find_obstacle(engine, job)] == [
        "It waits for a worker: none is there.",
        "It waits for a worker: none is there.",
        "It waits for a worker that may read any local file: none that is there may.",
        "It waits for a worker that computes int8: none that is there does.",
        None,
    ]


def test_a_training_waits_for_a_trainer(engine: Engine, make_job: Jobs, beat: Beat) -> None:
    job = make_job(kind=JobKind.TRAIN, options=TrainOptions(name="birds"))
    beat()
    assert find_obstacle(engine, job) == "It waits for a trainer: none is there."
    beat(FILE_ROOT, "train")
    assert find_obstacle(engine, job) is None


def test_a_worker_that_fell_silent_is_missed(
    engine: Engine, make_job: Jobs, beat: Beat, move_clock: Callable[[float], None]
) -> None:
    job = make_job()
    beat()
    move_clock(LIVE_SECONDS)
    assert find_obstacle(engine, job) == "It waits for a worker: none is there."


def test_a_job_names_the_workers_that_failed_at_it_until_one_did_it(
    engine: Engine, listed: Jobs, beat: Beat, rows: Rows, move_clock: Callable[[float], None]
) -> None:
    job = listed(1)
    for worker in (beat(), beat()):
        lease = claim_chunk(
            engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30, worker=worker
        )
        assert lease is not None
        fail_chunk(engine, lease, Failure(worker, FailureKind.MODEL, "It is gone."))
        move_clock(1)
    assert find_obstacle(engine, get_job(engine, job.uid)) == (
        "h:1, h:2 failed at a part of it, 2 times, and it is tried again."
        " The last time: It is gone."
    )
    move_clock(1)
    lease = claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None
    finish_chunk(engine, lease, rows(lease))
    assert find_obstacle(engine, get_job(engine, job.uid)) is None


def test_nothing_holds_up_a_job_that_has_ended(engine: Engine, listed: Jobs) -> None:
    assert find_obstacle(engine, cancel_job(engine, listed(1).uid)) is None


def test_a_queued_job_knows_how_many_are_ahead(
    engine: Engine, make_job: Jobs, listed: Jobs
) -> None:
    listed(1)
    low, first, second = make_job(priority=Priority.LOW), make_job(), make_job()
    cancelled = cancel_job(engine, make_job(priority=Priority.HIGH).uid)
    assert [queue_position(engine, job) for job in (first, second, low)] == [1, 2, 3]
    assert queue_position(engine, cancelled) is None


def test_what_its_workers_cannot_take_is_not_ahead_of_a_job(
    engine: Engine, make_job: Jobs, beat: Beat
) -> None:
    make_job(options=ClassifyOptions(precision="int8"))
    job = make_job(options=ClassifyOptions(precision="exact"))
    ahead = [queue_position(engine, job)]
    for precision in ("int8", "exact"):
        beat(FILE_ROOT, "classify", precision)
        ahead.append(queue_position(engine, job))
    beat(FILE_ROOT, "classify", "int8", "exact")
    assert [*ahead, queue_position(engine, job)] == [1, 1, 0, 1]


def test_a_folder_that_its_workers_cannot_read_is_not_ahead_of_a_job(
    engine: Engine, settings: Settings, make_job: Jobs, beat: Beat
) -> None:
    scans = settings.model_copy(update={"roots": {"scans": settings.data_dir}})
    create_job(engine, scans, NewJob("root:scans/"))
    job = make_job()
    beat()
    assert queue_position(engine, job) == 0


def test_a_job_that_waited_for_long_is_ahead_of_a_higher_priority(
    engine: Engine, make_job: Jobs, move_clock: Callable[[float], None]
) -> None:
    low = make_job(priority=Priority.LOW)
    move_clock(AGING_SECONDS)
    assert queue_position(engine, make_job()) == 1
    assert queue_position(engine, low) == 0
