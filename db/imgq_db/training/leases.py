"""The claim on a training: one supervisor at a time, by token, on the database's clock.

Whatever changes a job and its training locks the job's row first, so that nobody deadlocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.cancelling import end_job
from imgq_db.engine import single_statements
from imgq_db.errors import LeaseLost, OptionInvalid
from imgq_db.fairness import JOB_ORDER
from imgq_db.jobs import OPTIONS, JobKind, unreadable_options
from imgq_db.sources import REGISTRY_ROOT
from imgq_db.stored_options import read_options
from imgq_db.train_options import EvaluateOptions, TrainOptions
from imgq_db.training.checkpoints import Checkpoint, checkpoints_of

#: SQL that holds a statement on `training` to the claim.
FENCE = "job_id = :job_id AND token = :token AND owner = :owner AND state = 'leased'"


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """Where an attempt's processes were started: the leader's pid on a host."""

    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class TrainingLease:
    """A supervisor's claim on one train or evaluate job.

    owner: a fresh UUID of the process. token: grows with each claim; only the newest may write.
    spent_seconds: since the first attempt began.
    leftover: the processes of the attempt before. checkpoints: to resume from, the newest first.
    """

    job_id: int
    job_uid: UUID
    kind: JobKind
    owner: UUID
    token: int
    attempt: int
    spent_seconds: float
    source: str
    options: TrainOptions | EvaluateOptions
    model_version_id: int | None
    leftover: ProcessGroup | None
    checkpoints: tuple[Checkpoint, ...]

    @property
    def fence(self) -> dict[str, Any]:
        """The values that FENCE names."""
        return {"job_id": self.job_id, "token": self.token, "owner": self.owner}


class _Unreadable(Exception):
    """Nobody can do a training's options: its claim is to be undone, and its job ended."""

    def __init__(self, job_id: int, error: OptionInvalid) -> None:
        super().__init__(str(error))
        self.job_id = job_id
        self.error = error


_NEXT = f"""
SELECT j.id FROM job j JOIN training t ON t.job_id = j.id
WHERE j.state IN ('queued', 'running') AND t.state = 'pending' AND j.root = ANY(:roots)
ORDER BY {JOB_ORDER}, j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED
"""
_CLAIM = """
UPDATE training SET state = 'leased', token = token + 1, owner = :owner, heard_at = imgq_now(),
    lease_until = imgq_now() + make_interval(secs => :lease_seconds), attempts = attempts + 1
WHERE job_id = :job_id AND state = 'pending'
RETURNING token, attempts, host, pid
"""
_BEGIN = """
UPDATE job SET state = 'running', started_at = coalesce(started_at, imgq_now()),
    served_at = imgq_now()
WHERE id = :job_id RETURNING uid, kind, source, options, model_version_id,
    CAST(extract(epoch FROM imgq_now() - started_at) AS real) AS spent_seconds
"""


def claim_training(
    engine: Engine, *, owner: UUID, roots: Sequence[str], lease_seconds: float
) -> TrainingLease | None:
    """Claim the most urgent training, committed before any work begins; None if nothing waits.

    One whose options nobody can do any more ends failed.
    """
    keys = {"owner": owner, "roots": [*roots, REGISTRY_ROOT], "lease_seconds": lease_seconds}
    while True:
        try:
            return _claim(engine, keys)
        except _Unreadable as unreadable:
            end_job(engine, unreadable.job_id, unreadable_options(unreadable.error))


def _claim(engine: Engine, keys: dict[str, Any]) -> TrainingLease | None:
    with engine.begin() as connection:
        job_id = connection.execute(text(_NEXT), keys).scalar()
        if job_id is None:
            return None
        keys["job_id"] = job_id
        claimed = connection.execute(text(_CLAIM), keys).first()
        if claimed is None:
            return None
        job = connection.execute(text(_BEGIN), keys).one()
        try:
            options = read_options(OPTIONS[JobKind(job.kind)], job.options)
        except OptionInvalid as error:
            raise _Unreadable(job_id, error) from error
        assert isinstance(options, TrainOptions | EvaluateOptions)
        return TrainingLease(
            job_id=job_id,
            job_uid=job.uid,
            kind=JobKind(job.kind),
            owner=keys["owner"],
            token=claimed.token,
            attempt=claimed.attempts,
            spent_seconds=job.spent_seconds,
            source=job.source,
            options=options,
            model_version_id=job.model_version_id,
            leftover=ProcessGroup(claimed.host, claimed.pid) if claimed.pid else None,
            checkpoints=checkpoints_of(connection, job_id),
        )


