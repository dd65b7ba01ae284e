"""What is known of a training while it runs: epochs, figures, the log."""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Engine
from tests.integration.db.training.told import (
    JUDGED,
    NEW,
    Claims,
    Jobs,
    broken_rules,
    epoch,
)

from imgq_db.cancelling import cancel_job
from imgq_db.jobs import get_job
from imgq_db.training.events import (
    LOG_LINES,
    Progressed,
    Said,
    StageBegan,
    store_events,
)
from imgq_db.training.outcomes import finish_training
from imgq_db.training.progress import list_epochs, list_training_log

Count = Callable[..., int]


def test_runs_of_a_stage_keep_their_epochs_apart(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    lease = claimed()
    store_events(engine, lease, [epoch(1), epoch(2), epoch(3), epoch(1, run=2), epoch(2, run=2)])
    # The loss of the second run was no number: it began once more.
    store_events(engine, lease, [epoch(1, run=2)])
    epochs = [(each.run, each.runs, each.epoch) for each in list_epochs(engine, job.id)]
    assert epochs == [(1, 2, 1), (1, 2, 2), (1, 2, 3), (2, 2, 1)]
    found = get_job(engine, job.uid).training
    assert found and (found.run, found.runs, found.epoch) == (2, 2, 1)
    assert broken_rules(engine, job) == []


def test_pictures_are_counted_until_the_stage_or_the_epoch_ends(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    lease = claimed()
    seen = []
    for event in (
        Progressed(5, None),
        Progressed(7, 9),
        epoch(1),
        Progressed(3, 9),
        StageBegan("x"),
    ):
        store_events(engine, lease, [event])
        found = get_job(engine, job.uid).training
        assert found is not None
        seen.append((found.done, found.total))
    assert seen == [(5, None), (7, 9), (None, None), (3, 9), (None, None)]


def test_a_new_stage_forgets_the_figures_of_the_one_before(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job, lease = training(), claimed()
    store_events(engine, lease, [epoch(1), StageBegan("evaluate")])
    found = get_job(engine, job.uid).training
    assert found is not None
    figures = found.train_loss, found.val_loss, found.macro_f1, found.eta_seconds
    assert (found.stage, figures) == ("evaluate", (None, None, None, None))


def test_only_a_training_that_succeeded_is_done_wholly(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job, lease = training(), claimed()
    store_events(engine, lease, [replace(epoch(8), eta_seconds=0.0)])
    found = get_job(engine, job.uid).training
    assert found is not None and found.fraction == 0.99
    finish_training(engine, lease, NEW, JUDGED)
    ended = get_job(engine, job.uid).training
    assert ended is not None and ended.fraction == 1.0


def test_a_training_that_is_cancelled_has_no_time_left_to_take(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job, lease = training(), claimed()
    store_events(engine, lease, [replace(epoch(1), eta_seconds=60.0)])
    running = get_job(engine, job.uid).training
    cancelled = cancel_job(engine, job.uid).training
    assert running is not None and cancelled is not None
    assert (running.eta_seconds, cancelled.eta_seconds) == (60.0, None)


def test_a_log_keeps_its_newest_lines(
    engine: Engine, training: Jobs, claimed: Claims, count: Count
) -> None:
    job = training()
    lease = claimed()
    store_events(engine, lease, [Said("info", f"a\0{n}") for n in range(LOG_LINES + 200)])
    assert count("training_log") == LOG_LINES
    assert list_training_log(engine, job.id)[0].message == "a\N{REPLACEMENT CHARACTER}200"


def test_verifying_tells_of_an_epoch_that_is_missing(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    store_events(engine, claimed(), [epoch(1), epoch(3)])
    assert broken_rules(engine, job) == ["every epoch is counted once, and none before the first"]
