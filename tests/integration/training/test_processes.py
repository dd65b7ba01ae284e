"""Supervisors and trainers as real processes that really die, woken over a real Valkey."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from sqlalchemy import Engine

from imgq_db.jobs import Job, JobState, get_job
from imgq_db.queue import TRAIN, make_ring
from imgq_db.settings import Settings
from imgq_db.training.progress import list_epochs
from imgq_db.verifying import verify_job
from imgq_db.workers import list_workers
from imgq_workers.training.context import TRAINER

Wait = Callable[[Callable[[], bool]], None]
STANDIN = Path(__file__).with_name("standin.py")


@pytest.fixture
def processes(processes: Any) -> Any:
    """The processes of a test, whose trainers are stand-ins."""
    processes.environ[TRAINER] = str(STANDIN)
    return processes


def assert_sound(engine: Engine, settings: Settings, job: Job, epochs: int) -> None:
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert [each.epoch for each in list_epochs(engine, job.id)] == list(range(1, epochs + 1))
    checks = verify_job(engine, job.uid, settings=settings)
    assert [check.rule for check in checks if not check.holds] == []


def test_a_supervisor_killed_with_its_queue_emptied_costs_nothing_but_time(
    engine: Engine,
    settings: Settings,
    processes: Any,
    submit_training: Callable[..., Job],
    processes_of: Callable[[Job], list[psutil.Process]],
    hold: Path,
    wait_until: Wait,
    fetch: Callable[[str], Any],
    ended: Callable[[Job], Job],
) -> None:
    processes.start("reconciler")
    supervisor = processes.start("trainer")
    job = submit_training(epochs=4, hold_at=2, hold=str(hold), grandchild=True)
    wait_until(lambda: len(fetch("SELECT 1 FROM checkpoint")) == 2)
    assert [(worker.queue, worker.device) for worker in list_workers(engine)] == [("train", "cpu")]
    processes.kill(supervisor)
    redis.Redis.from_url(settings.redis_url).flushall()
    wait_until(lambda: processes_of(job) == [])
    processes.start("trainer")
    ended(job)
    assert_sound(engine, settings, job, 4)


def test_a_supervisor_asked_to_stop_ends_and_another_goes_on(
    engine: Engine,
    settings: Settings,
    processes: Any,
    submit_training: Callable[..., Job],
    processes_of: Callable[[Job], list[psutil.Process]],
    hold: Path,
    wait_until: Wait,
    fetch: Callable[[str], Any],
) -> None:
    supervisor = processes.start("trainer", train_lease_seconds=600)
    job = submit_training(epochs=1, hold_at=1, hold=str(hold))
    wait_until(lambda: len(list_workers(engine)) == 1)
    make_ring(settings)(TRAIN)
    wait_until(lambda: len(list_epochs(engine, job.id)) == 1)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 0
    assert fetch("SELECT state, idle_attempts FROM training") == [("pending", 0)]
    assert (processes_of(job), list_workers(engine)) == ([], ())