def renew_training(engine: Engine, lease: TrainingLease, *, lease_seconds: float) -> bool:
    """Prolong a claim. False: it was lost or cancelled, stop working on it."""
    return _execute(
        engine,
        "UPDATE training SET lease_until = imgq_now() + make_interval(secs => :lease_seconds)"
        f" WHERE {FENCE}",
        lease,
        lease_seconds=lease_seconds,
    )


def holds_training(engine: Engine, lease: TrainingLease) -> bool:
    """Tell whether the claim still stands, without prolonging it."""
    with single_statements(engine) as connection:
        found = connection.execute(text(f"SELECT 1 FROM training WHERE {FENCE}"), lease.fence)
        return found.first() is not None


def note_processes(engine: Engine, lease: TrainingLease, group: ProcessGroup) -> None:
    """Write down where an attempt's processes are, for the next one. Raises LeaseLost."""
    if not _execute(
        engine,
        f"UPDATE training SET host = :host, pid = :pid WHERE {FENCE}",
        lease,
        host=group.host,
        pid=group.pid,
    ):
        raise LeaseLost(f"the training of job {lease.job_uid}")


def begin_attempt(engine: Engine, lease: TrainingLease, resumed: Checkpoint | None) -> None:
    """Forget what happened after the checkpoint that is resumed from: it happens again.

    Raises LeaseLost.
    """
    behind = {
        **lease.fence,
        "seq": resumed.seq if resumed else 0,
        "stage": resumed.stage if resumed else None,
        "run": resumed.run if resumed else None,
        "epoch": resumed.epoch if resumed else None,
    }
    with engine.begin() as connection:
        held = connection.execute(
            text(
                "UPDATE training SET stage = :stage, run = :run, runs = NULL, epoch = :epoch,"
                " epochs = NULL, done = NULL, total = NULL, eta_seconds = NULL"
                f" WHERE {FENCE}"
            ),
            behind,
        )
        if held.rowcount != 1:
            raise LeaseLost(f"the training of job {lease.job_uid}")
        # The epoch that a checkpoint closes is in it, whichever of the two was said first.
        connection.execute(
            text(
                "DELETE FROM training_epoch WHERE job_id = :job_id AND seq > :seq AND NOT"
                " coalesce(stage = :stage AND run = :run AND epoch <= :epoch, false)"
            ),
            behind,
        )
        connection.execute(
            text("DELETE FROM checkpoint WHERE job_id = :job_id AND seq > :seq"), behind
        )


def release_training(engine: Engine, lease: TrainingLease) -> bool:
    """Give a training back, for anybody to go on with at once: it does not count as an attempt."""
    return _execute(
        engine,
        "UPDATE training SET state = 'pending', owner = NULL, lease_until = NULL, host = NULL,"
        f" pid = NULL, attempts = greatest(attempts - 1, 0) WHERE {FENCE}",
        lease,
    )


def let_go_training(engine: Engine, lease: TrainingLease) -> bool:
    """Say that nothing computes any more for a training that was cancelled under its owner."""
    return _execute(
        engine,
        "UPDATE training SET owner = NULL, host = NULL, pid = NULL"
        " WHERE job_id = :job_id AND owner = :owner AND state = 'cancelled'",
        lease,
    )


def waiting_trainings(engine: Engine, *, at_most: int) -> int:
    """Count the trainings that wait for a supervisor, but not further than asked."""
    with engine.connect() as connection:
        waiting = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT 1 FROM training t JOIN job j ON j.id = t.job_id"
                " WHERE t.state = 'pending' AND j.state IN ('queued', 'running')"
                " LIMIT :limit) waiting"
            ),
            {"limit": at_most},
        )
        return int(waiting.scalar_one())


def _execute(engine: Engine, statement: str, lease: TrainingLease, **values: object) -> bool:
    with single_statements(engine) as connection:
        return connection.execute(text(statement), {**lease.fence, **values}).rowcount == 1
