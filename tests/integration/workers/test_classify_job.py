"""The main job, with eager Celery on a real Postgres."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.deleting import delete_job
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.results import ResultFilter, stream_results
from imgq_db.retries import retry_job
from imgq_db.verifying import verify_job
from imgq_workers.context import WorkerContext
from imgq_workers.listing import Lister
from imgq_workers.loop import work

Submit = Callable[..., Job]
Ring = Callable[[str], None]
Paint = Callable[..., Path]
Outcomes = Callable[[Job], dict[str, str]]


def is_sound(engine: Engine, job: Job) -> bool:
    return all(check.holds for check in verify_job(engine, job.uid))


def huge_png() -> bytes:
    """A picture whose header promises 400 megapixels."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)

    def part(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    parts = (part(b"IHDR", header), part(b"IDAT", zlib.compress(b"\0" * 9)), part(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def odd_folder(folder: Path, paint: Paint) -> dict[str, str]:
    """A folder with every kind of file; returns what must become of each."""
    paint("red.jpg", "red")
    paint("deep/er/green.png", "green")
    paint("deep/blue.webp", "blue")
    paint(".hidden.jpg")
    paint(".git/blue.png")
    for name in ("new\nline.png", "tab\t\\N.png", "50%.png", "%41.png", "-rf.png", " .png"):
        paint(name, "blue")
    shutil.copy(folder / "red.jpg", folder / "deep" / "red copy.jpg")
    shutil.copy(folder / "deep/er/green.png", folder / "renamed.jpg")
    paint("latin.png", "green").rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    whole = paint("noise.jpg", "red").read_bytes()
    (folder / "noise.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("no picture")
    (folder / "Thumbs.db").write_text("no picture")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "huge.png").write_bytes(huge_png())
    os.mkfifo(folder / "pipe.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "out.png").symlink_to("/etc/hostname")
    (folder / "in.png").symlink_to("deep/er/green.png")
    (folder / "folder.png").symlink_to("deep")
    return {
        " .png": "blue",
        "%2541.png": "blue",
        "-rf.png": "blue",
        ".git/blue.png": "skipped not_an_image",
        ".hidden.jpg": "skipped not_an_image",
        "50%.png": "blue",
        "Thumbs.db": "skipped not_an_image",
        "caf%E9.png": "green",
        "deep/blue.webp": "blue",
        "deep/er/green.png": "green",
        "deep/red copy.jpg": "red",
        "empty.jpg": "failed empty_file",
        "gone.png": "failed vanished",
        "huge.png": "failed too_large",
        "in.png": "green",
        "new\nline.png": "blue",
        "noise.jpg": "failed truncated",
        "notes.txt": "skipped not_an_image",
        "out.png": "skipped outside_root",
        "paper.pdf": "failed unsupported_format",
        "pipe.png": "failed not_regular_file",
        "red.jpg": "red",
        "renamed.jpg": "green",
        "tab\t\\N.png": "blue",
        "text.jpg": "failed not_an_image",
    }


@pytest.mark.parametrize("chunk_size", [3, 256])
def test_every_file_has_exactly_one_row_that_says_what_became_of_it(
    chunk_size: int,
    engine: Engine,
    submit: Submit,
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    odd_folder: dict[str, str],
    outcomes: Outcomes,
) -> None:
    job = submit(folder)
    work(make_worker(chunk_size=chunk_size))
    assert outcomes(job) == odd_folder
    progress = get_job(engine, job.uid).progress
    assert (progress.total, progress.ok, progress.failed, progress.skipped) == (25, 13, 7, 5)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert is_sound(engine, job)


def test_rows_are_in_walk_order_and_equal_bytes_have_equal_digests(
    engine: Engine, submit: Submit, ring: Ring, folder: Path, paint: Paint
) -> None:
    for name in ("b/x.png", "a.png", "b.png", "a/y.png", "b/a/z.png"):
        paint(name)
    job = submit(folder)
    ring("list")
    results = list(stream_results(engine, job, ResultFilter()))
    names = ["a.png", "b.png", "a/y.png", "b/x.png", "b/a/z.png"]
    assert [result.path for result in results] == names
    assert len({result.digest for result in results}) == 1


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, ["a.jpg", "b.png", "c/a.jpg", "c/d/b.png"]),
        ({"recursive": False}, ["a.jpg", "b.png"]),
        ({"include": ("*.png",)}, ["b.png", "c/d/b.png"]),
        ({"exclude": ("c/*",)}, ["a.jpg", "b.png", "c/d/b.png"]),
        ({"include": ("c/**",), "exclude": ("*.png",)}, ["c/a.jpg"]),
        ({"include": ("[z-a]", "[!", "a.*")}, ["a.jpg", "c/a.jpg"]),
    ],
)
def test_only_what_was_asked_for_has_a_row(
    options: dict[str, object],
    kept: list[str],
    submit: Submit,
    ring: Ring,
    folder: Path,
    paint: Paint,
    outcomes: Outcomes,
) -> None:
    for name in ("a.jpg", "b.png", "c/a.jpg", "c/d/b.png"):
        paint(name)
    job = submit(folder, **options)
    ring("list")
    assert sorted(outcomes(job)) == kept


def test_an_unsure_picture_keeps_its_scores_and_has_no_label(
    engine: Engine, submit: Submit, ring: Ring, folder: Path, paint: Paint
) -> None:
    paint("grey.png", (9, 10, 9))
    paint("red.png")
    job = submit(folder, min_confidence=0.5, top_k=2)
    ring("list")
    grey, red = stream_results(engine, job, ResultFilter())
    assert (grey.label, [name for name, _ in grey.top_k]) == (None, ["green", "red"])
    assert grey.confidence == pytest.approx(0.34, abs=0.01)
    assert (red.label, len(red.top_k)) == ("red", 2)
    assert red.confidence == pytest.approx(0.9999, abs=1e-3)


@pytest.mark.parametrize("kind", ["gone", "file"])
def test_a_folder_that_cannot_be_read_fails_the_job_with_its_name(
    kind: str, engine: Engine, submit: Submit, ring: Ring, folder: Path
) -> None:
    (folder / "file").touch()
    job = submit(folder / kind)
    ring("list")
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.total) == (JobState.FAILED, None)
    assert ended.error is not None and ended.error.slug == "source-unreadable"
    assert str(folder / kind) in ended.error.detail
    assert is_sound(engine, job)


