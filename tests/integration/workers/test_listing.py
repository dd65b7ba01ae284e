"""Listing real folders: resumed by anybody, in flat memory, and never in the way for long."""

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.deleting import delete_job
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.listing import claim_listing
from imgq_db.manifests import unpack_names
from imgq_db.retries import failed_paths, retry_job
from imgq_db.sources import FILE_ROOT
from imgq_workers import listing
from imgq_workers.context import WorkerContext
from imgq_workers.listing import Lister
from imgq_workers.loop import work
from imgq_workers.walking import walk

Submit = Callable[..., Job]
Make = Callable[..., WorkerContext]
Fetch = Callable[[str], list[tuple[bytes]]]
Paint = Callable[[int], list[str]]


@pytest.fixture
def listed(fetch: Fetch) -> Callable[[], list[str]]:
    """The names in all chunks, in order."""

    def read() -> list[str]:
        rows = fetch("SELECT manifest FROM chunk ORDER BY first_image")
        return [name.decode() for (packed,) in rows for name in unpack_names(packed)]

    return read


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit after each chunk, and end each turn with it."""
    monkeypatch.setattr(listing, "FIRST_CHUNK", 1)
    monkeypatch.setattr(listing, "COMMIT_CHUNKS", 1)
    monkeypatch.setattr(listing, "TURN_SECONDS", 0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("turns", [1, 2, 4])
def test_a_lister_that_died_is_followed_without_a_gap_or_a_double(
    turns: int,
    engine: Engine,
    submit: Submit,
    make_worker: Make,
    folder: Path,
    paint_many: Paint,
    move_clock: Callable[[float], None],
    listed: Callable[[], list[str]],
) -> None:
    names, job = paint_many(7), submit(folder)
    dead = Lister(make_worker(chunk_size=2))
    assert [dead.turn() for _ in range(turns)] == [True] * turns
    heir = Lister(make_worker(chunk_size=2))
    assert not heir.turn()
    move_clock(3)
    while heir.turn():
        pass
    assert [dead.turn(), dead.turn()] == [True, False]
    assert listed() == names
    assert get_job(engine, job.uid).progress.total == 7


@pytest.mark.usefixtures("hasty")
def test_a_listing_given_back_is_taken_up_at_once(
    submit: Submit,
    make_worker: Make,
    folder: Path,
    paint_many: Paint,
    listed: Callable[[], list[str]],
) -> None:
    names = paint_many(7)
    submit(folder)
    for _ in range(9):
        lister = Lister(make_worker(chunk_size=2))
        lister.turn()
        lister.close()
    assert listed() == names


@pytest.mark.usefixtures("hasty")
def test_a_lister_that_was_followed_adds_nothing(
    submit: Submit,
    make_worker: Make,
    folder: Path,
    paint_many: Paint,
    move_clock: Callable[[float], None],
    listed: Callable[[], list[str]],
) -> None:
    names = paint_many(7)
    submit(folder)
    zombie, heir = Lister(make_worker(chunk_size=2)), Lister(make_worker(chunk_size=2))
    zombie.turn()
    move_clock(3)
    heir.turn()
    assert zombie.turn()  # finds its claim lost
    assert not zombie.turn()
    while heir.turn():
        pass
    assert listed() == names


@pytest.mark.usefixtures("hasty")
def test_a_job_cancelled_while_it_is_listed_ends(
    engine: Engine, submit: Submit, make_worker: Make, folder: Path, paint_many: Paint
) -> None:
    paint_many(7)
    job = submit(folder)
    lister = Lister(make_worker(chunk_size=2))
    lister.turn()
    assert cancel_job(engine, job.uid).state is JobState.CANCELLED
    assert [lister.turn(), lister.turn()] == [True, False]
    assert get_job(engine, job.uid).state is JobState.CANCELLED


@pytest.mark.usefixtures("hasty")
def test_a_folder_slower_than_its_lease_is_not_taken_away(
    engine: Engine,
    submit: Submit,
    make_worker: Make,
    folder: Path,
    paint_many: Paint,
    monkeypatch: pytest.MonkeyPatch,
    listed: Callable[[], list[str]],
) -> None:
    names = paint_many(3)
    submit(folder)
    slow = make_worker(lease_seconds=0.5, beat_seconds=0.1)
    others: list[object] = []

    def scan_slowly(*arguments: object, **options: object) -> object:
        for _ in range(10):
            time.sleep(0.1)
            others.append(claim_listing(engine, roots=[FILE_ROOT], lease_seconds=0.5))
        return walk(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(listing, "walk", scan_slowly)
    lister = Lister(slow)
    while lister.turn():
        pass
    assert (others, listed()) == ([None] * 10, names)


def test_a_turn_ends_in_time_however_little_passes_the_filter(
    submit: Submit,
    make_worker: Make,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "TURN_SECONDS", 0.2)
    monkeypatch.setattr(listing, "COMMIT_SECONDS", 0.1)

    def endless(*_: object, **__: object) -> object:
        while True:
            time.sleep(0.001)
            yield b"a.txt"

    monkeypatch.setattr(listing, "walk", endless)
    submit(folder, include=("*.png",))
    lister, started = Lister(make_worker()), time.monotonic()
    assert lister.turn()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("error", [RuntimeError("oops"), ValueError("embedded null byte")])
def test_a_listing_that_raises_ends_its_job_and_not_the_worker(
    error: Exception,
    engine: Engine,
    submit: Submit,
    make_worker: Make,
    folder: Path,
    paint_many: Paint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paint_many(2)
    filters = iter([error])

    def raise_once(*arguments: object) -> Callable[[bytes], bool]:
        for raised in filters:
            raise raised
        return lambda path: True

    monkeypatch.setattr(listing, "make_filter", raise_once)
    broken, fine = submit(folder), submit(folder)
    work(make_worker())
    ended = get_job(engine, broken.uid)
    assert (ended.state, get_job(engine, fine.uid).state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert ended.error is not None and str(error) in ended.error.detail


def pages_of_two(
    engine: Engine, uid: UUID, *, after: int, limit: int
) -> tuple[tuple[int, bytes], ...]:
    return failed_paths(engine, uid, after=after, limit=min(limit, 2))


def test_what_failed_is_relisted_from_any_point(
    engine: Engine,
    submit: Submit,
    make_worker: Make,
    folder: Path,
    listed: Callable[[], list[str]],
    hasty: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"{n}.jpg" for n in range(5)]
    for name in names:
        (folder / name).touch()
    first = submit(folder)
    work(make_worker())
    monkeypatch.setattr(listing, "failed_paths", pages_of_two)
    retry_job(engine, first.uid, only_failed=True)
    for _ in range(7):
        lister = Lister(make_worker(chunk_size=2))
        lister.turn()
        lister.close()
    assert sorted(listed()) == sorted(names * 2)


def test_a_job_deleted_while_its_failures_are_relisted_ends_the_retry(
    engine: Engine, submit: Submit, make_worker: Make, folder: Path, hasty: None
) -> None:
    for n in range(5):
        (folder / f"{n}.jpg").touch()
    first = submit(folder)
    work(make_worker())
    retry = retry_job(engine, first.uid, only_failed=True)
    lister = Lister(make_worker(chunk_size=2))
    lister.turn()
    delete_job(engine, first.uid)
    lister.close()
    Lister(make_worker(chunk_size=2)).turn()
    ended = get_job(engine, retry.uid)
    assert ended.error is not None and ended.error.slug == "retried-job-gone"


@pytest.fixture
def many_files(folder: Path) -> Path:
    """Ten thousand files in twenty folders."""
    for part in range(20):
        (folder / f"{part:02}").mkdir()
        for number in range(500):
            (folder / f"{part:02}" / f"IMG_{number:06}.JPG").touch()
    return folder


def test_ten_thousand_files_are_listed_quickly(
    engine: Engine, submit: Submit, make_worker: Make, many_files: Path
) -> None:
    job, lister, started = submit(many_files), Lister(make_worker()), time.monotonic()
    while lister.turn():
        pass
    assert time.monotonic() - started < 5
    assert get_job(engine, job.uid).progress.total == 10_000


def test_ten_thousand_files_are_listed_in_flat_memory(
    submit: Submit, make_worker: Make, many_files: Path
) -> None:
    submit(many_files)
    lister = Lister(make_worker())
    tracemalloc.start()
    while lister.turn():
        pass
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2 << 20
