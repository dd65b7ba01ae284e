"""`imgq results` and the files that it and --output write."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result

from imgq_cli.exits import Exit
from imgq_cli.exports import unbroken
from imgq_cli.fakes import Answer, FakeServer

Imgq = Callable[..., Result]
MakeResult = Callable[..., dict[str, Any]]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
RESULTS = f"/v1/jobs/{UID}/results"
CSV = b"path,status,label\r\na.jpg,ok,daisy\r\n"
BROKEN = {
    "csv": CSV + b"#export-broken: the server failed,,\r\n",
    "jsonl": b'{"path":"a"}\n{"type":"urn:imgq:problem:export-broken","detail":"no"}\n',
    "parquet": b"PAR1 and no footer",
}


@pytest.fixture(autouse=True)
def job(server: FakeServer, make_job: MakeResult) -> None:
    """The job has ended."""
    server.on("GET", f"/v1/jobs/{UID}", Answer(make_job("succeeded")))


@pytest.mark.parametrize("flags", ["--format table", "--format csv", "--json", "-o x.csv"])
@pytest.mark.parametrize("hint", [None, "Did you mean 'daisy'?"])
def test_an_unknown_label_is_refused_with_something_to_try(
    server: FakeServer, imgq: Imgq, flags: str, hint: str | None
) -> None:
    problem = {"title": "No", "status": 422, "detail": "No label 'dasy'.", "hint": hint}
    for path in (RESULTS, f"{RESULTS}.csv"):
        server.on("GET", path, Answer(problem, 422))

    result = imgq("results", UID, "--label", "dasy", *flags.split())

    assert result.exit_code == Exit.USAGE
    if flags != "--json":
        assert f"Try: {hint or 'imgq models show MODEL --json, which lists'}" in result.stderr


@pytest.mark.parametrize(
    "flags",
    [
        "--sort path -o x.csv",
        "--sort path -o x.csv --json",
        "--format table -o x.csv",
        "--sort path --format csv",
        "-o .",
        "-o x",
        "--cursor c",
        "--cursor c -o x.csv --json",
        "--json --format csv",
        "--format csv -n 3",
        "-n 3 -o x.csv",
        "-n 3",
    ],
)
def test_what_cannot_be_done_as_typed_comes_with_something_to_try(imgq: Imgq, flags: str) -> None:
    result = imgq("results", UID, *flags.split())

    hinted = '"hint": "' if "--json" in flags else "Try: "
    assert (result.exit_code, hinted in result.stderr) == (Exit.USAGE, True)


def test_a_terminal_gets_a_table_with_safe_names(
    server: FakeServer, imgq: Imgq, make_result: MakeResult
) -> None:
    failed: dict[str, Any] = {
        "status": "failed",
        "confidence": None,
        "top_k": [],
        "error": {"code": "corrupt"},
    }
    rows = [
        make_result("a\n\x1b[31m.jpg", "[bold]daisy[/]"),
        make_result("b.jpg", None),
        make_result("c.jpg", None, **failed),
    ]
    server.on("GET", RESULTS, Answer({"items": rows, "next_cursor": None}))

    lines = imgq("results", UID, "--format", "table").stdout.splitlines()

    assert [line.split() for line in lines[1:]] == [
        [r"a\n\x1b[31m.jpg", "[bold]daisy[/]", "90.0", "%"],
        ["b.jpg", "unsure", "(tulip?)", "90.0", "%"],
        ["c.jpg", "failed:", "corrupt"],
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_an_export_on_a_terminal_has_safe_names_and_in_a_pipe_its_own(
    server: FakeServer, imgq: Imgq, terminal: bool
) -> None:
    written = "path,status\r\na\x1b[31m\x9b\u202e.jpg,ok\r\n日本.jpg,ok\r\n"
    server.on("GET", f"{RESULTS}.csv", Answer(written.encode()))

    shown = imgq("results", UID, "--format", "csv", terminal=terminal).stdout_bytes.decode()

    safe = "path,status\na\\x1b[31m\\x9b\\u202e.jpg,ok\n日本.jpg,ok\n"
    assert shown == (safe if terminal else written)


def test_json_has_no_letters_that_move_a_cursor(
    server: FakeServer, imgq: Imgq, make_result: MakeResult
) -> None:
    row = make_result("a\x9b31m\u202e日本\U0001f469\u200d.jpg")
    server.on("GET", RESULTS, Answer({"items": [row], "next_cursor": None}))

    shown = imgq("results", UID, "--json").stdout

    assert json.loads(shown)["items"] == [row]
    assert r"a\u009b31m\u202e日本" in shown


def test_filters_and_order_reach_the_server(server: FakeServer, imgq: Imgq) -> None:
    server.on("GET", RESULTS, Answer({"items": [], "next_cursor": None}))
    flags = "--format table --label x --status ok --min-confidence 0.5 --max-confidence 0.9"

    imgq("results", UID, *flags.split(), "--sort", "-confidence", "-n", "3")

    assert server.requests[-1].query == {
        "label": ["x"],
        "status": ["ok"],
        "min_confidence": ["0.5"],
        "max_confidence": ["0.9"],
        "sort": ["-confidence"],
        "limit": ["3"],
    }


def test_a_pipe_gets_csv_as_the_server_wrote_it(server: FakeServer, imgq: Imgq) -> None:
    server.on("GET", f"{RESULTS}.csv", Answer(CSV))

    assert imgq("results", UID).stdout_bytes == CSV


def test_json_is_the_page_of_the_rest_api_and_how_far_the_job_was(
    server: FakeServer, imgq: Imgq, make_result: MakeResult
) -> None:
    page = {"items": [make_result()], "next_cursor": "c"}
    server.on("GET", RESULTS, Answer(page))

    standing = {"state": "succeeded", "done": 4, "total": 6}
    assert json.loads(imgq("results", UID, "--json").stdout) == page | {"job": standing}


@pytest.mark.parametrize("name", ["out.csv", "out.JSONL", "out.parquet"])
def test_a_file_gets_the_format_of_its_extension(
    server: FakeServer, imgq: Imgq, tmp_path: Path, name: str
) -> None:
    extension = name.partition(".")[2].lower()
    body = b"PAR1PAR1" if extension == "parquet" else CSV
    server.on("GET", f"{RESULTS}.{extension}", Answer(body))

    assert imgq("results", UID, "-o", tmp_path / name).exit_code == Exit.OK
    assert (tmp_path / name).read_bytes() == body


def test_a_users_file_with_a_likely_name_is_left_alone(
    server: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    server.on("GET", f"{RESULTS}.csv", Answer(CSV))
    (tmp_path / "out.csv.tmp").write_text("mine")

    imgq("results", UID, "-o", tmp_path / "out.csv")

    assert (tmp_path / "out.csv.tmp").read_text() == "mine"


def test_the_format_may_be_named_where_the_extension_does_not_tell(
    server: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    server.on("GET", f"{RESULTS}.jsonl", Answer(b"{}\n"))

    imgq("results", UID, "-o", tmp_path / "out.txt", "--format", "jsonl")

    assert (tmp_path / "out.txt").read_bytes() == b"{}\n"


@pytest.mark.parametrize("form", list(BROKEN))
def test_a_broken_export_leaves_the_old_file_and_no_half_one(
    server: FakeServer, imgq: Imgq, tmp_path: Path, form: str
) -> None:
    server.on("GET", f"{RESULTS}.{form}", Answer(BROKEN[form]))
    file = tmp_path / "results" / f"out.{form}"
    file.parent.mkdir()
    file.write_text("old")

    result = imgq("results", UID, "-o", file)

    assert result.exit_code == Exit.UNEXPECTED
    assert "incomplete" in result.stderr
    assert [(path.name, path.read_text()) for path in file.parent.iterdir()] == [(file.name, "old")]


def test_a_connection_that_breaks_leaves_no_file(
    server: FakeServer, imgq: Imgq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*_: object) -> Any:
        yield b"path,"
        raise requests.exceptions.ChunkedEncodingError("broken")

    server.on("GET", f"{RESULTS}.csv", Answer(b""))
    monkeypatch.setattr(requests.Response, "iter_content", half)

    result = imgq("results", UID, "-o", tmp_path / "out.csv")

    assert result.exit_code == Exit.UNREACHABLE
    assert not list(tmp_path.glob("out*"))


def test_a_full_disk_is_told_and_leaves_no_file(
    server: FakeServer, imgq: Imgq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    server.on("GET", f"{RESULTS}.csv", Answer(CSV))
    monkeypatch.setattr("os.fsync", full)

    result = imgq("results", UID, "-o", tmp_path / "out.csv")

    assert result.exit_code == Exit.UNEXPECTED
    assert "the disk is full. The results are safe on the server." in result.stderr
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "x.txt"], "is not known"),
        (["-o", "none/x.csv"], "does not exist"),
        (["-o", "."], "is a folder"),
        (["-o", "x.csv", "--format", "table"], "not a table"),
        (["--sort", "path"], "is for the table"),
    ],
)
def test_what_cannot_be_written_is_said_before_asking(
    server: FakeServer, imgq: Imgq, arguments: list[str], words: str
) -> None:
    result = imgq("results", UID, *arguments)

    assert (result.exit_code, server.requests) == (Exit.USAGE, [])
    assert words in result.stderr


def test_parquet_is_not_poured_into_a_terminal(server: FakeServer, imgq: Imgq) -> None:
    result = imgq("results", UID, "--format", "parquet", terminal=True)

    assert (result.exit_code, server.requests) == (Exit.USAGE, [])


def test_a_mark_that_is_a_files_name_is_not_taken_for_a_break() -> None:
    pieces = [b"path,status\r\n", b"x#export-broken,ok\r\n"]

    assert list(unbroken(iter(pieces), "csv")) == pieces


INCOMPLETE = [
    ("running", {}, "still runs: 4 of 6 files had a row. imgq watch", Exit.STILL_RUNNING),
    ("running", {"total": None}, "still runs: 4 files had a row, and its", Exit.STILL_RUNNING),
    ("cancelled", {}, "was cancelled: 4 of 6 files had a row.", Exit.CANCELLED),
    ("failed", {}, "failed: 4 of 6 files had a row.", Exit.JOB_FAILED),
]


@pytest.mark.parametrize(("state", "progress", "words", "code"), INCOMPLETE)
def test_a_file_of_a_job_with_rows_missing_says_how_many_there_are(
    server: FakeServer,
    imgq: Imgq,
    make_job: MakeResult,
    state: str,
    progress: dict[str, Any],
    words: str,
    code: Exit,
) -> None:
    server.on("GET", f"/v1/jobs/{UID}", Answer(make_job(state, **progress)))
    server.on("GET", f"{RESULTS}.csv", Answer(CSV))

    result = imgq("results", UID, "-o", "labels.csv")
    in_json = json.loads(imgq("results", UID, "-o", "labels.csv", "--json").stdout)

    assert (result.exit_code, Path("labels.csv").read_bytes()) == (code, CSV)
    assert f" {words}" in result.stderr
    assert in_json["job"] == {"state": state, "done": 4, "total": 6} | progress


def test_a_stream_of_a_job_that_runs_is_a_success_with_a_word_on_stderr(
    server: FakeServer, imgq: Imgq, make_job: MakeResult
) -> None:
    server.on("GET", f"/v1/jobs/{UID}", Answer(make_job("running")))
    server.on("GET", f"{RESULTS}.csv", Answer(CSV))

    result = imgq("results", UID)

    assert (result.exit_code, result.stdout_bytes) == (Exit.OK, CSV)
    assert "4 of 6 files had a row" in result.stderr


def test_a_job_that_failed_with_every_row_is_exported_without_a_word(
    server: FakeServer, imgq: Imgq, make_job: MakeResult
) -> None:
    server.on("GET", f"/v1/jobs/{UID}", Answer(make_job("failed", done=6)))
    server.on("GET", f"{RESULTS}.csv", Answer(CSV))

    result = imgq("results", UID, "-o", "labels.csv")

    assert (result.exit_code, "Warning" in result.stderr) == (Exit.OK, False)
