"""A dry run, then the job that it told about, then a dry run again."""

import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """Two photos with bytes that no other test has, a copy, a damaged one and a note."""
    made = tmp_path / "my pictures"
    made.mkdir()
    for name in ("coffee", "flower"):
        (made / f"{name}.jpg").write_bytes((photos / f"{name}.jpg").read_bytes() + bytes(tmp_path))
    shutil.copy(made / "coffee.jpg", made / "copy.jpg")
    (made / "empty.jpg").touch()
    (made / "notes.txt").write_text("no picture")
    return made


def result(stack: Any, folder: Path, *flags: str) -> dict[str, Any]:
    done = stack.imgq("submit-folder", folder, "--dry-run", "--json", *flags)
    assert done.code == 3, done.err
    job = done.json()
    assert stack.imgq("verify-job", job["id"]).code == 0
    found: dict[str, Any] = job["result"]
    return found


def test_a_dry_run_foretells_the_job(stack: Any, folder: Path) -> None:
    counts = {"seen": 5, "cached": 1, "to_do": 2, "failed": 1, "skipped": 1}
    before = result(stack, folder)
    assert {name: before[name] for name in counts} == counts
    assert before["images_per_second"] > 0 and before["eta_seconds"] > 0

    real = stack.imgq("submit-folder", folder, "--wait")
    assert "Succeeded: 3 images labelled, 1 failed, 1 skipped" in real.err

    after = result(stack, folder)
    assert {name: after[name] for name in counts} == {**counts, "cached": 3, "to_do": 0}
    assert after["eta_seconds"] == 0
    assert result(stack, folder, "--no-cache")["to_do"] == 3


def test_a_dry_run_is_told_in_words(stack: Any, folder: Path) -> None:
    done = stack.imgq("submit-folder", folder, "--dry-run")

    assert f"Dry run of {folder} with imagenet:1" in done.err
    assert "5 files: " in done.err and "1 cannot be read, 1 is no picture" in done.err
    assert f" imgq submit-folder '{folder}'\n" in done.err
    assert "dry run: " in stack.imgq("jobs").out
    assert stack.imgq("sort", "last", "--into", folder.parent / "sorted").code == 2
