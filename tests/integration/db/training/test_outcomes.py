"""How trainings end: registered, cancelled, deleted."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from tests.integration.db.training.told import (
    JUDGED,
    NEW,
    Claims,
    Jobs,
    broken_rules,
    checkpoint,
    epoch,
)

from imgq_db.cancelling import cancel_job
from imgq_db.closing import close_finished_jobs
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.errors import LeaseLost
from imgq_db.jobs import JobState, get_job
from imgq_db.models import get_model
from imgq_db.sources import FILE_ROOT
from imgq_db.training.events import (
    Said,
    store_events,
)
from imgq_db.training.leases import (
    claim_training,
    holds_training,
    let_go_training,
)
from imgq_db.training.outcomes import finish_training

Count = Callable[..., int]


def test_a_version_is_registered_once_however_often_a_training_is_done(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    lease = claimed()
    assert finish_training(engine, lease, NEW, JUDGED) == "birds:1"
    with pytest.raises(LeaseLost):
        finish_training(engine, lease, NEW, JUDGED)
    (version,) = get_model(engine, "birds")
    assert (version.job, version.source, version.report) == (job.uid, "train", "f" * 64)
    assert version.training and version.training["seed"] == 3
    assert broken_rules(engine, job) == []


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_commit_without_an_answer_is_resolved_by_the_token(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    broken_commit: Callable[[bool], None],
    takes_effect: bool,
) -> None:
    training()
    lease = claimed()
    broken_commit(takes_effect)
    if takes_effect:
        assert finish_training(engine, lease, NEW, JUDGED) == "birds:1"
        return
    with pytest.raises(DBAPIError):
        finish_training(engine, lease, NEW, JUDGED)
    assert finish_training(engine, lease, NEW, JUDGED) == "birds:1"


def test_a_cancelled_training_waits_for_its_supervisor_to_let_go(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    lease = claimed()
    assert cancel_job(engine, job.uid).state is JobState.CANCELLING
    assert not holds_training(engine, lease) and close_finished_jobs(engine) == 0
    with pytest.raises(LeaseLost):
        finish_training(engine, lease, NEW, JUDGED)
    assert let_go_training(engine, lease) and close_finished_jobs(engine) == 1
    assert get_job(engine, job.uid).state is JobState.CANCELLED
    assert broken_rules(engine, job) == []


def test_a_training_that_waits_is_cancelled_at_once(engine: Engine, training: Jobs) -> None:
    job = training()
    assert cancel_job(engine, job.uid).state is JobState.CANCELLED
    assert claim_training(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=9) is None


def test_a_deleted_training_leaves_its_version_and_nothing_else(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    count: Count,
) -> None:
    job = training()
    lease = claimed()
    store_events(engine, lease, [epoch(1), checkpoint(1), Said("info", "hello")])
    finish_training(engine, lease, NEW, JUDGED)
    delete_job(engine, job.uid)
    while purge_deleted(engine):
        pass
    tables = ("job", "training", "training_epoch", "checkpoint", "training_log")
    assert [count(table) for table in tables] == [0] * 5
    assert len(get_model(engine, "birds")) == 1
