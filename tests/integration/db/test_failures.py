"""Failures: tried again later, by others first; a job ends when nobody is left to try."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.chunks import ChunkLease, claim_chunk, finish_chunk, pending_chunks
from imgq_db.failures import Failure, FailureKind, Setback, fail_chunk, fail_listing
from imgq_db.fairness import NOTHING, LeftAlone
from imgq_db.heartbeats import LIVE_SECONDS
from imgq_db.jobs import Job
from imgq_db.ledger import LedgerRow
from imgq_db.listing import claim_listing
from imgq_db.sources import FILE_ROOT
from imgq_db.workers import beat_worker, set_activity, start_draining

from .conftest import chunk_row

Jobs = Callable[..., Job]
Rows = Callable[[ChunkLease], list[LedgerRow]]
Move = Callable[[float], None]

MODEL, SOURCE, CHUNK, LISTING = FailureKind


@pytest.fixture
def make_worker(engine: Engine) -> Callable[..., UUID]:
    """A worker that was just heard of; keywords change its row."""
    number = iter(range(1, 99))

    def make(*, roots: tuple[str, ...] = (FILE_ROOT,), queue: str = "classify") -> UUID:
        uid = uuid4()
        beat_worker(engine, uid, host="h", pid=next(number), device="cpu", roots=roots, queue=queue)
        return uid

    return make


@pytest.fixture
def take(engine: Engine) -> Callable[..., ChunkLease | None]:
    """Claim a chunk for a worker."""

    def make(worker: UUID, left: LeftAlone = NOTHING) -> ChunkLease | None:
        return claim_chunk(
            engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30, worker=worker, left=left
        )

    return make


@pytest.fixture
def fail(engine: Engine, take: Callable[..., ChunkLease]) -> Callable[..., Setback | None]:
    """Claim a chunk for a worker, and fail at it."""

    def make(worker: UUID, kind: FailureKind = CHUNK) -> Setback | None:
        return fail_chunk(engine, take(worker), Failure(worker, kind, "it broke"))

    return make


Worker = Callable[..., UUID]
Take = Callable[..., ChunkLease]
Fail = Callable[..., Setback]


@pytest.mark.parametrize("kind", [MODEL, SOURCE, CHUNK])
def test_a_lone_worker_tries_three_times_with_growing_pauses(
    kind: FailureKind, listed: Jobs, make_worker: Worker, fail: Fail, take: Take, move_clock: Move
) -> None:
    listed(1)
    worker = make_worker()
    setbacks = []
    for _ in range(3):
        setbacks.append(fail(worker, kind))
        assert take(worker) is None
        move_clock(setbacks[-1].pause_seconds)
    assert setbacks == [
        Setback(failures, ("h:1",), pause, final)
        for failures, pause, final in [(1, 1, False), (2, 2, False), (3, 4, True)]
    ]


def test_chunks_side_by_side_that_miss_the_same_model_are_one_failure(
    listed: Jobs, make_worker: Worker, take: Take, engine: Engine
) -> None:
    listed(1, 1, 1)
    worker = make_worker()
    leases = [take(worker) for _ in range(3)]
    failure = Failure(worker, MODEL, "it broke")
    setbacks = [fail_chunk(engine, lease, failure) for lease in leases]
    assert setbacks == [Setback(1, ("h:1",), 1, final=False)] * 3
    assert {chunk_row(engine, lease)["errors"] for lease in leases} == {1}


def test_a_claim_says_how_often_its_chunk_failed_before(
    listed: Jobs, make_worker: Worker, fail: Fail, take: Take, move_clock: Move
) -> None:
    listed(1, 1)
    worker = make_worker()
    move_clock(fail(worker).pause_seconds)
    assert [take(worker).errors, take(worker).errors] == [1, 0]


def test_a_chunk_waits_for_its_own_failures_and_not_for_its_workers(
    listed: Jobs, make_worker: Worker, fail: Fail, take: Take, move_clock: Move
) -> None:
    listed(1, 1, 1)
    sick, well = make_worker(), make_worker()
    pauses = []
    for _ in range(3):
        pauses.append(fail(sick, MODEL).pause_seconds)
        move_clock(1)
    assert pauses == [1, 2, 4]
    assert all(take(well) for _ in range(3))


def test_a_failed_chunk_goes_to_another_worker_first(
    listed: Jobs, make_worker: Worker, fail: Fail, take: Take, move_clock: Move
) -> None:
    listed(1)
    sick, healthy = make_worker(), make_worker()
    fail(sick)
    move_clock(1)
    assert take(sick) is None
    assert take(healthy) is not None


def test_a_clock_that_is_set_back_by_hours_prolongs_no_pause(
    listed: Jobs, make_worker: Worker, fail: Fail, take: Take, move_clock: Move
) -> None:
    listed(1)
    fail(make_worker())
    move_clock(-2 * 3600)
    assert take(make_worker()) is not None


def test_a_failed_chunk_comes_back_when_no_other_worker_takes_it(
    listed: Jobs, make_worker: Worker, fail: Fail, take: Take, move_clock: Move
) -> None:
    listed(1)
    sick, _busy = make_worker(), make_worker()
    fail(sick)
    move_clock(11)
    assert take(sick) is not None


def test_a_job_goes_on_while_a_worker_is_there_that_has_not_tried(
    engine: Engine, listed: Jobs, make_worker: Worker, fail: Fail, move_clock: Move
) -> None:
    listed(1)
    sick, other = make_worker(), make_worker()
    final = []
    for worker in (sick, sick, sick, other):
        final.append(fail(worker).final)
        move_clock(13)
        for each in (sick, other):
            set_activity(engine, each, job=None)
    assert final == [False, False, False, True]


@pytest.mark.parametrize(("pause", "failures"), [(110, 18), (1200, 10)])
def test_a_worker_that_is_there_and_never_tries_is_not_waited_for_without_end(
    pause: int,
    failures: int,
    engine: Engine,
    listed: Jobs,
    make_worker: Worker,
    fail: Fail,
    move_clock: Move,
) -> None:
    listed(1)
    sick, hanging = make_worker(), make_worker()
    final = [False]
    while not final[-1] and len(final) < 50:
        for each in (sick, hanging):
            set_activity(engine, each, job=None)
        final.append(fail(sick).final)
        move_clock(pause)
    assert len(final) - 1 == failures


@pytest.mark.parametrize("why", ["gone", "draining", "root", "queue", "precision"])
def test_a_worker_that_could_not_do_it_is_not_waited_for(
    why: str, engine: Engine, listed: Jobs, make_worker: Worker, fail: Fail, move_clock: Move
) -> None:
    listed(1)
    other = make_worker(
        roots=("scans",) if why == "root" else (FILE_ROOT,),
        queue="train" if why == "queue" else "classify",
    )
    if why == "draining":
        start_draining(engine, other)
    if why == "precision":
        set_activity(engine, other, job=None, precisions=())
    move_clock(LIVE_SECONDS if why == "gone" else 0)
    worker = make_worker()
    final = []
    for _ in range(3):
        setback = fail(worker)
        final.append(setback.final)
        move_clock(setback.pause_seconds)
    assert final == [False, False, True]


def test_a_finished_chunk_forgets_that_the_model_did_not_load(
    engine: Engine,
    listed: Jobs,
    make_worker: Worker,
    fail: Fail,
    take: Take,
    rows: Rows,
    move_clock: Move,
) -> None:
    listed(1, 1)
    worker = make_worker()
    fail(worker, MODEL), fail(worker, MODEL)
    move_clock(60)
    lease = take(worker)
    finish_chunk(engine, lease, rows(lease))
    assert fail(worker, MODEL) == Setback(1, ("h:1",), 1, final=False)


def test_a_finished_chunk_does_not_excuse_one_that_raises(
    engine: Engine,
    listed: Jobs,
    make_worker: Worker,
    fail: Fail,
    take: Take,
    rows: Rows,
    move_clock: Move,
) -> None:
    listed(1, 1)
    worker = make_worker()
    fail(worker)
    lease = take(worker)
    finish_chunk(engine, lease, rows(lease))
    move_clock(60)
    assert fail(worker).failures == 2


def test_a_failure_under_a_claim_that_was_lost_counts_nothing(
    engine: Engine,
    listed: Jobs,
    make_worker: Worker,
    take: Take,
    move_clock: Move,
    count: Callable[..., int],
) -> None:
    listed(1)
    worker = make_worker()
    zombie = take(worker)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chunk SET state = 'pending', owner = NULL")
    take(worker)
    assert fail_chunk(engine, zombie, Failure(worker, CHUNK, "late")) is None
    assert count("job_failure") == 0
    assert chunk_row(engine, zombie)["state"] == "leased"


def test_no_bell_is_wanted_for_a_chunk_whose_pause_lasts(
    engine: Engine, listed: Jobs, make_worker: Worker, fail: Fail, move_clock: Move
) -> None:
    listed(1)
    fail(make_worker())
    waiting = [pending_chunks(engine, at_most=9)]
    move_clock(1)
    waiting.append(pending_chunks(engine, at_most=9))
    assert waiting == [0, 1]


def test_what_a_worker_leaves_alone_goes_to_others(
    engine: Engine, listed: Jobs, make_worker: Worker, take: Take
) -> None:
    job = listed(1)
    worker = make_worker()
    assert job.model_version_id is not None
    for left in (LeftAlone(jobs=(job.id,)), LeftAlone(versions=(job.model_version_id,))):
        assert take(worker, left=left) is None
    assert take(worker) is not None


def test_a_folder_that_one_worker_cannot_list_goes_to_another(
    engine: Engine, make_job: Jobs, make_worker: Worker
) -> None:
    job = make_job()
    sick, _healthy = make_worker(), make_worker()
    lease = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None
    setback = fail_listing(engine, lease, Failure(sick, LISTING, "no such folder"))
    assert setback == Setback(1, ("h:1",), 1, final=False)
    left = LeftAlone(jobs=(job.id,))
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30, left=left) is None
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30) is not None


def test_a_folder_that_no_worker_can_list_is_told_at_once(
    engine: Engine, make_job: Jobs, make_worker: Worker
) -> None:
    make_job()
    lease = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None
    failure = Failure(make_worker(), LISTING, "no such folder")
    assert fail_listing(engine, lease, failure) == Setback(1, ("h:1",), 1, final=True)
    assert fail_listing(engine, replace(lease, token=lease.token - 1), failure) is None
