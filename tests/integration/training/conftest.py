"""Supervisors in this process or as processes, with a stand-in for the trainer."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from imgq_db.jobs import Job, JobKind, NewJob, create_job
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_db.train_options import EvaluateOptions, TrainOptions
from imgq_workers.context import new_uid
from imgq_workers.training.context import TrainerContext, make_trainer_context
from imgq_workers.training.loop import train
from imgq_workers.training.processes import MARK

STANDIN = Path(__file__).with_name("standin.py")
Fetch = Callable[[str], Sequence[tuple[object, ...]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A labelled folder; nobody looks at the pictures."""
    made = tmp_path / "birds"
    for label in ("jay", "wren"):
        (made / label).mkdir(parents=True)
        for number in range(2):
            (made / label / f"{number}.jpg").write_bytes(f"{label} {number}".encode())
    return made


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """A pipe at which the stand-in waits until somebody opens the other end."""
    path = tmp_path / "hold"
    os.mkfifo(path)
    return path


@pytest.fixture
def submit_training(engine: Engine, settings: Settings, folder: Path) -> Callable[..., Job]:
    """Accept a train job; keywords are the stand-in's knobs, or TrainOptions in `options`."""

    def make(options: dict[str, object] | None = None, **knobs: object) -> Job:
        chosen = TrainOptions("birds", config=knobs, **(options or {}))  # type: ignore[arg-type]
        return create_job(
            engine, settings, NewJob(folder_uri(folder), options=chosen, kind=JobKind.TRAIN)
        )

    return make


@pytest.fixture
def submit_evaluation(engine: Engine, settings: Settings, folder: Path) -> Callable[[str], Job]:
    def make(model: str) -> Job:
        return create_job(
            engine,
            settings,
            NewJob(folder_uri(folder), model, EvaluateOptions(), JobKind.EVALUATE),
        )

    return make


@pytest.fixture
def context(settings: Settings, engine: Engine) -> TrainerContext:
    """A supervisor of this process, whose bells nobody hears."""
    return make_trainer_context(
        settings.model_copy(update={"device": "cpu"}),
        engine=engine,
        ring=lambda queue: True,
        command=(sys.executable, str(STANDIN)),
    )


@dataclass(slots=True)
class Supervisor:
    """A supervisor that trains in a thread."""

    context: TrainerContext
    thread: threading.Thread

    def ended(self) -> bool:
        return not self.thread.is_alive()


@pytest.fixture
def supervising(context: TrainerContext) -> Callable[..., object]:
    """Let a supervisor train in the background while the block runs."""

    @contextmanager
    def run(**changes: object) -> Iterator[Supervisor]:
        other = replace(
            context,
            settings=context.settings.model_copy(update=changes),
            owner=new_uid(),
            worker_uid=new_uid(),
        )
        thread = threading.Thread(target=train, args=(other,))
        thread.start()
        yield Supervisor(other, thread)
        thread.join(30)
        assert not thread.is_alive()

    return run


@pytest.fixture
def fetch(engine: Engine) -> Fetch:
    """Read rows behind imgq's back."""

    def query(statement: str) -> Sequence[tuple[object, ...]]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    return query


@pytest.fixture
def execute(engine: Engine) -> Callable[[str], None]:
    """Change a table behind imgq's back."""

    def run(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement))

    return run


@pytest.fixture
def processes_of() -> Callable[[Job], list[psutil.Process]]:
    """Find the live processes that carry a job's mark."""

    def find(job: Job) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _carries(process, str(job.uid))]

    return find


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