@pytest.mark.parametrize("include", [(), ("*.jpg",)])
def test_a_folder_with_nothing_to_do_fails_the_job(
    include: tuple[str, ...], engine: Engine, submit: Submit, ring: Ring, folder: Path, paint: Paint
) -> None:
    if include:
        paint("a.png")
    job = submit(folder, include=include)
    ring("list")
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.total) == (JobState.FAILED, 0)
    assert ended.error is not None and ended.error.slug == "empty-source"


@pytest.mark.parametrize(
    ("links", "words"), [(1, " 1 link to a folder was"), (2, " 2 links to folders were")]
)
def test_a_folder_of_nothing_but_links_to_folders_says_so(
    links: int, words: str, engine: Engine, submit: Submit, ring: Ring, folder: Path, paint: Paint
) -> None:
    paint("elsewhere/a.png")
    (folder / "in" / "deeper").mkdir(parents=True)
    for n in range(links):
        (folder / "in" / "deeper" / f"link{n}").symlink_to(folder / "elsewhere")
    job = submit(folder / "in")
    ring("list")
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.total) == (JobState.FAILED, 0)
    assert ended.error is not None and ended.error.slug == "empty-source"
    assert ended.error.detail.endswith(f"{words} not followed.")


def test_a_folder_of_bad_files_is_a_success(
    engine: Engine, submit: Submit, ring: Ring, folder: Path
) -> None:
    (folder / "a.jpg").touch()
    job = submit(folder)
    ring("list")
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.failed) == (JobState.SUCCEEDED, 1)


def test_a_budget_ends_the_job_when_too_many_images_fail(
    engine: Engine, submit: Submit, ring: Ring, folder: Path, paint: Paint
) -> None:
    paint("a.png")
    for name in ("b.jpg", "c.jpg"):
        (folder / name).touch()
    jobs = [submit(folder, max_failures=budget) for budget in ("1", "2", "50%", "70%")]
    ring("list")
    states = [get_job(engine, job.uid).state.value for job in jobs]
    assert states == ["failed", "succeeded", "failed", "succeeded"]


def test_a_folder_that_vanishes_before_it_is_classified_fails_the_job(
    engine: Engine,
    submit: Submit,
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint: Paint,
    work_on: Callable[..., int],
) -> None:
    paint("a.png")
    job = submit(folder)
    Lister(make_worker()).turn()
    shutil.rmtree(folder)
    work_on(make_worker())
    ended = get_job(engine, job.uid)
    assert ended.error is not None and ended.error.slug == "source-unreadable"
    assert (ended.state, ended.progress.done) == (JobState.FAILED, 0)
    assert is_sound(engine, job)


def test_workers_at_once_share_jobs_and_classify_each_image_once(
    engine: Engine,
    submit: Submit,
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    paint_many: Callable[[int], list[str]],
    outcomes: Outcomes,
) -> None:
    names = paint_many(120)
    jobs = [submit(folder), submit(folder)]
    workers = [make_worker(chunk_size=5) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        finished = list(pool.map(work, workers))
    for job in jobs:
        assert list(outcomes(job)) == names
        assert get_job(engine, job.uid).state is JobState.SUCCEEDED
        assert is_sound(engine, job)
    assert sum(finished) == 48
    assert sum(number > 0 for number in finished) > 1


def test_a_retry_of_what_failed_lists_exactly_that(
    engine: Engine, submit: Submit, ring: Ring, folder: Path, paint: Paint, outcomes: Outcomes
) -> None:
    paint("a.png")
    bad = ["b.jpg", "c\n.jpg", "d/e.jpg"]
    (folder / "d").mkdir()
    for name in bad:
        (folder / name).touch()
    first = submit(folder)
    ring("list")
    paint("b.jpg", "green")
    paint("new.png")
    again = retry_job(engine, first.uid, only_failed=True)
    ring("list")
    assert outcomes(again) == {
        "b.jpg": "green",
        "c\n.jpg": "failed empty_file",
        "d/e.jpg": "failed empty_file",
    }
    assert get_job(engine, again.uid).progress.total == 3
    assert is_sound(engine, again)


def test_a_retry_of_a_job_that_was_deleted_meanwhile_fails(
    engine: Engine, submit: Submit, ring: Ring, folder: Path
) -> None:
    (folder / "a.jpg").touch()
    first = submit(folder)
    ring("list")
    again = retry_job(engine, first.uid, only_failed=True)
    delete_job(engine, first.uid)
    ring("list")
    ended = get_job(engine, again.uid)
    assert ended.error is not None and ended.error.slug == "retried-job-gone"
    assert ended.state is JobState.FAILED
