"""Chunks side by side, and which model's chunks a worker begins."""

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.chunks import ChunkLease
from imgq_db.closing import close_job
from imgq_db.crashes import HeldChunk
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.ledger import LedgerRow
from imgq_db.verifying import verify_job
from imgq_workers import counting, lanes
from imgq_workers.context import WorkerContext
from imgq_workers.leasekeeper import Keeper
from imgq_workers.loop import work
from imgq_workers.predicting import predict_chunk
from imgq_workers.trails import read_trail

Submit = Callable[..., Job]
Make = Callable[..., WorkerContext]
#: (precision, chunk) as they were begun
Begun = list[tuple[str, int]]


@pytest.fixture
def both(context: WorkerContext) -> WorkerContext:
    """A worker with small chunks that offers two precisions."""
    context.models.__class__.precisions = ("bf16", "exact")  # type: ignore[assignment]
    return replace(
        context, settings=context.settings.model_copy(update={"chunk_size": 16, "loop_seconds": 60})
    )


@pytest.fixture(autouse=True)
def offered_as_before(context: WorkerContext) -> Iterator[None]:
    before = context.models.__class__.precisions
    yield
    context.models.__class__.precisions = before  # type: ignore[method-assign]


@pytest.fixture
def many(folder: Path, paint_many: Callable[[int], list[str]]) -> Path:
    paint_many(160)
    return folder


def noting(begun: Begun) -> Callable[[WorkerContext, ChunkLease, Keeper], list[LedgerRow]]:
    def predict(context: WorkerContext, lease: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
        begun.append((lease.precision, lease.chunk_id))
        return predict_chunk(context, lease, keeper)

    return predict


def switches(begun: Begun) -> int:
    return sum(one[0] != other[0] for one, other in itertools.pairwise(begun))


def both_done(engine: Engine, *jobs: Job) -> bool:
    return all(
        get_job(engine, job.uid).state is JobState.SUCCEEDED
        and all(check.holds for check in verify_job(engine, job.uid))
        for job in jobs
    )


def test_a_worker_stays_with_its_model_for_a_turn(
    engine: Engine, both: WorkerContext, submit: Submit, many: Path
) -> None:
    jobs = submit(many, precision="exact"), submit(many, precision="auto")
    begun: Begun = []
    work(replace(both, predict=noting(begun)))
    assert both_done(engine, *jobs)
    assert (len(begun), switches(begun)) == (20, 1)


def test_when_the_turn_is_over_the_other_model_is_next(
    engine: Engine,
    both: WorkerContext,
    submit: Submit,
    many: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "MODEL_TURN_SECONDS", 0)
    jobs = submit(many, precision="exact"), submit(many, precision="auto")
    begun: Begun = []
    work(replace(both, predict=noting(begun)))
    assert both_done(engine, *jobs)
    assert switches(begun) > 1


def test_a_higher_priority_ends_a_turn(
    engine: Engine, both: WorkerContext, submit: Submit, many: Path
) -> None:
    from imgq_db.jobs import NewJob, Priority, create_job
    from imgq_db.options import ClassifyOptions
    from imgq_db.sources import folder_uri

    first = submit(many, precision="exact")
    urgent: list[Job] = []
    begun: Begun = []
    note = noting(begun)

    def predict(context: WorkerContext, lease: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
        if not urgent:
            options = ClassifyOptions(precision="auto")
            new = NewJob(folder_uri(many), "imagenet", options, priority=Priority.HIGH)
            urgent.append(create_job(engine, both.settings, new))
        return note(context, lease, keeper)

    work(replace(both, predict=predict))
    assert both_done(engine, first, *urgent)
    last_urgent = max(at for at, one in enumerate(begun) if one[0] == "bf16")
    assert any(one[0] == "exact" for one in begun[last_urgent:])


def test_two_chunks_are_underway_and_two_models_never_are(
    both: WorkerContext, submit: Submit, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MODEL_TURN_SECONDS", 0.5)
    submit(many, precision="exact")
    submit(many, precision="auto")
    lock, now, seen = threading.Lock(), list[str](), set[tuple[str, ...]]()
    second = threading.Event()

    def predict(context: WorkerContext, lease: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
        with lock:
            now.append(lease.precision)
            seen.add(tuple(now))
        keeper.handed_out.set()
        if len(now) > 1:
            second.set()
        assert second.wait(10)
        rows = predict_chunk(context, lease, keeper)
        with lock:
            now.remove(lease.precision)
        return rows

    work(replace(both, predict=predict))
    assert {len(set(each)) for each in seen} == {1}
    assert max(len(each) for each in seen) > 1


def test_no_chunk_is_held_while_its_job_is_counted(
    both: WorkerContext,
    submit: Submit,
    folder: Path,
    paint_many: Callable[[int], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = list[tuple[HeldChunk, ...]]()

    def look(engine: Engine, job_id: int) -> bool:
        trail = read_trail(both.breadcrumbs._memory[:])
        assert trail is not None
        held.append(trail.held)
        return close_job(engine, job_id)

    monkeypatch.setattr(counting, "close_job", look)
    paint_many(1)
    submit(folder)
    assert (work(both), held) == (1, [()])


def test_a_chunk_that_raises_takes_no_other_with_it(
    engine: Engine,
    both: WorkerContext,
    submit: Submit,
    many: Path,
    move_clock: Callable[[float], None],
) -> None:
    job = submit(many, precision="exact")
    raised: list[int] = []

    def predict(context: WorkerContext, lease: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
        keeper.handed_out.set()
        if lease.first_image == 0 and not raised:
            raised.append(lease.chunk_id)
            raise RuntimeError("once")
        return predict_chunk(context, lease, keeper)

    assert work(replace(both, predict=predict)) > 0
    assert raised
    move_clock(1)
    assert work(both) == 1
    assert both_done(engine, job)
