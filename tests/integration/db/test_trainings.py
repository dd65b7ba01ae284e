"""Train and evaluate jobs in the tables: claims, events, ends, and what other jobs' tools do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import claim_chunk
from imgq_db.closing import close_finished_jobs
from imgq_db.counting import store_running_counters
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.errors import JobStillRunning, LeaseLost, NoImageResults, OptionInvalid
from imgq_db.jobs import Job, JobKind, JobState, get_job, list_jobs
from imgq_db.listing import claim_listing
from imgq_db.models import NewVersion, get_model
from imgq_db.obstacles import queue_position
from imgq_db.options import ClassifyOptions
from imgq_db.results import ResultFilter, list_results
from imgq_db.retries import retry_job
from imgq_db.sources import FILE_ROOT
from imgq_db.summaries import summarize
from imgq_db.train_options import TrainOptions
from imgq_db.training.attempts import MOST_ATTEMPTS, TOO_OFTEN, expire_trainings
from imgq_db.training.events import (
    LOG_LINES,
    CheckpointWritten,
    EpochEnded,
    Progressed,
    Said,
    StageBegan,
    store_events,
)
from imgq_db.training.leases import (
    TrainingLease,
    begin_attempt,
    claim_training,
    holds_training,
    let_go_training,
    release_training,
    renew_training,
    waiting_trainings,
)
from imgq_db.training.outcomes import Judgement, finish_training
from imgq_db.training.progress import list_epochs, list_training_log
from imgq_db.verifying import verify_job

Count = Callable[..., int]
NEW = NewVersion("0" * 64, "resnet18", ("a", "b"), {}, {"accuracy": 0.5})
JUDGED = Judgement({"accuracy": 0.5}, ("Good.",), "f" * 64, None)


@pytest.fixture
def training(make_job: Callable[..., Job]) -> Callable[..., Job]:
    """Submit a train job; keywords are those of NewJob."""

    def make(**values: object) -> Job:
        return make_job(
            **{"kind": JobKind.TRAIN, "options": TrainOptions("birds", seed=3), **values}
        )

    return make


@pytest.fixture
def claimed(engine: Engine) -> Callable[[], TrainingLease]:
    """Claim the next training as a new supervisor."""

    def claim() -> TrainingLease:
        lease = claim_training(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=120)
        assert lease is not None
        return lease

    return claim


def epoch(number: int, stage: str = "probe", run: int = 1) -> EpochEnded:
    return EpochEnded(stage, run, 2, number, 4, 0.5, 0.6, 0.7, 0.1, 9.0, 30.0)


def checkpoint(number: int) -> CheckpointWritten:
    return CheckpointWritten(Path(f"checkpoints/{number}"), "ab", "probe", 1, number)


def broken_rules(engine: Engine, job: Job) -> list[str]:
    return [check.rule for check in verify_job(engine, job.uid) if not check.holds]


def test_a_train_job_waits_for_a_supervisor_and_for_no_worker(
    engine: Engine, training: Callable[..., Job]
) -> None:
    job = training()
    assert (job.kind, job.model, job.result) == (JobKind.TRAIN, "imagenet:1", None)
    assert job.options == TrainOptions("birds", seed=3)
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30) is None
    assert claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30) is None
    assert waiting_trainings(engine, at_most=5) == 1
    assert claim_training(engine, owner=uuid4(), roots=["photos"], lease_seconds=120) is None
    assert list_jobs(engine, kind=JobKind.TRAIN).items == (job,)


def test_a_training_from_scratch_has_no_model_behind_it(training: Callable[..., Job]) -> None:
    job = training(options=TrainOptions("birds", init="scratch"))
    assert (job.model, job.model_version_id) == ("scratch", None)


def test_options_of_another_kind_are_refused(make_job: Callable[..., Job]) -> None:
    with pytest.raises(OptionInvalid):
        make_job(kind=JobKind.TRAIN, options=ClassifyOptions())


def test_jobs_of_other_workers_are_not_ahead_in_the_queue(
    engine: Engine, training: Callable[..., Job], make_job: Callable[..., Job]
) -> None:
    make_job()
    first, second = training(), training()
    assert (queue_position(engine, first), queue_position(engine, second)) == (0, 1)


def test_only_one_supervisor_holds_a_training(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
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
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
    move_clock: Callable[[float], None],
) -> None:
    job = training()
    first = claimed()
    store_events(engine, first, [epoch(1), checkpoint(1), epoch(2), checkpoint(2)])
    store_events(engine, first, [epoch(3), epoch(4), epoch(1, "refit")])
    move_clock(200)
    assert expire_trainings(engine, idle_attempts=3) == 1
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
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
    move_clock: Callable[[float], None],
) -> None:
    training()
    claimed()
    move_clock(-2 * 3600)
    assert expire_trainings(engine, idle_attempts=3) == 1
    assert claimed().token == 2


def test_a_lease_knows_how_long_the_attempts_before_took(
    engine: Engine,
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
    move_clock: Callable[[float], None],
) -> None:
    training()
    first = claimed()
    assert 0 <= first.spent_seconds < 5
    move_clock(60)
    release_training(engine, first)

    assert 60 <= claimed().spent_seconds < 65


def test_runs_of_a_stage_keep_their_epochs_apart(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
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


def test_a_training_resumed_in_a_later_run_keeps_those_before(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
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


def test_pictures_are_counted_until_the_stage_or_the_epoch_ends(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
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
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
) -> None:
    job, lease = training(), claimed()
    store_events(engine, lease, [epoch(1), StageBegan("evaluate")])
    found = get_job(engine, job.uid).training
    assert found is not None
    figures = found.train_loss, found.val_loss, found.macro_f1, found.eta_seconds
    assert (found.stage, figures) == ("evaluate", (None, None, None, None))


def test_only_a_training_that_succeeded_is_done_wholly(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
) -> None:
    job, lease = training(), claimed()
    store_events(engine, lease, [replace(epoch(8), eta_seconds=0.0)])
    found = get_job(engine, job.uid).training
    assert found is not None and found.fraction == 0.99
    finish_training(engine, lease, NEW, JUDGED)
    ended = get_job(engine, job.uid).training
    assert ended is not None and ended.fraction == 1.0


def test_who_gives_a_training_back_makes_no_attempt(
    engine: Engine,
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
    move_clock: Callable[[float], None],
) -> None:
    job = training()
    for _ in range(MOST_ATTEMPTS):
        assert release_training(engine, claimed())
    assert claimed().attempt == 1
    move_clock(200)
    assert expire_trainings(engine, idle_attempts=3) == 1
    assert get_job(engine, job.uid).state is JobState.RUNNING


def test_a_training_that_is_lost_too_often_says_so(
    engine: Engine,
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
    move_clock: Callable[[float], None],
) -> None:
    job = training()
    with engine.begin() as connection:
        connection.execute(text("UPDATE training SET attempts = 49"))
    claimed()
    move_clock(200)
    assert expire_trainings(engine, idle_attempts=3) == 1
    assert get_job(engine, job.uid).error == TOO_OFTEN


def test_attempts_without_a_checkpoint_end_the_job_and_those_with_one_do_not(
    engine: Engine,
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
    move_clock: Callable[[float], None],
) -> None:
    job = training()
    for number in (1, 2):
        lease = claimed()
        store_events(engine, lease, [epoch(number), checkpoint(number)])
        move_clock(200)
        assert expire_trainings(engine, idle_attempts=2) == 1
    claimed()
    move_clock(200)
    assert expire_trainings(engine, idle_attempts=2) == 1
    ended = get_job(engine, job.uid)
    assert ended.state is JobState.FAILED and ended.error and ended.error.slug == "no-progress"
    assert broken_rules(engine, job) == []


def test_a_version_is_registered_once_however_often_a_training_is_done(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
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
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
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
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
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


def test_a_training_that_waits_is_cancelled_at_once(
    engine: Engine, training: Callable[..., Job]
) -> None:
    job = training()
    assert cancel_job(engine, job.uid).state is JobState.CANCELLED
    assert claim_training(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=9) is None


def test_what_closes_and_counts_classify_jobs_leaves_trainings_alone(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
) -> None:
    job = training()
    claimed()
    assert (close_finished_jobs(engine), store_running_counters(engine)) == (0, 0)
    assert get_job(engine, job.uid).state is JobState.RUNNING


def test_a_retried_training_begins_anew(engine: Engine, training: Callable[..., Job]) -> None:
    job = training(name="spring")
    with pytest.raises(JobStillRunning):
        retry_job(engine, job.uid, only_failed=False)
    cancel_job(engine, job.uid)
    with pytest.raises(NoImageResults):
        retry_job(engine, job.uid, only_failed=True)
    again = retry_job(engine, job.uid, only_failed=False)
    assert (again.kind, again.name, again.options) == (job.kind, "spring", job.options)
    assert (again.retry_of, waiting_trainings(engine, at_most=5)) == (job.uid, 1)


def test_a_deleted_training_leaves_its_version_and_nothing_else(
    engine: Engine,
    training: Callable[..., Job],
    claimed: Callable[[], TrainingLease],
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


def test_a_train_job_has_no_results_by_image(engine: Engine, training: Callable[..., Job]) -> None:
    job = training()
    with pytest.raises(NoImageResults, match="a train job: it labels no images"):
        list_results(engine, job, ResultFilter())
    with pytest.raises(NoImageResults):
        summarize(engine, job)
    with pytest.raises(NoImageResults):
        _ = job.classify_options


def test_a_log_keeps_its_newest_lines(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease], count: Count
) -> None:
    job = training()
    lease = claimed()
    store_events(engine, lease, [Said("info", f"a\0{n}") for n in range(LOG_LINES + 200)])
    assert count("training_log") == LOG_LINES
    assert list_training_log(engine, job.id)[0].message == "a\N{REPLACEMENT CHARACTER}200"


def test_verifying_tells_of_an_epoch_that_is_missing(
    engine: Engine, training: Callable[..., Job], claimed: Callable[[], TrainingLease]
) -> None:
    job = training()
    store_events(engine, claimed(), [epoch(1), epoch(3)])
    assert broken_rules(engine, job) == ["every epoch is counted once, and none before the first"]
