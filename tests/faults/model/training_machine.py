"""Anything that supervisors, users, the reconciler and the clock may do to trainings."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    initialize,
    invariant,
    multiple,
    rule,
)
from sqlalchemy import Engine, text

from imgq_db.closing import close_finished_jobs
from imgq_db.deleting import purge_deleted
from imgq_db.errors import JobNotFound, JobStillRunning, LeaseLost
from imgq_db.jobs import JobError, JobKind, NewJob, create_job
from imgq_db.models import NewVersion
from imgq_db.retries import retry_job
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT
from imgq_db.train_options import TrainOptions
from imgq_db.training.attempts import expire_trainings, fail_training, release_after_crash
from imgq_db.training.events import CheckpointWritten, EpochEnded, TrainingEvent, store_events
from imgq_db.training.leases import (
    begin_attempt,
    claim_training,
    holds_training,
    let_go_training,
    release_training,
    renew_training,
)
from imgq_db.training.outcomes import Judgement, finish_training

from .classifying import LEGAL
from .machine import Machine
from .tables import broken_rules
from .training import IDLE_ATTEMPTS, LEASE_SECONDS, Attempt, TrainJob

CRASHED = JobError("trainer-crashed", "The trainer crashed", "It did.", "Look at its log.")
JUDGED = Judgement({"accuracy": 0.5}, ("Good.",), "f" * 64, None)
_STATE = """
SELECT j.id, j.state, j.error ->> 'slug' AS error, j.result ->> 'model' AS model,
    t.state AS training, t.owner, t.attempts, t.idle_attempts, t.token,
    ARRAY(SELECT epoch FROM training_epoch WHERE job_id = j.id ORDER BY epoch) AS epochs,
    ARRAY(SELECT epoch FROM checkpoint WHERE job_id = j.id ORDER BY epoch) AS checkpoints,
    ARRAY(SELECT m.name || ':' || v.version FROM model_version v JOIN model m ON m.id = v.model_id
        WHERE v.job_uid = j.uid) AS versions
