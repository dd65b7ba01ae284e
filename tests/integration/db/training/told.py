"""What trainings tell in these tests, and what their fixtures are."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from imgq_db.jobs import Job
from imgq_db.models import NewVersion
from imgq_db.training.events import CheckpointWritten, EpochEnded
from imgq_db.training.leases import TrainingLease
from imgq_db.training.outcomes import Judgement
from imgq_db.verifying import verify_job

Jobs = Callable[..., Job]
Claims = Callable[[], TrainingLease]
RunOut = Callable[..., None]
NEW = NewVersion("0" * 64, "resnet18", ("a", "b"), {}, {"accuracy": 0.5})
JUDGED = Judgement({"accuracy": 0.5}, ("Good.",), "f" * 64, None)


def epoch(number: int, stage: str = "probe", run: int = 1) -> EpochEnded:
    return EpochEnded(stage, run, 2, number, 4, 0.5, 0.6, 0.7, 0.1, 9.0, 30.0)


def checkpoint(number: int) -> CheckpointWritten:
    return CheckpointWritten(Path(f"checkpoints/{number}"), "ab", "probe", 1, number)


def broken_rules(engine: Engine, job: Job) -> list[str]:
    return [check.rule for check in verify_job(engine, job.uid) if not check.holds]
