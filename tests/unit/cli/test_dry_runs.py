"""Dry runs on the command line: asked for, followed, told, and marked as such."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from imgq_cli.dry_runs import Typed, labelling_command
from imgq_cli.estimates import outlook, tally
from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer
from imgq_cli.shapes import DryRunResult, Job

Imgq = Callable[..., Result]
MakeJob = Callable[..., Any]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
JOB = f"/v1/jobs/{UID}"
FOUND = DryRunResult(
    seen=12_480,
    cached=9_120,
    to_do=3_301,
    failed=41,
    skipped=18,
    images_per_second=212.0,
    workers=1,
    eta_seconds=15.57,
)
SENTENCE = (
    "12 480 files: 9 120 known already, 3 301 to label, 41 cannot be read, 18 are no pictures"
)


@pytest.fixture
def make_dry(make_job: MakeJob) -> MakeJob:
    """Make a dry run's document."""

    def make(state: str = "succeeded", **changes: Any) -> Any:
        options = {"dry_run": True, **changes.pop("options", {})}
        return make_job(state, **{"options": options, "result": FOUND, **changes})

    return make


@pytest.fixture
def accepting(server: FakeServer, make_dry: MakeJob) -> FakeServer:
    """A server that accepts a dry run, which then succeeds."""
    server.on("POST", "/v1/jobs", Answer(make_dry("queued", total=None, result=None), 202))
    server.on("GET", JOB, Answer(make_dry("running", result=None)), Answer(make_dry(failed=41)))
    server.on("GET", "/v1/jobs", Answer({"items": [make_dry()], "next_cursor": None}))
    return server


def test_a_dry_run_is_followed_and_told_off_a_terminal_too(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    result = imgq("submit-folder", tmp_path, "--by-reference", "--dry-run")

    assert (result.exit_code, result.stdout) == (Exit.SOME_FAILED, UID + "\n")
    assert accepting.requests[0].body["options"]["dry_run"] is True
    assert "Dry run of /pictures with imagenet:1 (exact): nothing was labelled." in result.stderr
    assert f"  {SENTENCE}\n  measured 212 images/s on 1 worker: about 16 s\n" in result.stderr
    assert f"imgq submit-folder {tmp_path} --by-reference\n" in result.stderr
    assert f"imgq results {UID[-8:]} --status failed" in result.stderr


def test_no_label_is_counted_for_a_dry_run(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    imgq("submit-folder", tmp_path, "--by-reference", "--dry-run")

    assert {sent.path for sent in accepting.requests} == {"/v1/jobs", JOB}


def test_a_detached_dry_run_is_not_followed(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    result = imgq("submit-folder", tmp_path, "--by-reference", "--dry-run", "-d")

    assert (result.exit_code, result.stdout) == (Exit.OK, UID + "\n")
    assert [sent.method for sent in accepting.requests] == ["POST"]


def test_json_is_the_job_as_it_ended(
    accepting: FakeServer, imgq: Imgq, make_dry: MakeJob, tmp_path: Path
) -> None:
    result = imgq("submit-folder", tmp_path, "--by-reference", "--dry-run", "--json")

    assert json.loads(result.stdout) == make_dry(failed=41)


def test_a_dry_run_that_was_cancelled_promises_nothing(
    accepting: FakeServer, imgq: Imgq, make_dry: MakeJob, tmp_path: Path
) -> None:
    accepting.on("GET", JOB, Answer(make_dry("cancelled", result=None)))
    accepting.on("GET", f"{JOB}/summary", Answer({}, 503))

    result = imgq("submit-folder", tmp_path, "--by-reference", "--dry-run")

    assert result.exit_code == Exit.CANCELLED
    assert "Cancelled: a dry run of 4 files" in result.stderr
    assert "measured" not in result.stderr


def test_no_cache_reaches_the_request(accepting: FakeServer, imgq: Imgq, tmp_path: Path) -> None:
    for flags in ([], ["--no-cache"]):
        imgq("submit-folder", tmp_path, "--by-reference", "-d", *flags)

    assert [sent.body["options"]["cache"] for sent in accepting.requests] == [True, False]


def test_the_list_and_the_panel_mark_a_dry_run(accepting: FakeServer, imgq: Imgq) -> None:
    assert "dry run: /pictures" in imgq("jobs").stdout
    assert "nothing is labelled" in imgq("status", UID).stdout
    panel = imgq("status", UID).stdout
    assert SENTENCE[:60] in panel and " ok · " not in panel


def test_a_command_to_copy_stays_whole_on_a_narrow_terminal(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = imgq("submit-folder", tmp_path, "--by-reference", "--dry-run")

    assert f"imgq submit-folder {tmp_path} --by-reference\n" in result.stderr


def test_watching_a_dry_run_tells_what_it_found(accepting: FakeServer, imgq: Imgq) -> None:
    result = imgq("watch", UID)

    assert SENTENCE in result.stderr
    assert "imgq submit-folder /pictures --model imagenet:1\n" in result.stderr


def test_a_dry_run_cannot_be_sorted(
    accepting: FakeServer, imgq: Imgq, make_dry: MakeJob, tmp_path: Path
) -> None:
    accepting.on("GET", JOB, Answer(make_dry()))

    result = imgq("sort", UID, "--into", tmp_path / "sorted")

    assert result.exit_code == Exit.USAGE
    assert "was a dry run, so its pictures have no labels" in result.stderr
    assert not (tmp_path / "sorted").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images_per_second": 4.25}, "measured 4.2 images/s on 1 worker: about 16 s"),
        ({"workers": 3}, "measured 212 images/s on 3 workers: about 16 s"),
        ({"eta_seconds": 0.4}, "measured 212 images/s on 1 worker: less than a second"),
        ({"eta_seconds": 7_380.0}, "measured 212 images/s on 1 worker: about 2:03:00"),
        ({"to_do": 0, "images_per_second": None, "eta_seconds": 0.0}, "nothing to do"),
        ({"to_do": 0, "cached": 0}, "nothing to do: there is no picture"),
        ({"images_per_second": None, "eta_seconds": None}, "the speed was not measured"),
    ],
)
def test_the_outlook_says_how_long_it_takes(changes: dict[str, Any], words: str) -> None:
    assert outlook({**FOUND, **changes}) == words  # type: ignore[typeddict-item]


def test_what_there_is_none_of_is_not_told() -> None:
    found: DryRunResult = {**FOUND, "seen": 1, "cached": 0, "to_do": 1, "failed": 0, "skipped": 0}
    assert tally(found) == "1 file: 0 known already, 1 to label"


def test_the_command_that_labels_repeats_what_was_asked(make_dry: MakeJob) -> None:
    options = {
        "recursive": False,
        "include": ["*.jpg"],
        "exclude": ["old/*"],
        "top_k": 3,
        "min_confidence": 0.5,
        "max_failures": "5%",
        "precision": "exact",
        "cache": False,
    }
    job: Job = make_dry(options=options, name="my trip", tags={"a": "b"}, priority="high")

    assert labelling_command(job, Typed("./my pictures", "birds@champion", by_reference=True)) == (
        "imgq submit-folder './my pictures' --model birds@champion --by-reference --no-recursive"
        " --include '*.jpg' --exclude 'old/*' --top-k 3 --min-confidence 0.5 --max-failures 5%"
        " --precision exact --no-cache --name 'my trip' --tag a=b --priority high"
    )


def test_the_shortest_command_is_the_path_alone(make_dry: MakeJob) -> None:
    typed = Typed("./images", "imagenet", by_reference=False)
    assert labelling_command(make_dry(), typed) == "imgq submit-folder ./images"
