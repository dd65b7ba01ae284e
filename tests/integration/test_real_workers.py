"""Delivery with real Postgres, real Valkey and real worker processes that really die."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from imgq_db.jobs import Job, JobState, get_job
from imgq_db.queue import LIST, make_ring
from imgq_db.settings import Settings
from imgq_db.verifying import verify_job
from imgq_db.workers import list_workers

Wait = Callable[[Callable[[], bool]], None]


def chunks_in(engine: Engine, state: str) -> int:
    with engine.connect() as connection:
        return int(
            connection.execute(
                text("SELECT count(*) FROM chunk WHERE state = :state"), {"state": state}
            ).scalar_one()
        )


def rows(engine: Engine, job: Job) -> int:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT count(*) FROM prediction WHERE job_id = :id"), {"id": job.id}
        )
        return int(found.scalar_one())


def assert_whole(engine: Engine, job: Job, images: int) -> None:
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.ok, rows(engine, job)) == (
        JobState.SUCCEEDED,
        images,
        images,
    )
    assert [check.rule for check in verify_job(engine, job.uid) if not check.holds] == []


def test_a_worker_killed_in_the_middle_of_a_chunk_loses_and_doubles_nothing(
    engine: Engine,
    processes: Any,
    submit: Callable[..., Job],
    pictures: Callable[[int], Path],
    wait_until: Wait,
    ended: Callable[[Job], Job],
) -> None:
    processes.start("reconciler")
    worker = processes.start("worker", chunk_size=16)
    job = submit(pictures(96))
    wait_until(lambda: chunks_in(engine, "done") >= 1 and chunks_in(engine, "leased") == 1)
    processes.kill(worker)
    assert get_job(engine, job.uid).state is JobState.RUNNING
    processes.start("worker", chunk_size=16)
    ended(job)
    assert_whole(engine, job, 96)


def test_a_worker_asked_to_stop_gives_its_chunk_back(
    engine: Engine,
    settings: Settings,
    processes: Any,
    submit: Callable[..., Job],
    pictures: Callable[[int], Path],
    wait_until: Wait,
) -> None:
    worker = processes.start("worker", chunk_size=2000, lease_seconds=600)
    job = submit(pictures(400))
    wait_until(lambda: len(list_workers(engine)) == 1)
    make_ring(settings)(LIST)
    wait_until(lambda: chunks_in(engine, "leased") == 1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == 0
    assert (chunks_in(engine, "leased"), list_workers(engine)) == (0, ())
    with engine.connect() as connection:
        finished = "SELECT coalesce(sum(images), 0) FROM chunk WHERE state = 'done'"
        assert rows(engine, job) == connection.execute(text(finished)).scalar_one() < 400
