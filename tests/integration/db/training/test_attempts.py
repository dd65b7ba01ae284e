"""Attempts at a training: claims, leases that run out, and how the next one goes on."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from tests.integration.db.training.told import (
    Claims,
    Jobs,
    RunOut,
    broken_rules,
    checkpoint,
    epoch,
)

from imgq_db.errors import LeaseLost
from imgq_db.jobs import JobState, get_job
from imgq_db.sources import FILE_ROOT
from imgq_db.training.attempts import MOST_ATTEMPTS, TOO_OFTEN
from imgq_db.training.events import (
    CheckpointWritten,
    store_events,
)
from imgq_db.training.leases import (
    begin_attempt,
    claim_training,
    holds_training,
    release_training,
    renew_training,
)
from imgq_db.training.progress import list_epochs


def test_only_one_supervisor_holds_a_training(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    lease = claimed()
    assert (lease.job_id, lease.token, lease.attempt) == (job.id, 1, 1)
    assert get_job(engine, job.uid).state is JobState.RUNNING
    assert claim_training(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=120) is None
    assert renew_training(engine, lease, lease_seconds=120)
    assert release_training(engine, lease) and not holds_training(engine, lease)
    assert claimed().token == 2


def test_a_resumed_training_counts_every_epoch_once(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    run_out: RunOut,
) -> None:
    job = training()
    first = claimed()
    store_events(engine, first, [epoch(1), checkpoint(1), epoch(2), checkpoint(2)])
    store_events(engine, first, [epoch(3), epoch(4), epoch(1, "refit")])
    run_out()
    second = claimed()
    assert [each.epoch for each in second.checkpoints] == [2, 1]
    begin_attempt(engine, second, second.checkpoints[0])
    # It stops sooner than the one before, which the clock may make it do.
    store_events(engine, second, [epoch(3), epoch(3)])
    epochs = [(each.stage, each.epoch) for each in list_epochs(engine, job.id)]
    assert epochs == [("probe", 1), ("probe", 2), ("probe", 3)]
    with pytest.raises(LeaseLost):
        store_events(engine, first, [epoch(9)])
    assert broken_rules(engine, job) == []


def test_a_clock_that_is_set_back_by_hours_holds_up_no_training(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    run_out: RunOut,
) -> None:
    training()
    claimed()
    run_out(seconds=-2 * 3600)
    assert claimed().token == 2


def test_a_lease_knows_how_long_the_attempts_before_took(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    move_clock: Callable[[float], None],
) -> None:
    training()
    first = claimed()
    assert 0 <= first.spent_seconds < 5
    move_clock(60)
    release_training(engine, first)

    assert 60 <= claimed().spent_seconds < 65


def test_a_training_resumed_in_a_later_run_keeps_those_before(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    first = claimed()
    written = CheckpointWritten(Path("checkpoints/1"), "ab", "probe", 2, 1)
    store_events(engine, first, [epoch(1), epoch(2), written, epoch(1, run=2), epoch(2, run=2)])
    release_training(engine, first)
    second = claimed()
    begin_attempt(engine, second, second.checkpoints[0])
    epochs = [(each.run, each.epoch) for each in list_epochs(engine, job.id)]
    assert epochs == [(1, 1), (1, 2), (2, 1)]


def test_who_gives_a_training_back_makes_no_attempt(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    run_out: RunOut,
) -> None:
    job = training()
    for _ in range(MOST_ATTEMPTS):
        assert release_training(engine, claimed())
    assert claimed().attempt == 1
    run_out()
    assert get_job(engine, job.uid).state is JobState.RUNNING


def test_a_training_that_is_lost_too_often_says_so(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    run_out: RunOut,
) -> None:
    job = training()
    with engine.begin() as connection:
        connection.execute(text("UPDATE training SET attempts = 49"))
    claimed()
    run_out()
    assert get_job(engine, job.uid).error == TOO_OFTEN


def test_attempts_without_a_checkpoint_end_the_job_and_those_with_one_do_not(
    engine: Engine,
    training: Jobs,
    claimed: Claims,
    run_out: RunOut,
) -> None:
    job = training()
    for number in (1, 2):
        lease = claimed()
        store_events(engine, lease, [epoch(number), checkpoint(number)])
        run_out(idle_attempts=2)
    claimed()
    run_out(idle_attempts=2)
    ended = get_job(engine, job.uid)
    assert ended.state is JobState.FAILED and ended.error and ended.error.slug == "no-progress"
    assert broken_rules(engine, job) == []
