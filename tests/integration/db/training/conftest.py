"""Train jobs in the tables, held by supervisors that are made up."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine
from tests.integration.db.training.told import Claims, Jobs, RunOut

from imgq_db.jobs import Job, JobKind
from imgq_db.sources import FILE_ROOT
from imgq_db.train_options import TrainOptions
from imgq_db.training.attempts import expire_trainings
from imgq_db.training.leases import TrainingLease, claim_training


@pytest.fixture
def training(make_job: Jobs) -> Jobs:
    """Submit a train job; keywords are those of NewJob."""

    def make(**values: object) -> Job:
        return make_job(
            **{"kind": JobKind.TRAIN, "options": TrainOptions("birds", seed=3), **values}
        )

    return make


@pytest.fixture
def claimed(engine: Engine) -> Claims:
    """Claim the next training as a new supervisor."""

    def claim() -> TrainingLease:
        lease = claim_training(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=120)
        assert lease is not None
        return lease

    return claim


@pytest.fixture
def run_out(engine: Engine, move_clock: Callable[[float], None]) -> RunOut:
    """Let a training's lease run out, and be found so."""

    def pass_by(*, seconds: float = 200, idle_attempts: int = 3) -> None:
        move_clock(seconds)
        assert expire_trainings(engine, idle_attempts=idle_attempts) == 1

    return pass_by
