"""Dry runs: what a job would do, told without doing it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.estimates import Estimate
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.results import ResultFilter, stream_results
from imgq_db.verifying import verify_job
from imgq_trainer import surveying
from imgq_workers.context import WorkerContext
from imgq_workers.loop import work
from imgq_workers.sampling import PICTURES_PER_THREAD

Submit = Callable[..., Job]
Make = Callable[..., WorkerContext]
Paint = Callable[..., Path]
Outcomes = Callable[[Job], dict[str, str]]
Run = Callable[..., Job]


@pytest.fixture
def run(engine: Engine, submit: Submit, make_worker: Make, folder: Path) -> Run:
    """Submit the folder, work until nothing waits, and return the job, which must be sound."""

    def make(chunk_size: int = 256, **options: object) -> Job:
        job = submit(folder, **options)
        work(make_worker(chunk_size=chunk_size, torch_threads=1))
        assert all(check.holds for check in verify_job(engine, job.uid))
        return get_job(engine, job.uid)

    return make


@pytest.fixture
def colours(paint: Paint) -> Callable[[int], None]:
    """Fill the folder with so many different pictures."""

    def make(number: int) -> None:
        for each in range(number):
            paint(f"{each:03}.png", (each, 200, 0))

    return make


def estimate(job: Job) -> Estimate:
    assert job.estimate is not None
    return job.estimate


def counts(job: Job) -> dict[str, int]:
    found = estimate(job)
    names = ("seen", "cached", "to_do", "failed", "skipped")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def test_at_first_every_picture_is_to_do(
    run: Run, colours: Callable[[int], None], outcomes: Outcomes
) -> None:
    colours(3)
    job = run(dry_run=True)

    assert (job.state, counts(job)) == (JobState.SUCCEEDED, {"seen": 3, "to_do": 3})
    assert set(outcomes(job).values()) == {"skipped to_do"}
    speed, eta = estimate(job).images_per_second, estimate(job).eta_seconds
    assert speed is not None and eta == pytest.approx(3 / speed)


def test_what_a_job_has_labelled_is_known(run: Run, colours: Callable[[int], None]) -> None:
    colours(3)
    assert run().progress.cached == 0
    job = run(dry_run=True)

    assert counts(job) == {"seen": 3, "cached": 3}
    assert (estimate(job).images_per_second, estimate(job).eta_seconds) == (None, 0)


def test_known_pictures_have_the_rows_of_the_real_job(
    engine: Engine, run: Run, colours: Callable[[int], None]
) -> None:
    colours(3)
    run(min_confidence=0.9)
    real, dry = run(min_confidence=0.9), run(min_confidence=0.9, dry_run=True)

    rows = [list(stream_results(engine, job, ResultFilter())) for job in (real, dry)]
    assert rows[0] == rows[1]
    assert {row.cached for row in rows[0]} == {True}


def test_only_what_it_measures_with_is_known_afterwards(
    run: Run, colours: Callable[[int], None]
) -> None:
    colours(PICTURES_PER_THREAD + 4)
    for expected in (PICTURES_PER_THREAD + 4, 4):
        assert counts(run(dry_run=True))["to_do"] == expected


def test_the_speed_is_measured_with_one_chunk_of_many(
    run: Run, colours: Callable[[int], None]
) -> None:
    colours(12)
    run(4, dry_run=True)

    assert counts(run(dry_run=True)) == {"seen": 12, "cached": 4, "to_do": 8}


def test_a_file_that_was_changed_is_to_do(
    run: Run, colours: Callable[[int], None], paint: Paint, outcomes: Outcomes
) -> None:
    colours(2)
    run()
    paint("001.png", "blue")

    assert outcomes(run(dry_run=True)) == {"000.png": "green", "001.png": "skipped to_do"}


def test_a_copy_costs_nothing(run: Run, paint: Paint, folder: Path) -> None:
    original = paint("a.png").read_bytes()
    (folder / "b.png").write_bytes(original)
    (folder / "sub").mkdir()
    (folder / "sub" / "c.png").write_bytes(original)

    assert counts(run(dry_run=True)) == {"seen": 3, "cached": 2, "to_do": 1}


def test_files_that_are_no_pictures_are_told_apart(
    run: Run, paint: Paint, folder: Path, outcomes: Outcomes
) -> None:
    paint("a.png")
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("no picture")
    (folder / "text.jpg").write_text("no picture")
    job = run(dry_run=True)

    assert counts(job) == {"seen": 4, "to_do": 1, "failed": 2, "skipped": 1}
    assert outcomes(job)["notes.txt"] == "skipped not_an_image"


def test_a_damaged_picture_that_was_measured_with_has_failed(
    run: Run, paint: Paint, outcomes: Outcomes
) -> None:
    damaged = paint("a.jpg")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) * 2 // 3])

    assert outcomes(run(dry_run=True)) == {"a.jpg": "failed truncated"}


def test_without_the_cache_every_picture_is_to_do(
    run: Run, colours: Callable[[int], None], paint: Paint, folder: Path
) -> None:
    colours(2)
    (folder / "copy.png").write_bytes((folder / "000.png").read_bytes())
    run()

    assert counts(run(dry_run=True, cache=False)) == {"seen": 3, "to_do": 3}


def test_more_labels_than_are_known_are_to_do(run: Run, colours: Callable[[int], None]) -> None:
    colours(2)
    run(top_k=1)

    assert counts(run(dry_run=True, top_k=2)) == {"seen": 2, "to_do": 2}
    assert counts(run(dry_run=True, top_k=2)) == {"seen": 2, "cached": 2}


def test_files_that_are_unchanged_are_not_read_again(
    run: Run, colours: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_db.known_files.SETTLED_NS", -(10**12))
    colours(3)
    run(dry_run=True)

    def refuse(found: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(surveying, "read", refuse)
    assert counts(run(dry_run=True)) == {"seen": 3, "cached": 3}


def test_an_empty_folder_is_said_to_be_one(run: Run) -> None:
    job = run(dry_run=True)

    assert job.state is JobState.FAILED
    assert job.error is not None and job.error.slug == "empty-source"


def test_a_dry_run_can_be_cancelled(
    engine: Engine, submit: Submit, make_worker: Make, folder: Path, colours: Callable[[int], None]
) -> None:
    colours(3)
    job = submit(folder, dry_run=True)
    cancel_job(engine, job.uid)
    work(make_worker())

    ended = get_job(engine, job.uid)
    assert (ended.state, ended.estimate, ended.progress.done) == (JobState.CANCELLED, None, 0)
