"""A stream of jobs, so that every fault finds some at work."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from tests.faults.storm.client import Client, GaveUp
from tests.faults.storm.pictures import POISONED, Folder, poisoned

from imgq_db.jobs import JobKind, NewJob, create_job
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_db.train_options import TrainOptions

#: So many jobs are kept open, besides those that end processes.
OPEN_JOBS = 4
LOOK_SECONDS = 0.1
EPOCHS = 12
_OPEN = """
SELECT kind, count(*) AS jobs FROM job WHERE finished_at IS NULL AND NOT source ~ :but GROUP BY kind
"""
#: Matches no address.
_NONE = "^$"
_ROWS = "SELECT count(*) FROM prediction p JOIN job j ON j.id = p.job_id WHERE j.uid = :uid"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Submitted:
    """A job of the storm. rows_at_cancel: how many rows it had when `cancelled` first showed."""

    uid: UUID
    key: str
    folder: Folder | None
    cancels: bool = False
    rows_at_cancel: int | None = None


@dataclass(slots=True)
class Load:
    """Who submits and cancels. jobs: what was accepted; all else is for its threads."""

    client: Client
    engine: Engine
    settings: Settings
    folders: Sequence[Folder]
    training_folder: Path
    seed: int
    jobs: list[Submitted] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(6, "load"))
    _underway: list[Future[None]] = field(default_factory=list)
    _poisons: int = 0

    def begin(self) -> None:
        """Keep jobs open from now on."""
        self._start(self._keep_jobs_open)
        self._start(self._keep_a_training_open)

    def submit(self, folder: Folder, name: str, **options: object) -> Submitted:
        """Submit a folder and return the job. Raises Refused, GaveUp."""
        key = f"storm-{self.seed}-{name}"
        body: dict[str, Any] = {
            "kind": "classify",
            "source": {"uri": folder_uri(folder.path)},
            "options": options,
        }
        job = Submitted(self.client.submit(key, body), key, folder)
        self.jobs.append(job)
        return job

    def cancel(self, job: Submitted) -> None:
        """Cancel a job in the background, and note how many rows it has when that shows."""
        job.cancels = True
        self._start(self._cancel, job)

    def submit_poison(self, word: str) -> None:
        """Submit a folder with a picture that ends its process, in the background.

        word: POISON, ENDLESS or GLUTTON.
        """
        self._poisons += 1
        self._start(self._submit_poison, word, self._poisons)

    def end(self) -> None:
        """Submit no more."""
        self._ended.set()

    def close(self) -> None:
        """End every request that is still underway."""
        self.end()
        self.client.ended.set()
        self._threads.shutdown()

    def is_settled(self) -> bool:
        """Tell whether all requests are answered and all jobs have ended."""
        if not all(future.done() for future in self._underway):
            return False
        counts = self._open_jobs(but=_NONE)
        return counts is not None and not counts

    def _start(self, work: Any, *arguments: object) -> None:
        self._underway = [future for future in self._underway if not future.done()]
        self._underway.append(self._threads.submit(self._noting, work, *arguments))

    def _noting(self, work: Any, *arguments: object) -> None:
        try:
            work(*arguments)
        except GaveUp:
            self.problems.append(f"{work.__name__} was not answered until the end")
        except Exception as error:
            _log.exception("load_failed")
            self.problems.append(f"{work.__name__}: {type(error).__name__}: {error}")

    def _keep_jobs_open(self) -> None:
        dice, number = random.Random(self.seed), 0
        while not self._ended.is_set():
            counts = self._open_jobs()
            if counts is None or counts.get("classify", 0) >= OPEN_JOBS:
                self._ended.wait(LOOK_SECONDS)
                continue
            number += 1
            cache = dice.random() < 0.2  # most compute, or there would be nothing to interrupt
            self.submit(dice.choice(self.folders), f"job-{number}", cache=cache)

    def _keep_a_training_open(self) -> None:
        number = 0
        while not self._ended.is_set():
            counts = self._open_jobs()
            if counts is None or counts.get("train", 0):
                self._ended.wait(LOOK_SECONDS)
                continue
            number += 1
            self._train(f"training-{number}")

    def _train(self, name: str) -> None:
        """Submit a training past the API, which knows none of the stand-in's knobs."""
        key = f"storm-{self.seed}-{name}"
        options = TrainOptions("birds", config={"epochs": EPOCHS})
        new = NewJob(
            folder_uri(self.training_folder),
            options=options,
            kind=JobKind.TRAIN,
            idempotency_key=key,
        )
        while not self.client.ended.is_set():
            try:
                job = create_job(self.engine, self.settings, new)
            except SQLAlchemyError:
                self.client.ended.wait(LOOK_SECONDS)  # the key tells whether it was accepted
                continue
            self.jobs.append(Submitted(job.uid, key, None))
            return

    def _cancel(self, job: Submitted) -> None:
        state = self.client.cancel(job.uid)
        while state == "cancelling":
            self.client.ended.wait(0.02)
            state = self.client.state(job.uid)
        while (
            state == "cancelled" and job.rows_at_cancel is None and not self.client.ended.is_set()
        ):
            job.rows_at_cancel = self._count_rows(job.uid)

    def _submit_poison(self, word: str, number: int) -> None:
        folder = poisoned(self.folders[0], word, number)
        self.submit(folder, f"{word}-{number}", cache=False)

    def _count_rows(self, uid: UUID) -> int | None:
        try:
            with self.engine.connect() as connection:
                return int(connection.execute(text(_ROWS), {"uid": uid}).scalar_one())
        except SQLAlchemyError:
            return None  # Postgres is away

    def _open_jobs(self, *, but: str = POISONED) -> dict[str, int] | None:
        """Count jobs that have not ended by kind; None while Postgres is away.

        but: a pattern of addresses that do not count.
        """
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(text(_OPEN), {"but": but})
                return {row.kind: row.jobs for row in rows}
        except SQLAlchemyError:
            return None
