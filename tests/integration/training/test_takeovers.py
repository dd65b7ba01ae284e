"""What others leave to a supervisor, or take from it: zombies, outages, secrets, strangers."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from imgq_db.jobs import Job, JobState, get_job
from imgq_db.settings import Settings
from imgq_db.training.attempts import expire_trainings
from imgq_db.training.events import store_events
from imgq_db.training.leases import claim_training
from imgq_db.training.outcomes import finish_training
from imgq_db.training.progress import list_epochs
from imgq_db.verifying import verify_job
from imgq_workers.training import listening, registering
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.loop import train
from imgq_workers.training.processes import MARK
from imgq_workers.training.specs import trainer_environment

Submit = Callable[..., Job]
Wait = Callable[[Callable[[], bool]], None]


def broken_rules(engine: Engine, settings: Settings, job: Job) -> list[str]:
    checks = verify_job(engine, job.uid, settings=settings)
    return [check.rule for check in checks if not check.holds]


def test_a_zombie_that_is_done_changes_nothing(
    engine: Engine,
    settings: Settings,
    submit_training: Submit,
    supervising: Any,
    context: TrainerContext,
    hold: Path,
    wait_until: Wait,
    move_clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    fetch: Callable[[str], Any],
) -> None:
    stopped, goes_on = threading.Event(), threading.Event()

    def finish_late(*values: Any) -> str:
        if not stopped.is_set():
            stopped.set()
            goes_on.wait(20)
        return finish_training(*values)

    monkeypatch.setattr(registering, "finish_training", finish_late)
    # Its beats do not come either, so that somebody else takes over.
    job = submit_training()
    with supervising(poll_seconds=60):
        stopped.wait(20)
        move_clock(10)
        assert expire_trainings(engine, idle_attempts=3) == 1
        train(context)
        before = fetch("SELECT digest, version FROM model_version ORDER BY id")
        goes_on.set()
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert fetch("SELECT digest, version FROM model_version ORDER BY id") == before
    assert len(before) == 2 and broken_rules(engine, settings, job) == []


def test_events_wait_while_the_database_is_away(
    engine: Engine,
    context: TrainerContext,
    submit_training: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outages = iter(range(5))

    def store_later(*values: Any) -> None:
        if next(outages, None) is not None:
            raise OperationalError("", {}, Exception("the server is away"))
        store_events(*values)

    monkeypatch.setattr(listening, "store_events", store_later)
    job = submit_training(epochs=3)
    train(context)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert [each.epoch for each in list_epochs(engine, job.id)] == [1, 2, 3]


def test_a_trainer_sees_no_secret_and_its_gpus_alone(
    context: TrainerContext, submit_training: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("REDIS_URL", "redis://secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,MIG-7,5")
    submit_training()
    lease = claim_training(context.engine, owner=uuid4(), roots=["file:"], lease_seconds=9)
    assert lease is not None
    environment = trainer_environment(lease, ("cuda:1", "cuda:0"))
    assert environment["CUDA_VISIBLE_DEVICES"] == "MIG-7,3"
    assert not [name for name, text in environment.items() if "://secret" in text]


def test_what_an_attempt_left_running_is_killed_by_the_next(
    engine: Engine,
    submit_training: Submit,
    context: TrainerContext,
    processes_of: Callable[[Job], list[psutil.Process]],
    execute: Callable[[str], None],
) -> None:
    job = submit_training()
    marked = os.environ | {MARK: str(job.uid)}
    left = subprocess.Popen(["sleep", "600"], start_new_session=True, env=marked)
    execute(f"UPDATE training SET host = '{socket.gethostname()}', pid = {left.pid}")
    train(context)
    assert processes_of(job) == []
    left.wait(5)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED


def test_a_stranger_with_the_number_of_an_old_attempt_is_left_alone(
    submit_training: Submit, context: TrainerContext, execute: Callable[[str], None]
) -> None:
    submit_training()
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    execute(f"UPDATE training SET host = '{socket.gethostname()}', pid = {stranger.pid}")
    train(context)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait(5)
