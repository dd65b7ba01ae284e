"""Train jobs beside other kinds of jobs."""

from uuid import uuid4

import pytest
from sqlalchemy import Engine
from tests.integration.db.training.told import (
    Claims,
    Jobs,
)

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import claim_chunk
from imgq_db.closing import close_finished_jobs
from imgq_db.counting import store_running_counters
from imgq_db.errors import JobStillRunning, NoImageResults, OptionInvalid
from imgq_db.jobs import JobKind, JobState, get_job, list_jobs
from imgq_db.listing import claim_listing
from imgq_db.obstacles import queue_position
from imgq_db.options import ClassifyOptions
from imgq_db.results import ResultFilter, list_results
from imgq_db.retries import retry_job
from imgq_db.sources import FILE_ROOT
from imgq_db.summaries import summarize
from imgq_db.train_options import TrainOptions
from imgq_db.training.leases import (
    claim_training,
    waiting_trainings,
)


def test_a_train_job_waits_for_a_supervisor_and_for_no_worker(
    engine: Engine, training: Jobs
) -> None:
    job = training()
    assert (job.kind, job.model, job.result) == (JobKind.TRAIN, "imagenet:1", None)
    assert job.options == TrainOptions("birds", seed=3)
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30) is None
    assert claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30) is None
    assert waiting_trainings(engine, at_most=5) == 1
    assert claim_training(engine, owner=uuid4(), roots=["photos"], lease_seconds=120) is None
    assert list_jobs(engine, kind=JobKind.TRAIN).items == (job,)


def test_a_training_from_scratch_has_no_model_behind_it(training: Jobs) -> None:
    job = training(options=TrainOptions("birds", init="scratch"))
    assert (job.model, job.model_version_id) == ("scratch", None)


def test_options_of_another_kind_are_refused(make_job: Jobs) -> None:
    with pytest.raises(OptionInvalid):
        make_job(kind=JobKind.TRAIN, options=ClassifyOptions())


def test_jobs_of_other_workers_are_not_ahead_in_the_queue(
    engine: Engine, training: Jobs, make_job: Jobs
) -> None:
    make_job()
    first, second = training(), training()
    assert (queue_position(engine, first), queue_position(engine, second)) == (0, 1)


def test_what_closes_and_counts_classify_jobs_leaves_trainings_alone(
    engine: Engine, training: Jobs, claimed: Claims
) -> None:
    job = training()
    claimed()
    assert (close_finished_jobs(engine), store_running_counters(engine)) == (0, 0)
    assert get_job(engine, job.uid).state is JobState.RUNNING


def test_a_retried_training_begins_anew(engine: Engine, training: Jobs) -> None:
    job = training(name="spring")
    with pytest.raises(JobStillRunning):
        retry_job(engine, job.uid, only_failed=False)
    cancel_job(engine, job.uid)
    with pytest.raises(NoImageResults):
        retry_job(engine, job.uid, only_failed=True)
    again = retry_job(engine, job.uid, only_failed=False)
    assert (again.kind, again.name, again.options) == (job.kind, "spring", job.options)
    assert (again.retry_of, waiting_trainings(engine, at_most=5)) == (job.uid, 1)


def test_a_train_job_has_no_results_by_image(engine: Engine, training: Jobs) -> None:
    job = training()
    with pytest.raises(NoImageResults, match="a train job: it labels no images"):
        list_results(engine, job, ResultFilter())
    with pytest.raises(NoImageResults):
        summarize(engine, job)
    with pytest.raises(NoImageResults):
        _ = job.classify_options
