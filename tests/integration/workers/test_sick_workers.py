"""A worker that is broken beside one that is well: the job is the well one's."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.chunks import ChunkLease
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.ledger import LedgerRow
from imgq_db.precisions import settle_precision
from imgq_db.sources import FILE_ROOT
from imgq_db.verifying import verify_job
from imgq_db.workers import beat_worker, list_workers
from imgq_trainer.errors import RootUnavailable
from imgq_workers import listing
from imgq_workers.context import Predict, WorkerContext
from imgq_workers.leasekeeper import Keeper
from imgq_workers.loop import work
from imgq_workers.models import LoadedModels, ModelUnloadable

PATIENCE_SECONDS = 120


def failing(error: Exception) -> Predict:
    def predict(_: WorkerContext, __: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
        keeper.handed_out.set()
        raise error

    return predict


def beat(engine: Engine, *workers: WorkerContext) -> None:
    for pid, worker in enumerate(workers, 1):
        uid, roots = worker.worker_uid, [FILE_ROOT]
        beat_worker(engine, uid, host="lab", pid=pid, device="cpu", roots=roots)


def work_until_ended(engine: Engine, job: Job, *workers: WorkerContext) -> Job:
    """Ring for workers as the reconciler does, until the job has ended."""
    ends, pause = time.monotonic() + PATIENCE_SECONDS, threading.Event()

    def serve(worker: WorkerContext) -> None:
        while not get_job(engine, job.uid).state.terminal and time.monotonic() < ends:
            beat(engine, *workers)
            work(worker)
            pause.wait(worker.settings.reconcile_seconds)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(serve, workers))
    return get_job(engine, job.uid)


@pytest.mark.parametrize(
    "error",
    [
        ModelUnloadable("imagenet:1", OSError("the disk is broken")),
        RootUnavailable(Path("pictures"), "it is not mounted"),
        RuntimeError("a bad processor"),
    ],
    ids=["model", "source", "chunk"],
)
def test_a_worker_that_fails_at_everything_takes_no_job_from_one_that_is_well(
    error: Exception,
    engine: Engine,
    submit: Callable[..., Job],
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint_many: Callable[[int], list[str]],
    fetch: Callable[[str], list[tuple[int]]],
) -> None:
    paint_many(200)
    job = submit(folder, precision="exact")
    sick, well = replace(make_worker(chunk_size=8), predict=failing(error)), make_worker()
    beat(engine, sick, well)
    work(sick)  # first and alone, so that it fails for certain
    assert fetch("SELECT count(*) > 0 FROM job_failure") == [(True,)]
    ended = work_until_ended(engine, job, sick, well)
    assert (ended.state, ended.progress.ok) == (JobState.SUCCEEDED, 200)
    assert all(check.holds for check in verify_job(engine, job.uid))


class FastButBroken:
    """Models of a worker that computes bf16, and loads none."""

    precisions = ("bf16",)

    def get(self, *_: object) -> None:
        raise ModelUnloadable("imagenet:1", OSError("the disk is broken"))


def test_a_worker_that_loads_no_model_leaves_the_precision_to_others(
    engine: Engine,
    submit: Callable[..., Job],
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint_many: Callable[[int], list[str]],
    fetch: Callable[[str], list[tuple[int]]],
) -> None:
    paint_many(20)
    job = submit(folder, precision="auto")
    sick = replace(make_worker(chunk_size=8), models=FastButBroken())  # type: ignore[arg-type]
    well = make_worker()
    beat(engine, sick, well)
    work(sick)
    assert fetch("SELECT count(*) > 0 FROM job_failure") == [(True,)]
    assert get_job(engine, job.uid).precision == "auto"
    ended = work_until_ended(engine, job, well)
    assert (ended.state, ended.precision) == (JobState.SUCCEEDED, "exact")


class LateBecauseOfAnother:
    """Models of a worker that computes bf16; while it loads, the job is settled on exact."""

    precisions = ("bf16",)

    def __init__(self, engine: Engine, job: Job, models: LoadedModels) -> None:
        self.engine, self.job, self.models = engine, job, models

    def get(self, version_id: int, precision: str) -> object:
        settle_precision(self.engine, self.job.id, "exact")
        return self.models.get(version_id, precision)


def test_a_worker_that_loaded_its_model_too_late_gives_its_chunk_back(
    engine: Engine,
    submit: Callable[..., Job],
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint_many: Callable[[int], list[str]],
    fetch: Callable[[str], list[tuple[object, ...]]],
) -> None:
    paint_many(2)
    job, well = submit(folder, precision="auto"), make_worker()
    late = LateBecauseOfAnother(engine, job, well.models)
    assert work(replace(make_worker(), models=late)) == 0  # type: ignore[arg-type]
    assert fetch("SELECT state, attempts, errors FROM chunk") == [("pending", 1, 0)]
    assert work_until_ended(engine, job, well).precision == "exact"


def test_a_lone_worker_that_loads_no_model_ends_the_job_within_seconds(
    engine: Engine,
    submit: Callable[..., Job],
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint_many: Callable[[int], list[str]],
    fetch: Callable[[str], list[tuple[int]]],
) -> None:
    paint_many(2)
    job = submit(folder, precision="exact")
    error = ModelUnloadable("imagenet:1", OSError("the disk is broken"))
    sick = replace(make_worker(), predict=failing(error))
    ended = work_until_ended(engine, job, sick)
    assert ended.state is JobState.FAILED and ended.error is not None
    assert ended.error.detail == (
        "The model imagenet:1 cannot be loaded: the disk is broken (tried 3 times, on lab:1)."
    )
    (seconds,) = fetch("SELECT extract(epoch FROM max(at) - min(at))::float FROM job_failure")[0]
    assert 3 <= seconds < 30


def test_a_folder_that_one_worker_cannot_see_is_listed_by_another(
    engine: Engine,
    submit: Callable[..., Job],
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint_many: Callable[[int], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paint_many(2)
    job = submit(folder, precision="exact")
    sick, well = make_worker(), make_worker()
    beat(engine, sick, well)
    with monkeypatch.context() as broken:
        broken.setattr(listing, "source_folder", lambda *_: folder / "not mounted")
        assert work(sick) == 0
    assert len(list_workers(engine)) == 2
    ended = work_until_ended(engine, job, sick, well)
    assert (ended.state, ended.progress.ok) == (JobState.SUCCEEDED, 2)
