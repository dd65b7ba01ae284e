"""What a dry run keeps: counts that add up, and a speed."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.estimates import Estimate, sampled_images, store_sample
from imgq_db.jobs import Job, JobState, get_job, list_jobs
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.options import ClassifyOptions
from imgq_db.retries import retry_job
from imgq_db.verifying import verify_job
from imgq_db.workers import beat_worker, start_draining

Jobs = Callable[..., Job]
Execute = Callable[[str], None]
DRY = ClassifyOptions(dry_run=True)


def dry_rows() -> list[LedgerRow]:
    return [
        LedgerRow(b"a", RowStatus.OK, 0, (0,), (1.0,), cached=True),
        LedgerRow(b"b", RowStatus.SKIPPED, error_code="to_do"),
        LedgerRow(b"c", RowStatus.SKIPPED, error_code="to_do", cached=True),
        LedgerRow(b"d", RowStatus.SKIPPED, error_code="to_do"),
        LedgerRow(b"e", RowStatus.SKIPPED, error_code="not_an_image"),
        LedgerRow(b"f", RowStatus.FAILED, error_code="empty_file"),
    ]


def add_worker(engine: Engine, *roots: str) -> None:
    beat_worker(engine, uuid4(), host="h", pid=1, device="cpu", roots=roots)


def estimate(engine: Engine, job: Job) -> Estimate:
    found = get_job(engine, job.uid).estimate
    assert found is not None
    return found


def test_a_dry_run_counts_what_is_known_and_what_is_to_do(engine: Engine, done: Jobs) -> None:
    job = done(*dry_rows(), options=DRY)

    assert job.state is JobState.SUCCEEDED
    assert job.estimate == Estimate(
        seen=6,
        cached=2,
        to_do=2,
        failed=1,
        skipped=1,
        images_per_second=None,
        workers=None,
    )
    assert job.estimate.eta_seconds is None
    assert all(check.holds for check in verify_job(engine, job.uid))
    assert list_jobs(engine).items == (job,)


def test_only_a_dry_run_that_has_looked_at_every_file_has_an_estimate(
    engine: Engine, listed: Jobs, done: Jobs
) -> None:
    assert done(dry_rows()[0]).estimate is None
    assert listed(1, options=DRY).estimate is None


def test_the_time_is_what_the_workers_need_together(engine: Engine, done: Jobs) -> None:
    job = done(*dry_rows(), options=DRY)
    for _ in range(2):
        add_worker(engine, "file:")
    store_sample(engine, job.id, images=32, images_per_second=4.0)

    found = estimate(engine, job)
    assert (found.images_per_second, found.workers, found.eta_seconds) == (4.0, 2, 0.25)


def test_workers_that_could_not_take_part_are_not_counted_on(
    engine: Engine, done: Jobs, execute: Execute
) -> None:
    job = done(*dry_rows(), options=DRY)
    add_worker(engine, "file:")
    execute("UPDATE worker SET seen_at = imgq_now() - interval '16 seconds'")
    add_worker(engine, "photos")
    stopping = uuid4()
    beat_worker(engine, stopping, host="h", pid=1, device="cpu", roots=["file:"])
    start_draining(engine, stopping)
    store_sample(engine, job.id, images=32, images_per_second=4.0)

    assert estimate(engine, job).workers == 1


def test_workers_that_do_not_compute_the_precision_are_not_counted_on(
    engine: Engine, done: Jobs, execute: Execute
) -> None:
    job = done(*dry_rows(), options=DRY)
    for _ in range(3):
        add_worker(engine, "file:")
    execute("UPDATE worker SET precisions = '{other}'")
    add_worker(engine, "file:")
    store_sample(engine, job.id, images=32, images_per_second=4.0)

    assert estimate(engine, job).workers == 1


def test_the_speed_of_the_most_pictures_stands(engine: Engine, done: Jobs) -> None:
    job = done(*dry_rows(), options=DRY)
    assert sampled_images(engine, job.id) == 0
    for images, speed in ((3, 1.0), (32, 8.0), (32, 9.0), (31, 2.0)):
        store_sample(engine, job.id, images=images, images_per_second=speed)

    assert sampled_images(engine, job.id) == 32
    assert estimate(engine, job).images_per_second == 8.0


@pytest.mark.parametrize("speed", [None, 4.0])
def test_nothing_to_do_takes_no_time(speed: float | None) -> None:
    assert Estimate(5, 5, 0, 0, 0, speed, None).eta_seconds == 0


def test_a_dry_run_that_is_run_again_is_a_dry_run(engine: Engine, done: Jobs) -> None:
    job = done(*dry_rows(), options=DRY)

    assert retry_job(engine, job.uid, only_failed=False).options == DRY
