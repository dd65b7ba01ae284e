"""The reconciler mends what died, rings what is missing, and survives what is away."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine, text

from imgq_db import deleting
from imgq_db.cache import Known, recipe_id, remember
from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, claim_chunk, finish_chunk
from imgq_db.deleting import delete_job
from imgq_db.idempotency import begin
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.known_files import FileStamp, remember_files
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.queue import CLASSIFY, LIST, bells_waiting, make_ring
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT
from imgq_db.verifying import verify_job
from imgq_db.workers import beat_worker, list_workers
from imgq_workers import reconciler
from imgq_workers.context import WorkerContext
from imgq_workers.listing import Lister
from imgq_workers.reconciler import (
    Round,
    _purge_and_plan,
    keep_reconciling,
    purge,
    reconcile,
)

Submit = Callable[..., Job]
Clock = Callable[[float], None]
Fetch = Callable[[str], list[tuple[object, ...]]]


def silent(queue: str) -> bool:
    return True


def claim(engine: Engine) -> ChunkLease:
    lease = claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=2)
    assert lease is not None
    return lease


def rows(lease: ChunkLease) -> list[LedgerRow]:
    return [LedgerRow(name, RowStatus.FAILED, error_code="corrupt") for name in lease.names]


@pytest.fixture
def listed(
    submit: Submit,
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint_many: Callable[[int], list[str]],
) -> Callable[[int], Job]:
    """A job whose folder is listed as so many chunks of one image."""

    def make(chunks: int) -> Job:
        paint_many(chunks)
        job = submit(folder)
        lister = Lister(make_worker(chunk_size=1))
        while lister.turn():
            pass
        return job

    return make


def test_a_quiet_round_does_nothing(engine: Engine, settings: Settings) -> None:
    assert reconcile(engine, settings, silent) == Round(0, 0, 0, 0)


def test_expired_leases_are_freed_and_their_chunks_rung_for(
    engine: Engine, settings: Settings, listed: Callable[[int], Job], move_clock: Clock
) -> None:
    listed(2)
    for _ in range(2):
        claim(engine)
    assert reconcile(engine, settings, silent) == Round(0, 0, 0, 0)
    move_clock(3)
    assert reconcile(engine, settings, silent) == Round(2, 0, 0, 2)


def test_a_job_that_nobody_closed_is_closed(
    engine: Engine, settings: Settings, listed: Callable[[int], Job]
) -> None:
    job = listed(1)
    lease = claim(engine)
    finish_chunk(engine, lease, rows(lease))
    assert reconcile(engine, settings, silent) == Round(0, 0, 1, 0)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED


def test_a_cancel_that_stopped_half_way_is_carried_on(
    engine: Engine,
    settings: Settings,
    listed: Callable[[int], Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imgq_db.cancelling._BATCH", 2)
    job = listed(5)
    assert cancel_job(engine, job.uid).state is JobState.CANCELLING
    done = reconcile(engine, settings, silent)
    assert (done.chunks_cancelled, done.jobs_closed) == (3, 1)
    assert get_job(engine, job.uid).state is JobState.CANCELLED


def test_counters_of_running_jobs_are_stored(
    engine: Engine, settings: Settings, listed: Callable[[int], Job]
) -> None:
    job = listed(3)
    lease = claim(engine)
    finish_chunk(engine, lease, rows(lease))
    reconcile(engine, settings, silent)
    assert get_job(engine, job.uid).progress.failed == 1


def test_bells_fill_a_window_and_no_more(
    engine: Engine, settings: Settings, listed: Callable[[int], Job], submit: Submit, folder: Path
) -> None:
    listed(9)
    for _ in range(3):
        submit(folder)
    ring = make_ring(settings)
    for _ in range(2):
        beat_worker(engine, uuid4(), host="h", pid=1, device="cpu", roots=[])
    rung = [reconcile(engine, settings, ring).bells_rung for _ in range(3)]
    assert rung == [7, 0, 0]
    assert (bells_waiting(settings, CLASSIFY), bells_waiting(settings, LIST)) == (4, 3)


def test_an_emptied_redis_is_rung_again(
    engine: Engine, settings: Settings, listed: Callable[[int], Job]
) -> None:
    listed(9)
    ring = make_ring(settings)
    assert reconcile(engine, settings, ring).bells_rung == 2
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()
    assert reconcile(engine, settings, ring).bells_rung == 2


def test_a_job_without_any_worker_rings_for_one(
    engine: Engine, settings: Settings, submit: Submit, folder: Path
) -> None:
    submit(folder)
    bells: list[str] = []

    def ring(queue: str) -> bool:
        bells.append(queue)
        return True

    reconcile(engine, settings, ring)
    assert bells == [LIST]


def test_nothing_is_lost_where_redis_is_away(
    engine: Engine, settings: Settings, listed: Callable[[int], Job], move_clock: Clock
) -> None:
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    listed(2)
    claim(engine)
    move_clock(3)
    started = time.monotonic()
    assert reconcile(engine, away, make_ring(away)) == Round(1, 0, 0, 0)
    assert time.monotonic() - started < 3
    assert make_ring(away)(CLASSIFY) is False


def test_reconcilers_at_once_do_each_thing_once(
    engine: Engine,
    settings: Settings,
    listed: Callable[[int], Job],
    move_clock: Clock,
    fetch: Fetch,
) -> None:
    done, expired = listed(1), None
    lease = claim(engine)
    finish_chunk(engine, lease, rows(lease))
    expired = listed(6)
    for _ in range(6):
        claim(engine)
    move_clock(3)
    with ThreadPoolExecutor(4) as pool:
        rounds = list(pool.map(lambda _: reconcile(engine, settings, silent), range(8)))
    assert sum(each.leases_freed for each in rounds) == 6
    assert sum(each.jobs_closed for each in rounds) == 1
    assert fetch("SELECT DISTINCT token, attempts FROM chunk") == [(1, 1)]
    for job in (done, expired):
        assert all(check.holds for check in verify_job(engine, job.uid))


def test_a_step_that_fails_keeps_no_other_from_its_work(
    engine: Engine,
    settings: Settings,
    listed: Callable[[int], Job],
    move_clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> int:
        raise ValueError("a job that nobody thought of")

    listed(1)
    claim(engine)
    move_clock(3)
    monkeypatch.setattr(reconciler, "expire_trainings", fail)
    monkeypatch.setattr(reconciler, "store_running_counters", fail)
    assert reconcile(engine, settings, silent) == Round(1, 0, 0, 1)


def test_an_early_end_is_counted_by_the_next_round(
    engine: Engine, settings: Settings, listed: Callable[[int], Job], fetch: Fetch
) -> None:
    job = listed(1)
    cancel_job(engine, job.uid)
    assert fetch("SELECT 1 FROM job_summary") == []
    reconcile(engine, settings, silent)
    assert fetch("SELECT counts ->> 'rows' FROM job_summary") == [("0",)]


def test_leases_are_freed_while_a_job_is_counted(
    engine: Engine,
    settings: Settings,
    listed: Callable[[int], Job],
    move_clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting, ended, freed = threading.Event(), threading.Event(), threading.Event()
    hurried = settings.model_copy(update={"reconcile_seconds": 0.05})
    monkeypatch.setattr(reconciler, "STOP_SECONDS", 0)

    def count_for_long(_engine: Engine) -> int:
        counting.set()
        return int(ended.wait(30))

    monkeypatch.setattr(reconciler, "close_finished_jobs", count_for_long)
    listed(1)
    claim(engine)
    work = threading.Thread(target=keep_reconciling, args=(engine, hurried, silent, ended))
    work.start()
    assert counting.wait(30)
    move_clock(3)
    for _ in range(600):
        if claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=2) is not None:
            freed.set()
            break
        ended.wait(0.05)
    ended.set()
    work.join()
    assert freed.is_set()


def test_old_rows_are_purged(
    engine: Engine,
    settings: Settings,
    listed: Callable[[int], Job],
    move_clock: Clock,
    fetch: Fetch,
) -> None:
    job = listed(2)
    cancel_job(engine, job.uid)
    delete_job(engine, job.uid)
    begin(engine, None, "k", "hash")
    beat_worker(engine, uuid4(), host="h", pid=1, device="cpu", roots=[])
    move_clock(90_000)
    assert purge(engine, settings) == 5  # the key, the worker, two chunks, the job
    assert list_workers(engine, max_age_seconds=1e6) == ()
    assert fetch("SELECT 1 FROM job") == fetch("SELECT 1 FROM chunk") == []
    assert purge(engine, settings) == 0


def test_purging_a_large_job_holds_up_nothing_else(
    engine: Engine,
    settings: Settings,
    listed: Callable[[int], Job],
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deleting, "BATCH", 1)
    monkeypatch.setattr(reconciler, "PURGE_ROUND_SECONDS", 0)
    job = listed(3)
    for _ in range(3):
        lease = claim(engine)
        finish_chunk(engine, lease, rows(lease))
    cancel_job(engine, job.uid)
    delete_job(engine, job.uid)
    left = []
    for _ in range(5):
        purge(engine, settings)
        left.append(len(fetch("SELECT 1 FROM prediction")) + len(fetch("SELECT 1 FROM job")))
    assert left == [3, 2, 1, 0, 0]


@pytest.mark.parametrize("rows", [0, 2])
def test_what_is_known_is_kept_under_its_caps(
    rows: int, engine: Engine, settings: Settings, fetch: Fetch
) -> None:
    digests = [bytes([number]) * 32 for number in range(5)]
    stamp = FileStamp(1, 2, 3, 4)
    remember(engine, recipe_id(engine, 1, "how"), dict.fromkeys(digests, Known((0,), (1.0,))))
    remember_files(engine, b"file:", {digest: (stamp, digest) for digest in digests})
    capped = settings.model_copy(update={"cache_rows": rows, "known_file_rows": rows + 1})
    assert purge(engine, capped) == 9 - 2 * rows
    assert len(fetch("SELECT 1 FROM known_prediction")) == rows
    assert len(fetch("SELECT 1 FROM known_file")) == rows + 1


def test_a_purge_that_fails_does_not_keep_the_others_from_theirs(
    engine: Engine, settings: Settings
) -> None:
    remember_files(engine, b"file:", {b"a.jpg": (FileStamp(1, 2, 3, 4), b"\1" * 32)})
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE known_prediction RENAME TO elsewhere"))
    capped = settings.model_copy(update={"cache_rows": 0, "known_file_rows": 0})
    removed = purge(engine, capped)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO known_prediction"))
    assert removed == 1


def test_a_purge_that_left_something_is_carried_on_in_the_next_round(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _purge_and_plan(engine, settings) > time.monotonic() + 30
    monkeypatch.setattr(reconciler, "PURGE_ROUND_SECONDS", 0)
    assert _purge_and_plan(engine, settings) <= time.monotonic()
