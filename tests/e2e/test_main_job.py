"""A user's day: submit, look, export, and what the exit codes say."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

GOLDEN = {
    ".hidden.jpg": ("skipped", "not_an_image"),
    "cat, with comma.jpg": ("ok", ""),
    "empty.jpg": ("failed", "empty_file"),
    "half.jpg": ("failed", "truncated"),
    "nested/déjà vu/line\nbreak.jpg": ("ok", ""),
    "nested/the same cat.jpg": ("ok", ""),
    "not-utf8-%FF.jpg": ("ok", ""),
    "notes.txt": ("skipped", "not_an_image"),
    "words.jpg": ("failed", "not_an_image"),
}


@pytest.fixture
def mixed_job(stack: Any, mixed_folder: Path) -> str:
    submitted = stack.imgq("submit-folder", mixed_folder, "--wait", "--json")
    assert submitted.code == 3, submitted.err
    return str(json.loads(submitted.out.splitlines()[-1])["id"])


def test_the_photos_are_labelled_and_the_exit_code_is_zero(
    stack: Any, photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    done = stack.imgq("submit-folder", photos, "--precision", "exact", "-o", table)
    assert done.code == 0, done.err
    with table.open(newline="", encoding="utf-8") as file:
        labels = {row["path"]: row["label"] for row in csv.DictReader(file)}
    assert labels.pop("chelsea.jpg") in {"tabby", "tiger cat", "Egyptian cat"}
    assert labels == {
        "astronaut.jpg": "football helmet",
        "china.jpg": "palace",
        "coffee.jpg": "espresso",
        "flower.jpg": "daisy",
        "rocket.jpg": "missile",
    }


def test_every_file_has_exactly_one_row_and_its_reason(stack: Any, mixed_job: str) -> None:
    exported = stack.imgq("results", mixed_job, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(exported.out, newline="")))
    assert {r["path"]: (r["status"], r["error_code"]) for r in rows} == GOLDEN
    assert len(rows) == len(GOLDEN)
    assert stack.imgq("verify-job", mixed_job).code == 0


def test_the_three_exports_hold_the_same(stack: Any, mixed_job: str, tmp_path: Path) -> None:
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        assert stack.imgq("results", mixed_job, "-o", tmp_path / name).code == 0
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        from_csv = [(r["path"], r["status"], r["label"] or None) for r in csv.DictReader(file)]
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    from_jsonl = [(r["path"], r["status"], r["label"]) for r in map(json.loads, lines)]
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    from_parquet = [(r["path"], r["status"], r["label"]) for r in table]
    assert from_csv == from_jsonl == from_parquet


def test_filters_narrow_the_results(stack: Any, mixed_job: str) -> None:
    failed = stack.imgq("results", mixed_job, "--status", "failed", "--format", "jsonl")
    paths = [json.loads(line)["path"] for line in failed.out.splitlines()]
    assert paths == ["empty.jpg", "half.jpg", "words.jpg"]


def test_retrying_the_failed_takes_exactly_these(stack: Any, mixed_job: str) -> None:
    retried = stack.imgq("retry", mixed_job, "--failed", "--json")
    job = retried.json()["id"]
    watched = stack.imgq("watch", job, "--json")
    last = json.loads(watched.out.splitlines()[-1])
    assert (last["state"], last["progress"]["total"], last["progress"]["failed"]) == (
        "succeeded",
        3,
        3,
    )


def test_without_a_terminal_the_job_id_is_printed_and_nothing_is_waited_for(
    stack: Any, photos: Path
) -> None:
    done = stack.imgq("submit-folder", photos)
    assert done.code == 0, done.err
    job = done.out.strip()
    assert stack.imgq("watch", job).code == 0
    assert stack.imgq("status", job, "--json").json()["state"] == "succeeded"
    assert job in {item["id"] for item in stack.imgq("jobs", "--json").json()["items"]}


def test_a_cancelled_job_says_so_in_its_exit_code(stack: Any, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(800):
        (folder / f"{number:04d}.jpg").symlink_to(folder.parent / "many" / "0000.jpg.real")
    (folder / "0000.jpg.real").write_bytes((photos / "china.jpg").read_bytes())
    job = stack.imgq("submit-folder", folder, "--no-cache", "--json").json()["id"]
    assert stack.imgq("cancel", job).code == 0
    assert stack.imgq("watch", job).code == 9
    assert stack.imgq("status", job, "--json").json()["state"] == "cancelled"


def test_workers_and_doctor_find_nothing_wrong(stack: Any) -> None:
    workers = stack.imgq("workers", "--json").json()["items"]
    assert sorted((worker["queue"], worker["state"]) for worker in workers) == [
        ("classify", "idle"),
        ("train", "idle"),
    ]
    assert stack.imgq("doctor").code == 0
