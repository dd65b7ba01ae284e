"""The same picture is paid for once: what a second job knows from the first."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from imgq_db import known_files
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.results import Result, ResultFilter, stream_results
from imgq_db.verifying import verify_job
from imgq_trainer import hand
from imgq_trainer.crew import Crew
from imgq_trainer.reading import Found
from imgq_workers import recollection
from imgq_workers.context import WorkerContext
from imgq_workers.loop import work

from .conftest import COLOURS, ColourClassifier

Submit = Callable[..., Job]
Paint = Callable[..., Path]
Run = Callable[..., list[Result]]
PICTURES = {"a.png": (9, 0, 0), "b.png": (0, 200, 0), "c.png": (0, 0, 90)}


class Counted(ColourClassifier):
    """Counts the pictures that are computed."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts

    def probabilities(self, batch: npt.ArrayLike) -> npt.NDArray[np.float32]:
        self.counts["computed"] += len(np.asarray(batch))
        return super().probabilities(batch)


class CountedModels:
    precisions = ("exact",)

    def __init__(self, classifier: Counted) -> None:
        self.classifier = classifier

    def get(self, version_id: int, precision: str) -> Counted:
        return self.classifier


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many files were read, and how many pictures computed."""
    counts = {"read": 0, "computed": 0}
    read = hand.read  # type: ignore[attr-defined]

    def count(found: Found) -> object:
        counts["read"] += 1
        return read(found)

    monkeypatch.setattr(hand, "read", count)
    # Files of a test are never older than a moment.
    monkeypatch.setattr(known_files, "SETTLED_NS", -(10**12))
    return counts


@pytest.fixture
def classifier(counts: dict[str, int]) -> Counted:
    return Counted(counts)


@pytest.fixture
def run(
    engine: Engine,
    context: WorkerContext,
    classifier: Counted,
    counts: dict[str, int],
    submit: Submit,
) -> Run:
    """Run a job over a folder, with the counts begun anew; return its rows."""
    counting = replace(context, models=CountedModels(classifier))  # type: ignore[arg-type]

    def make(folder: Path, *, settings: dict[str, object] | None = None, **asked: object) -> object:
        counts.update(read=0, computed=0)
        changed = context.settings.model_copy(update=settings or {})
        job = submit(folder, **asked)
        work(replace(counting, settings=changed, crew=Crew(1)))
        assert get_job(engine, job.uid).state is JobState.SUCCEEDED
        assert all(check.holds for check in verify_job(engine, job.uid))
        return list(stream_results(engine, get_job(engine, job.uid), ResultFilter()))

    return make  # type: ignore[return-value]


@pytest.fixture
def pictures(folder: Path, paint: Paint) -> Path:
    for name, colour in PICTURES.items():
        paint(name, colour)
    return folder


def as_cached(rows: list[Result]) -> list[Result]:
    return [row._replace(cached=True) for row in rows]


def cached(rows: list[Result]) -> dict[str, bool]:
    return {row.path: row.cached for row in rows}


def test_an_unchanged_folder_is_not_read_again(
    run: Run, pictures: Path, counts: dict[str, int]
) -> None:
    first = run(pictures)
    assert counts == {"read": 3, "computed": 3}
    assert [row.label for row in first] == list(COLOURS)
    assert run(pictures) == as_cached(first)
    assert counts == {"read": 0, "computed": 0}


def test_a_renamed_folder_is_read_and_not_computed(
    run: Run, pictures: Path, counts: dict[str, int]
) -> None:
    first = run(pictures)
    assert run(pictures.rename(pictures.parent / "other")) == as_cached(first)
    assert counts == {"read": 3, "computed": 0}


def test_a_sub_folder_that_is_submitted_apart_is_known(
    run: Run, pictures: Path, paint: Paint, counts: dict[str, int]
) -> None:
    paint("sub/d.png", (50, 60, 70))
    run(pictures)
    assert cached(run(pictures / "sub")) == {"d.png": True}
    assert counts == {"read": 0, "computed": 0}


def test_a_folder_that_grew_pays_for_what_is_new(
    run: Run, pictures: Path, paint: Paint, counts: dict[str, int]
) -> None:
    run(pictures)
    paint("aa.png", (1, 2, 3))
    assert cached(run(pictures)) == {"a.png": True, "aa.png": False, "b.png": True, "c.png": True}
    assert counts == {"read": 1, "computed": 1}


def test_copies_in_one_folder_are_computed_once(
    run: Run, pictures: Path, counts: dict[str, int]
) -> None:
    for number in range(5):
        shutil.copy(pictures / "a.png", pictures / f"copy{number}.png")
    rows = run(pictures)
    assert counts == {"read": 8, "computed": 3}
    assert [row.cached for row in rows].count(True) == 5
    assert {row.label for row in rows if row.path.startswith("copy")} == {"red"}


def test_without_the_cache_everything_is_computed_and_remembered(
    run: Run, pictures: Path, counts: dict[str, int]
) -> None:
    first = run(pictures)
    assert run(pictures, cache=False) == first
    assert counts == {"read": 3, "computed": 3}


def test_what_was_computed_without_the_cache_is_known_later(
    run: Run, pictures: Path, counts: dict[str, int]
) -> None:
    run(pictures, cache=False)
    assert all(row.cached for row in run(pictures))
    assert counts == {"read": 0, "computed": 0}


def test_what_was_computed_without_the_cache_replaces_what_is_known(
    run: Run, pictures: Path, counts: dict[str, int], engine: Engine
) -> None:
    first = run(pictures)
    with engine.begin() as connection:  # as if something had been wrong when it was computed
        connection.execute(
            text("UPDATE known_prediction SET top = set_byte(top, 0, 2 - get_byte(top, 0))")
        )
    assert run(pictures) != first
    run(pictures, cache=False)
    assert [row.label for row in run(pictures)] == [row.label for row in first]


def test_a_file_that_was_written_to_is_read_again_whatever_its_time_says(
    run: Run, pictures: Path, counts: dict[str, int], paint: Paint
) -> None:
    run(pictures)
    times = (pictures / "a.png").stat()
    content = paint("z.bmp", (0, 0, 250)).read_bytes()
    (pictures / "z.bmp").unlink()
    (pictures / "a.png").write_bytes(content[: times.st_size].ljust(times.st_size, b"\0"))
    os.utime(pictures / "a.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert [row.cached for row in run(pictures)] == [False, True, True]
    assert counts["read"] == 1


def test_a_file_that_was_written_a_moment_ago_is_read_again(
    run: Run, pictures: Path, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_files, "SETTLED_NS", 10**15)
    run(pictures)
    assert all(row.cached for row in run(pictures))
    assert counts == {"read": 3, "computed": 0}


def test_more_labels_than_are_known_are_computed(
    run: Run, pictures: Path, counts: dict[str, int]
) -> None:
    run(pictures, top_k=1)
    rows = run(pictures, top_k=2)
    assert counts == {"read": 3, "computed": 3}
    assert [len(row.top_k) for row in rows] == [2, 2, 2]


def test_fewer_labels_than_are_known_are_cut(
    run: Run, pictures: Path, counts: dict[str, int]
) -> None:
    first = run(pictures, top_k=3)
    rows = run(pictures, top_k=1)
    assert counts == {"read": 0, "computed": 0}
    assert [row.top_k for row in rows] == [row.top_k[:1] for row in first]


def test_another_way_of_computing_knows_nothing(
    run: Run, pictures: Path, counts: dict[str, int], classifier: Counted
) -> None:
    run(pictures)
    classifier.engine = "colours-2/exact"
    assert not any(row.cached for row in run(pictures))
    assert counts == {"read": 3, "computed": 3}


def test_a_failure_is_never_remembered(run: Run, pictures: Path, counts: dict[str, int]) -> None:
    (pictures / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (pictures / "same.txt").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    first = run(pictures)
    again = run(pictures)
    assert counts == {"read": 2, "computed": 0}
    failures = [row for row in first if row.label is None]
    assert failures == [row for row in again if row.label is None]
    assert len(failures) == 2


@pytest.mark.parametrize(
    ("setting", "then"),
    [
        ("cache_rows", {"read": 3, "computed": 3}),
        ("known_file_rows", {"read": 3, "computed": 0}),
    ],
)
def test_a_cache_of_no_rows_keeps_nothing(
    run: Run, pictures: Path, counts: dict[str, int], setting: str, then: dict[str, int]
) -> None:
    for _ in range(2):
        run(pictures, settings={setting: 0})
    assert counts == then


def test_a_cache_that_cannot_be_written_costs_no_row(
    run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", None, Exception("no space left"))

    monkeypatch.setattr(recollection, "remember", refuse)
    assert [row.label for row in run(pictures)] == list(COLOURS)


def test_large_files_are_known_too(
    run: Run, pictures: Path, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_trainer.crew.FILES_BUDGET_BYTES", 2)
    first = run(pictures)
    assert run(pictures) == as_cached(first)
