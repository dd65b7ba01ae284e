"""A chunk that is interrupted: given back, dropped, counted, or finished, and never half."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import claim_chunk, expire_leases, finish_chunk
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.sources import FILE_ROOT
from imgq_db.verifying import verify_job
from imgq_db.workers import beat_worker, list_workers, start_draining
from imgq_trainer.errors import DeviceBroken, ScoresNotFinite, Stopped
from imgq_trainer.outcomes import Outcome
from imgq_workers import classifying, predicting
from imgq_workers.context import WorkerContext
from imgq_workers.loop import work

Submit = Callable[..., Job]
Fetch = Callable[[str], list[tuple[object, ...]]]
During = Callable[[Callable[[], object]], None]
CHUNK = "SELECT state, owner, attempts, errors, token FROM chunk"


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> During:
    """Let something happen while a chunk is classified; it goes on until it is told to stop."""

    def arrange(act: Callable[[], object]) -> None:
        def classify_files(*_: object, stop: Callable[[], bool], **__: object) -> Iterator[Outcome]:
            act()
            ends = time.monotonic() + 10
            while not stop():
                assert time.monotonic() < ends
                time.sleep(0.01)
            raise Stopped
            yield

        monkeypatch.setattr("imgq_trainer.pipeline.classify_files", classify_files)

    return arrange


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let classifying raise these, one at a time, and then work."""
    from imgq_trainer import pipeline

    classify_files = pipeline.classify_files

    def arrange(*errors: Exception) -> None:
        left = iter(errors)

        def classify(*arguments: object, **options: object) -> Iterator[Outcome]:
            for error in left:
                raise error
            return classify_files(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(pipeline, "classify_files", classify)

    return arrange


@pytest.fixture
def job(submit: Submit, folder: Path, paint_many: Callable[[int], list[str]]) -> Job:
    paint_many(3)
    return submit(folder)


def test_a_worker_that_is_stopped_gives_its_chunk_back_untouched(
    engine: Engine, context: WorkerContext, job: Job, during: During, fetch: Fetch
) -> None:
    uid = context.worker_uid
    beat_worker(engine, uid, host="h", pid=1, device="cpu", roots=[])
    during(lambda: start_draining(engine, uid))
    assert work(context) == 0
    assert fetch(CHUNK) == [("pending", None, 1, 0, 1)]
    assert fetch("SELECT 1 FROM prediction") == []
    assert get_job(engine, job.uid).state is JobState.RUNNING
    assert list_workers(engine)[0].state == "draining"


def test_a_cancel_reaches_a_worker_in_the_middle_of_a_chunk(
    engine: Engine, context: WorkerContext, job: Job, during: During, fetch: Fetch
) -> None:
    states = []
    during(lambda: states.append(cancel_job(engine, job.uid).state))
    started = time.monotonic()
    assert work(context) == 0
    assert time.monotonic() - started < 3
    assert states == [JobState.CANCELLING]
    assert get_job(engine, job.uid).state is JobState.CANCELLED
    assert fetch(CHUNK) == [("cancelled", None, 1, 0, 2)]
    assert fetch("SELECT 1 FROM prediction") == []
    assert all(check.holds for check in verify_job(engine, job.uid))


def test_a_worker_whose_chunk_went_to_another_drops_it(
    engine: Engine,
    context: WorkerContext,
    job: Job,
    during: During,
    fetch: Fetch,
    move_clock: Callable[[float], None],
) -> None:
    other = uuid4()

    def lose() -> None:
        move_clock(60)
        expire_leases(engine)
        assert claim_chunk(engine, owner=other, roots=[FILE_ROOT], lease_seconds=60)

    during(lose)
    assert work(context) == 0
    assert fetch(CHUNK) == [("leased", other, 2, 0, 2)]


def test_a_cancel_just_before_the_commit_drops_the_rows(
    engine: Engine,
    context: WorkerContext,
    job: Job,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def cancel_then_finish(*arguments: object) -> None:
        cancel_job(engine, job.uid)
        finish_chunk(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(classifying, "finish_chunk", cancel_then_finish)
    assert work(context) == 0
    assert fetch(CHUNK) == [("cancelled", None, 1, 0, 2)]
    assert get_job(engine, job.uid).state is JobState.CANCELLED
    assert fetch("SELECT 1 FROM prediction") == []


def test_a_lease_is_kept_for_as_long_as_a_chunk_takes(
    engine: Engine,
    make_worker: Callable[..., WorkerContext],
    job: Job,
    raising: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    freed = []

    def finish_late(*arguments: object) -> None:
        for _ in range(12):
            time.sleep(0.1)
            freed.append(expire_leases(engine))
        finish_chunk(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(classifying, "finish_chunk", finish_late)
    assert work(make_worker(lease_seconds=0.6, beat_seconds=0.1, poll_seconds=0.05)) == 1
    assert freed == [0] * 12


def test_a_chunk_that_raises_once_is_tried_again(
    engine: Engine,
    context: WorkerContext,
    job: Job,
    raising: Callable[..., None],
    fetch: Fetch,
    work_on: Callable[..., int],
) -> None:
    raising(RuntimeError("a hiccup"), MemoryError())
    assert work_on(context) == 1
    assert fetch("SELECT state, attempts, errors FROM chunk") == [("done", 3, 2)]
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED


def test_a_chunk_that_always_raises_ends_its_job(
    engine: Engine,
    context: WorkerContext,
    job: Job,
    raising: Callable[..., None],
    fetch: Fetch,
    work_on: Callable[..., int],
) -> None:
    raising(*[RuntimeError("the weights melted")] * 9)
    assert work_on(context) == 0
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.done) == (JobState.FAILED, 0)
    assert ended.error is not None and ended.error.slug == "worker-error"
    assert ended.error.detail == (
        "Classifying raised RuntimeError: the weights melted"
        f" (tried 3 times, on {context.worker_uid})."
    )
    assert fetch(CHUNK) == [("cancelled", None, 3, 3, 4)]
    assert all(check.holds for check in verify_job(engine, job.uid))


def test_a_model_that_gives_no_numbers_ends_its_job_by_that_name(
    engine: Engine,
    context: WorkerContext,
    job: Job,
    raising: Callable[..., None],
    work_on: Callable[..., int],
) -> None:
    raising(*[ScoresNotFinite()] * 3)
    work_on(context)
    error = get_job(engine, job.uid).error
    assert error is not None and error.slug == "model-unloadable"
    assert "not even those of a black picture" in error.detail


def test_rows_that_postgres_refuses_end_the_job(
    engine: Engine,
    context: WorkerContext,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    work_on: Callable[..., int],
) -> None:
    wrong = LedgerRow(b"0000.png", RowStatus.OK, 99_999, (99_999,), (1.0,))
    monkeypatch.setattr(predicting, "ledger_row", lambda *_, **__: wrong)
    assert work_on(context) == 0
    ended = get_job(engine, job.uid)
    assert ended.error is not None and ended.error.slug == "worker-error"
    assert ended.state is JobState.FAILED


def test_a_database_that_goes_away_counts_against_no_chunk(
    engine: Engine, context: WorkerContext, job: Job, raising: Callable[..., None], fetch: Fetch
) -> None:
    lost = OperationalError("SELECT 1", None, psycopg2.OperationalError("server closed"))
    raising(*[lost] * 5)
    assert work(context) == 0
    ((state, _, attempts, errors, _),) = fetch(CHUNK)
    assert (state, attempts, errors) == ("leased", 1, 0)
    assert get_job(engine, job.uid).state is JobState.RUNNING


def test_a_loop_ends_in_time_and_rings_for_the_rest(
    submit: Submit,
    make_worker: Callable[..., WorkerContext],
    job: Job,
    fetch: Fetch,
) -> None:
    bells: list[str] = []

    def ring(queue: str) -> bool:
        bells.append(queue)
        return True

    assert work(replace(make_worker(loop_seconds=1e-6), ring=ring)) == 0
    assert bells == ["classify"]
    assert work(make_worker()) == 1


def test_a_worker_shows_what_it_did_last(engine: Engine, context: WorkerContext, job: Job) -> None:
    uid = context.worker_uid
    beat_worker(engine, uid, host="h", pid=1, device="auto", roots=[])
    work(context)
    (worker,) = list_workers(engine)
    assert (worker.state, worker.job, worker.device) == ("idle", None, "cpu")
    assert worker.images_per_second is not None and worker.images_per_second > 0


def test_a_device_that_breaks_ends_the_process_and_counts_against_no_chunk(
    context: WorkerContext, job: Job, raising: Callable[..., None], fetch: Fetch
) -> None:
    raising(DeviceBroken("cuda:0", "an illegal memory access was encountered"))
    with pytest.raises(SystemExit) as ended:
        work(context)
    assert ended.value.code == 1
    assert fetch(CHUNK) == [("pending", None, 1, 0, 1)]
