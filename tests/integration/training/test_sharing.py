"""Trainings and classification on one machine: neither waits for the other, pictures go first."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine
from tests.faults.storm.worker import LABELS

from imgq_db.cancelling import cancel_job
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.models import NewVersion, complete_builtin
from imgq_db.training.progress import list_epochs
from imgq_workers.training.context import TRAINER
from imgq_workers.training.guard import AUTOGROUP, NICENESS

Wait = Callable[[Callable[[], bool]], None]
STANDIN = Path(__file__).with_name("standin.py")
PICTURES = 24
FLOOD = 12


@pytest.fixture
def processes(processes: Any, engine: Engine) -> Any:
    """A reconciler, a supervisor of trainings and, later, a worker: both compute stand-ins."""
    complete_builtin(engine, NewVersion("0" * 64, "colours", LABELS, {}, {}))
    processes.environ[TRAINER] = str(STANDIN)
    processes.start("reconciler")
    processes.start("trainer")
    return processes


def state(engine: Engine, job: Job) -> JobState:
    return get_job(engine, job.uid).state


def test_a_training_that_lasts_keeps_no_picture_waiting(
    engine: Engine,
    processes: Any,
    submit: Callable[..., Job],
    submit_training: Callable[..., Job],
    pictures: Callable[[int], Path],
    hold: Path,
    wait_until: Wait,
    ended: Callable[[Job], Job],
) -> None:
    training = submit_training(epochs=2, hold_at=1, hold=str(hold))
    wait_until(lambda: len(list_epochs(engine, training.id)) == 1)
    processes.start_stand_in(chunk_size=8)
    assert ended(submit(pictures(PICTURES))).progress.ok == PICTURES
    assert state(engine, training) is JobState.RUNNING
    hold.write_bytes(b"")
    assert ended(training).state is JobState.SUCCEEDED


def test_pictures_that_last_keep_no_training_waiting(
    engine: Engine,
    processes: Any,
    submit: Callable[..., Job],
    submit_training: Callable[..., Job],
    pictures: Callable[[int], Path],
    tmp_path: Path,
    ended: Callable[[Job], Job],
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    plan = f"decode=block:{gate}@match=*00005.jpg"
    processes.environ |= {"IMGQ_TESTING": "1", "IMGQ_FAILPOINTS": plan}
    processes.start_stand_in(chunk_size=8)
    job = submit(pictures(PICTURES))
    assert gate.read_bytes()  # it is at that picture now
    assert ended(submit_training()).state is JobState.SUCCEEDED
    assert state(engine, job) is JobState.RUNNING
    gate.write_bytes(b"")
    assert ended(job).progress.ok == PICTURES


def test_a_flood_of_urgent_trainings_delays_no_picture(
    engine: Engine,
    processes: Any,
    submit: Callable[..., Job],
    submit_training: Callable[..., Job],
    pictures: Callable[[int], Path],
    hold: Path,
    wait_until: Wait,
    ended: Callable[[Job], Job],
) -> None:
    flood = [submit_training(hold_at=1, hold=str(hold)) for _ in range(FLOOD)]
    wait_until(lambda: len(list_epochs(engine, flood[0].id)) == 1)
    processes.start_stand_in(chunk_size=8)
    assert ended(submit(pictures(PICTURES))).progress.ok == PICTURES
    states = [state(engine, training) for training in flood]
    assert states == [JobState.RUNNING] + [JobState.QUEUED] * (FLOOD - 1)
    for training in reversed(flood):
        cancel_job(engine, training.uid)


def test_a_trainer_yields_the_cores_to_the_pictures(
    engine: Engine,
    processes: Any,
    submit_training: Callable[..., Job],
    processes_of: Callable[[Job], list[psutil.Process]],
    hold: Path,
    wait_until: Wait,
) -> None:
    training = submit_training(hold_at=1, hold=str(hold))
    wait_until(lambda: len(list_epochs(engine, training.id)) == 1)
    found = processes_of(training)
    assert {process.nice() for process in found} == {psutil.Process().nice() + NICENESS}
    groups = [Path(f"/proc/{process.pid}", AUTOGROUP.name) for process in found]
    said = {group.read_text().split()[-1] for group in groups if group.exists()}
    assert said <= {str(NICENESS)}
