"""Suspects of a claimed chunk: each decoded alone before the rest, the condemned not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.crashes import Cause, Death, Decoded, report_death
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.verifying import verify_job
from imgq_workers import trials
from imgq_workers.breadcrumbs import Breadcrumbs
from imgq_workers.context import WorkerContext
from imgq_workers.listing import Lister
from imgq_workers.loop import work
from imgq_workers.trails import Doing

Submit = Callable[..., Job]
Outcomes = Callable[[Job], dict[str, str]]
#: (image, whether it was alone), in the order in which pictures were decoded
Seen = list[tuple[int, bool]]
CRASH = Cause("worker_crash", "decoding it, and nothing else, ended a worker by SIGSEGV")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What is decoded, and whether nothing else is said to be underway."""
    found: Seen = []
    enter, alone = Breadcrumbs.enter, Breadcrumbs.alone
    now = [False]

    def noting(crumbs: Breadcrumbs, job_id: int, first: int, last: int, doing: Doing) -> None:
        # Its header and its pixels are one picture.
        if doing is Doing.DECODING and (first, now[0]) not in found[-1:]:
            found.append((first, now[0]))
        enter(crumbs, job_id, first, last, doing)

    @contextmanager
    def noting_alone(crumbs: Breadcrumbs) -> Iterator[None]:
        with alone(crumbs):
            now[0] = True
            yield
            now[0] = False

    monkeypatch.setattr(Breadcrumbs, "enter", noting)
    monkeypatch.setattr(Breadcrumbs, "alone", noting_alone)
    return found


@pytest.fixture
def listed(
    context: WorkerContext, submit: Submit, paint_many: Callable[[int], list[str]], folder: Path
) -> Callable[..., Job]:
    """A listed job of six pictures, computed each for itself."""

    def make(worker: WorkerContext = context, **options: object) -> Job:
        paint_many(6)
        job = submit(folder, cache=False, **options)
        lister = Lister(worker)
        while lister.turn():
            pass
        lister.close()
        return job

    return make


def crash(engine: Engine, job: Job, *images: int, alone: bool = False) -> None:
    decoded = [Decoded(job.id, image, image) for image in images]
    report_death(engine, Death(uuid4(), [], decoded, alone, CRASH))


def test_suspects_are_tried_alone_and_before_the_rest(
    engine: Engine,
    context: WorkerContext,
    listed: Callable[..., Job],
    outcomes: Outcomes,
    seen: Seen,
) -> None:
    job = listed()
    crash(engine, job, 2, 4)
    work(context)
    assert seen[:2] == [(2, True), (4, True)]
    assert sorted(seen[2:]) == [(0, False), (1, False), (3, False), (5, False)]
    assert set(outcomes(job).values()) == {"red"}
    assert get_job(engine, job.uid).progress.ok == 6


def test_the_condemned_is_not_opened_again(
    engine: Engine,
    context: WorkerContext,
    listed: Callable[..., Job],
    folder: Path,
    outcomes: Outcomes,
    seen: Seen,
) -> None:
    job = listed()
    crash(engine, job, 2, 4)
    crash(engine, job, 4, alone=True)
    (folder / "0004.png").unlink()  # or it would be said to have vanished
    work(context)
    assert outcomes(job) == {
        f"000{image}.png": "failed worker_crash" if image == 4 else "red" for image in range(6)
    }
    assert (4, True) not in seen and (4, False) not in seen
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert [check.rule for check in verify_job(engine, job.uid) if not check.holds] == []


def test_where_many_are_suspect_all_are_tried_alone(
    engine: Engine,
    context: WorkerContext,
    listed: Callable[..., Job],
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trials, "MANY_FOR_EACH_THREAD", 2 / context.crew.count)
    job = listed()
    crash(engine, job, 1, 2)
    work(context)
    assert seen == [(image, True) for image in range(6)]


def test_a_chunk_of_suspects_begins_when_the_others_are_done(
    engine: Engine,
    context: WorkerContext,
    listed: Callable[..., Job],
    seen: Seen,
) -> None:
    small = replace(context, settings=context.settings.model_copy(update={"chunk_size": 2}))
    job = listed(small)
    crash(engine, job, 2)
    work(small)
    before, at = seen[: seen.index((2, True))], seen.index((2, True))
    assert {image for image, _ in before} == {0, 1}
    assert {image for image, _ in seen[at + 1 :]} == {3, 4, 5}


def test_a_dry_run_looks_at_suspects_alone_and_samples_none(
    engine: Engine, context: WorkerContext, listed: Callable[..., Job], seen: Seen
) -> None:
    job = listed(dry_run=True)
    crash(engine, job, 3)
    work(context)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert seen[0] == (3, True)
    assert (3, False) not in seen