FROM job j JOIN training t ON t.job_id = j.id WHERE j.deleted_at IS NULL ORDER BY j.id
"""


def epoch(number: int) -> EpochEnded:
    return EpochEnded(
        stage="finetune",
        run=1,
        runs=1,
        epoch=number,
        epochs=99,
        train_loss=0.5,
        val_loss=0.6,
        macro_f1=0.7,
        learning_rate=0.1,
        images_per_second=9.0,
        eta_seconds=30.0,
    )


def checkpoint(number: int) -> CheckpointWritten:
    path = Path(f"checkpoints/{number}")
    return CheckpointWritten(path, f"{number:064}", stage="finetune", run=1, epoch=number)


class TrainingMachine(Machine):
    """Trainings are claimed, resumed, finished, cancelled and lost."""

    jobs: Bundle[TrainJob] = Bundle("jobs")
    tries: Bundle[Attempt] = Bundle("tries")

    def __init__(self, engine: Engine, settings: Settings) -> None:
        super().__init__(engine, settings)
        self.known: list[TrainJob] = []
        self.attempts: list[Attempt] = []
        self.versions: dict[str, int] = {}
        self.seen: dict[int, Any] = {}

    @property
    def kept(self) -> list[TrainJob]:
        return [job for job in self.known if not job.deleted]

    # --- what users do

    @initialize(target=jobs)
    def begin(self) -> TrainJob:
        return self._add("birds")

    @rule(target=jobs, name=st.sampled_from(["birds", "cats"]))
    def submit(self, name: str) -> TrainJob:
        return self._add(name)

    def _add(self, name: str) -> TrainJob:
        new = NewJob("file:///photos", options=TrainOptions(name), kind=JobKind.TRAIN)
        made = create_job(self.engine, self.settings, new)
        self.known.append(TrainJob(made.id, made.uid, name))
        return self.known[-1]

    @rule(job=jobs)
    def cancel(self, job: TrainJob) -> None:
        self._cancel(job)

    @rule(target=jobs, job=jobs)
    def retry(self, job: TrainJob) -> Any:
        def act() -> Any:
            return retry_job(self.engine, job.uid, only_failed=False)

        if job.deleted:
            return self._refused(JobNotFound, act)
        if not job.ended:
            return self._refused(JobStillRunning, act)
        made = act()
        self.known.append(TrainJob(made.id, made.uid, job.name))
        return self.known[-1]

    @rule(job=jobs)
    def delete(self, job: TrainJob) -> None:
        if self._delete(job):
            while purge_deleted(self.engine):
                pass

    # --- what supervisors do

    @rule(target=tries)
    def claim(self) -> Any:
        return self._claim() or multiple()

    def _claim(self) -> Attempt | None:
        lease = claim_training(
            self.engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS
        )
        waiting = {job.id: job for job in self.kept if job.waits()}
        assert (lease is None) == (not waiting)
        if lease is None:
            return None
        job = waiting[lease.job_id]
        attempt = Attempt(lease, job, self.clock.after(LEASE_SECONDS))
        job.claim(attempt)
        assert lease.attempt == job.attempts
        offered = [each.epoch for each in lease.checkpoints]
        assert offered == sorted(job.checkpoints, reverse=True)
        self.attempts.append(attempt)
        return attempt

    @initialize(target=tries)
    def begin_an_attempt(self) -> Any:
        return self._claim() or multiple()

    @rule(attempt=tries)
    def cancel_under_its_supervisor(self, attempt: Attempt) -> None:
        self._cancel(attempt.job)

    @rule(attempt=tries, damaged=st.integers(0, 1))
    def resume(self, attempt: Attempt, damaged: int) -> None:
        """Begin at the newest checkpoint that is whole, as a supervisor does once."""
        if attempt.at is not None:
            return
        whole = attempt.lease.checkpoints[damaged:]
        found = whole[0] if whole else None
        held = self._writes(attempt, lambda: begin_attempt(self.engine, attempt.lease, found))
        if held:
            attempt.job.resume(attempt, found.epoch if found else 0)

    @rule(attempt=tries, epochs=st.integers(1, 3), keeps=st.booleans(), again=st.booleans())
    def train(self, attempt: Attempt, epochs: int, keeps: bool, again: bool) -> None:
        if attempt.at is None:
            return
        last = attempt.at + epochs
        events: list[TrainingEvent] = [epoch(n) for n in range(attempt.at + 1, last + 1)]
        events += [checkpoint(last)] * keeps
        for _ in range(1 + again):  # twice, if the answer was lost
            if not self._writes(attempt, lambda: store_events(self.engine, attempt.lease, events)):
                return
        attempt.job.epochs |= set(range(attempt.at + 1, last + 1))
        attempt.at = last
        if keeps:
            attempt.job.checkpoints.add(last)
            attempt.job.idle_attempts = 0

    @rule(attempt=tries)
    def finish(self, attempt: Attempt) -> None:
        job, number = attempt.job, self.versions.get(attempt.job.name, 0) + 1
        model = f"{job.name}:{number}"
        new = NewVersion(f"{job.id:032}{number:032}", "resnet18", ("a", "b"), {}, {})

        def act() -> None:
            assert finish_training(self.engine, attempt.lease, new, JUDGED) == model

        if self._writes(attempt, act):
            self.versions[job.name] = number
            job.finish(model)
        attempt.computing = False

    def _writes(self, attempt: Attempt, act: Callable[[], None]) -> bool:
        held = attempt.job.holder is attempt
        try:
            act()
        except LeaseLost:
            assert not held
        else:
            assert held
        return held

    @rule(attempt=tries)
    def renew(self, attempt: Attempt) -> None:
        held = attempt.job.holder is attempt
        assert holds_training(self.engine, attempt.lease) == held
        assert renew_training(self.engine, attempt.lease, lease_seconds=LEASE_SECONDS) == held
        if held:
            attempt.until = self.clock.after(LEASE_SECONDS)

    @rule(attempt=tries)
    def give_back(self, attempt: Attempt) -> None:
        held = attempt.job.holder is attempt
        assert release_training(self.engine, attempt.lease) == held
        if held:
            attempt.job.release()
            attempt.job.attempts -= 1
        attempt.computing = False

    @rule(attempt=tries)
    def crash(self, attempt: Attempt) -> None:
        held = attempt.job.holder is attempt
        goes_on = release_after_crash(
            self.engine, attempt.lease, CRASHED, idle_attempts=IDLE_ATTEMPTS
        )
        assert goes_on == (held and attempt.job.crash(CRASHED.slug))
        attempt.computing = False

    @rule(attempt=tries)
    def fail(self, attempt: Attempt) -> None:
        held = attempt.job.holder is attempt
        assert fail_training(self.engine, attempt.lease, CRASHED) == held
        if held:
            attempt.job.fail(CRASHED.slug)
        attempt.computing = False

    @rule(attempt=tries)
    def let_go(self, attempt: Attempt) -> None:
        if attempt.job.deleted:
            return
        held = attempt.job.cancelled_under is attempt
        assert let_go_training(self.engine, attempt.lease) == held
        if held:
            attempt.job.cancelled_under = None
            attempt.computing = False

    # --- what time and the reconciler do

    @rule(seconds=st.sampled_from([1, 119, 120, 121]))
    def wait(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule()
    def outlast_all_leases(self) -> None:
        self.clock.move(LEASE_SECONDS + 1)
        self.expire()

    @rule()
    def expire(self) -> None:
        expired = [j for j in self.kept if j.holder and j.holder.until < self.clock.now]
        assert expire_trainings(self.engine, idle_attempts=IDLE_ATTEMPTS) == len(expired)
        for job in expired:
            job.crash("no-progress")

    @rule()
    def close(self) -> None:
        closed = sum(job.close(self.clock.now) for job in self.kept)
        assert close_finished_jobs(self.engine) == closed

    # --- what must be true

    @invariant()
    def the_tables_hold_what_they_must(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(text(_STATE)).all()
        assert [row.id for row in rows] == [job.id for job in self.kept]
        for row, job in zip(rows, self.kept, strict=True):
            self._compare(row, job)
            if row != self.seen.get(row.id):
                self.seen[row.id] = row
                assert broken_rules(self.engine, job.uid) == []

    def _compare(self, row: Any, job: TrainJob) -> None:
        assert (row.state, row.error, row.training) == (job.state, job.error, job.training)
        holder = job.holder or job.cancelled_under
        assert row.owner == (holder and holder.lease.owner)
        assert job.holder is None or row.token == job.holder.lease.token
        under = job.cancelled_under
        assert under is None or row.token > under.lease.token
        assert (row.attempts, row.idle_attempts) == (job.attempts, job.idle_attempts)
        assert (row.epochs, row.checkpoints) == (sorted(job.epochs), sorted(job.checkpoints))
        assert (row.model, row.versions) == (job.model, [job.model] * (job.model is not None))
        before = self.seen.get(job.id)
        assert before is None or row.token >= before.token
        assert before is None or row.state in LEGAL[before.state]
        if job.ended and (before is None or before.state != job.state):
            mine = [each for each in self.attempts if each.job is job and each.computing]
            assert [each for each in mine if each.until > self.clock.now] == []

    def teardown(self) -> None:
        """Let a healthy supervisor go on: every job must come to its end."""
        if sys.exc_info()[0] is None:  # or the walk is red already
            self.clock.move(LEASE_SECONDS + 1)
            self.expire()
            while attempt := self._claim():
                self.the_tables_hold_what_they_must()
                self.resume(attempt, 0)
                self.train(attempt, 1, True, False)
                self.finish(attempt)
            self.close()
            self.the_tables_hold_what_they_must()
            assert [job for job in self.kept if not job.ended] == []
