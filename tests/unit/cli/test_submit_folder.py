"""`imgq submit-folder`, from the command line to the requests and back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result

from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer
from imgq_cli.problems import KEY_HINT

Imgq = Callable[..., Result]
MakeJob = Callable[..., dict[str, Any]]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
JOB = f"/v1/jobs/{UID}"
SUMMARY = {
    "labels": [{"label": "daisy", "count": 5}],
    "unsure": 1,
    "errors": {"truncated": 1},
    "skipped": {"not_an_image": 2},
    "histogram": [0] * 10,
}


@pytest.fixture
def accepting(server: FakeServer, make_job: MakeJob) -> FakeServer:
    """A server that accepts one job, which then succeeds."""
    server.on("POST", "/v1/jobs", Answer(make_job("queued", total=None), 202))
    server.on(
        "GET",
        JOB,
        Answer(make_job("running"), headers={"ETag": 'W/"1"'}),
        Answer(make_job("succeeded", done=6, ok=6)),
    )
    server.on("GET", f"{JOB}/summary", Answer(SUMMARY))
    return server


def test_off_a_terminal_the_id_is_printed_and_nothing_is_followed(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    result = imgq("submit-folder", tmp_path, "--by-reference")

    assert (result.exit_code, result.stdout) == (Exit.OK, UID + "\n")
    assert [sent.method for sent in accepting.requests] == ["POST"]
    assert f"imgq watch {UID[-8:]}" in result.stderr


@pytest.mark.parametrize(
    "trouble", [requests.ReadTimeout("slow"), Answer({"title": "No", "detail": "Busy."}, 503)]
)
def test_a_summary_that_cannot_be_had_leaves_the_jobs_exit_code(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path, trouble: Answer | Exception
) -> None:
    accepting.on("GET", f"{JOB}/summary", trouble)

    result = imgq("submit-folder", tmp_path, "--by-reference", "--wait")

    assert result.exit_code == Exit.OK
    assert "Succeeded: 6 images labelled" in result.stderr
    assert "Warning: The counts by label are not shown: " in result.stderr
    assert f"imgq watch {UID[-8:]}" in result.stderr


def test_every_flag_reaches_the_request(accepting: FakeServer, imgq: Imgq, tmp_path: Path) -> None:
    flags = "--model birds@champion --include *.jpg --include *.png --exclude tmp/* --top-k 3"
    more = "--no-recursive --name trip --tag a=b --tag c=d=e --priority high --max-failures 5%"
    last = "--min-confidence 0.4 --precision exact --by-reference"

    imgq("submit-folder", tmp_path, *flags.split(), *more.split(), *last.split())

    assert accepting.requests[0].body == {
        "kind": "classify",
        "source": {"uri": f"file://{tmp_path}"},
        "model": "birds@champion",
        "options": {
            "recursive": False,
            "include": ["*.jpg", "*.png"],
            "exclude": ["tmp/*"],
            "top_k": 3,
            "min_confidence": 0.4,
            "max_failures": "5%",
            "precision": "exact",
            "dry_run": False,
            "cache": True,
        },
        "name": "trip",
        "tags": {"a": "b", "c": "d=e"},
        "priority": "high",
    }


def test_the_key_and_an_idempotency_key_are_sent(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    imgq("submit-folder", tmp_path, "--by-reference", "-d")

    headers = accepting.requests[0].headers
    assert headers["Authorization"] == "Bearer imgq_ab_secret"
    assert len(headers["Idempotency-Key"]) == 36


def test_a_root_source_is_sent_as_it_stands(accepting: FakeServer, imgq: Imgq) -> None:
    imgq("submit-folder", "root:photos/2026/a b")

    assert accepting.requests[0].body["source"] == {"uri": "root:photos/2026/a b"}


def test_waiting_follows_to_the_end_and_reports(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    result = imgq("submit-folder", tmp_path, "--by-reference", "--wait")

    assert (result.exit_code, result.stdout) == (Exit.OK, UID + "\n")
    assert "Succeeded: 6 images labelled" in result.stderr
    assert "daisy" in result.stderr
    assert "the file ends before the picture does" in result.stderr
    polls = [sent.headers for sent in accepting.requests if sent.path == JOB]
    assert (polls[0]["Prefer"], polls[1]["Prefer"]) == ("wait=0", "wait=20")
    assert polls[1]["If-None-Match"] == 'W/"1"'


def test_on_a_terminal_the_job_is_followed_without_asking(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    result = imgq("submit-folder", tmp_path, "--by-reference", terminal=True)

    assert result.exit_code == Exit.OK
    assert "Classifying" in result.stderr
    assert "4/6 · 2 img/s · ETA 0:00:01" in result.stderr


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"state": "succeeded", "failed": 1}, Exit.SOME_FAILED),
        ({"state": "failed", "error": {"title": "T", "detail": "No files."}}, Exit.JOB_FAILED),
        ({"state": "cancelled"}, Exit.CANCELLED),
    ],
)
def test_the_exit_code_tells_how_the_job_ended(
    accepting: FakeServer,
    imgq: Imgq,
    make_job: MakeJob,
    tmp_path: Path,
    end: dict[str, Any],
    code: Exit,
) -> None:
    accepting.on("GET", JOB, Answer(make_job(**end)))

    assert imgq("submit-folder", tmp_path, "--by-reference", "--wait").exit_code == code


def test_the_timeout_ends_the_waiting_and_not_the_job(
    accepting: FakeServer, imgq: Imgq, make_job: MakeJob, tmp_path: Path
) -> None:
    accepting.on("GET", JOB, Answer(make_job("running")))

    result = imgq("submit-folder", tmp_path, "--by-reference", "--timeout", "1m30s")

    assert result.exit_code == Exit.STILL_RUNNING
    assert "the job goes on" in result.stderr
    assert not [sent for sent in accepting.requests if sent.path.endswith("cancel")]


def test_ctrl_c_detaches_and_never_cancels(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imgq_cli.tracking.follow", interrupt)

    result = imgq("submit-folder", tmp_path, "--by-reference", "--wait")

    assert result.exit_code == Exit.INTERRUPTED
    assert f"imgq watch {UID[-8:]}" in result.stderr
    assert f"imgq cancel {UID[-8:]}" in result.stderr
    assert [sent.method for sent in accepting.requests] == ["POST"]


def test_a_silent_server_is_waited_for_and_told(
    accepting: FakeServer, imgq: Imgq, make_job: MakeJob, tmp_path: Path
) -> None:
    gone = requests.ConnectionError("refused")
    accepting.on("GET", JOB, gone, gone, Answer(make_job("succeeded", done=6, ok=6)))

    result = imgq("submit-folder", tmp_path, "--by-reference", "--wait")

    assert result.exit_code == Exit.OK
    assert "it does not answer. The job goes on" in result.stderr


def test_a_server_that_stays_silent_is_given_up_with_the_way_back(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    accepting.on("GET", JOB, requests.ConnectionError("refused"))

    result = imgq("submit-folder", tmp_path, "--by-reference", "--wait")

    assert result.exit_code == Exit.UNREACHABLE
    assert f"Try: imgq watch {UID[-8:]}" in result.stderr


def test_json_prints_one_document_without_waiting(
    accepting: FakeServer, imgq: Imgq, make_job: MakeJob, tmp_path: Path
) -> None:
    result = imgq("--json", "submit-folder", tmp_path, "--by-reference", terminal=True)

    assert json.loads(result.stdout) == make_job("queued", total=None)


def test_json_prints_a_line_for_each_change_while_waiting(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    result = imgq("submit-folder", tmp_path, "--by-reference", "--wait", "--json")

    states = [json.loads(line)["state"] for line in result.stdout.splitlines()]
    assert states == ["running", "succeeded"]


def test_a_notice_of_the_server_is_shown_as_a_warning(
    accepting: FakeServer, imgq: Imgq, make_job: MakeJob, tmp_path: Path
) -> None:
    accepted = make_job("queued", notice="The queue is down; the job is kept and waits.")
    accepting.on("POST", "/v1/jobs", Answer(accepted, 202))

    result = imgq("submit-folder", tmp_path, "--by-reference")

    assert result.exit_code == Exit.OK
    assert "Warning: The queue is down; the job is kept and waits." in result.stderr


def test_outputs_are_written_once_the_job_has_succeeded(
    accepting: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    accepting.on("GET", f"{JOB}/results.csv", Answer(b"path,status\r\n"))
    accepting.on("GET", f"{JOB}/results.jsonl", Answer(b"{}\n"))
    table, lines = tmp_path / "out.csv", tmp_path / "out.jsonl"

    result = imgq("submit-folder", tmp_path, "--by-reference", "-o", table, "-o", lines)

    assert result.exit_code == Exit.OK
    assert (table.read_bytes(), lines.read_bytes()) == (b"path,status\r\n", b"{}\n")


def test_a_job_that_failed_leaves_no_output(
    accepting: FakeServer, imgq: Imgq, make_job: MakeJob, tmp_path: Path
) -> None:
    accepting.on("GET", JOB, Answer(make_job("failed", error={"title": "T", "detail": "D."})))

    result = imgq("submit-folder", tmp_path, "--by-reference", "-o", tmp_path / "out.csv")

    assert result.exit_code == Exit.JOB_FAILED
    assert "No file was written" in result.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing"], Exit.NOT_FOUND, "No such folder: "),
        (["a.jpg"], Exit.USAGE, "This is a file, not a folder: "),
        (["folder"], Exit.USAGE, "uploads are not available yet"),
        (["folder", "-o", "x.txt"], Exit.USAGE, ".csv, .jsonl or .parquet"),
        (["folder", "-o", "no/x.csv"], Exit.USAGE, "does not exist"),
        (["folder", "-o", "x.csv", "-o", "x.csv"], Exit.USAGE, "given twice"),
        (["folder", "-d", "--wait"], Exit.USAGE, "--detach does not go with"),
        (["folder", "--tag", "x"], Exit.USAGE, "is not a tag"),
        (["folder", "--timeout", "soon"], Exit.USAGE, "is not a duration"),
        (["folder", "--max-failures", "120%"], Exit.USAGE, "neither a count"),
        (["folder", "--exlude", "x"], Exit.USAGE, "Did you mean one of: '--exclude', '--include'?"),
        (["folder", "--by-reference", "--name", "\udcff"], Exit.USAGE, "is not UTF-8 text"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_sent(
    server: FakeServer, imgq: Imgq, arguments: list[str], code: Exit, message: str
) -> None:
    Path("a.jpg").touch()
    Path("folder").mkdir()

    result = imgq("submit-folder", *arguments)

    assert (result.exit_code, server.requests) == (code, [])
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("status", "code"), [(401, 4), (403, 4), (404, 5), (409, 1), (422, 2), (500, 1), (503, 6)]
)
def test_a_problem_of_the_server_becomes_words_and_an_exit_code(
    server: FakeServer, imgq: Imgq, tmp_path: Path, status: int, code: int
) -> None:
    problem = {
        "type": "urn:imgq:problem:x",
        "title": "No",
        "status": status,
        "detail": "That was refused.",
        "request_id": "r-1",
        "errors": [{"pointer": "#/model", "detail": "is odd"}],
        "hint": "something else",
    }
    server.on("POST", "/v1/jobs", Answer(problem, status))

    plain = imgq("submit-folder", tmp_path, "--by-reference")
    as_json = imgq("submit-folder", tmp_path, "--by-reference", "--json")
    verbose = imgq("submit-folder", tmp_path, "--by-reference", "-v")

    assert (plain.exit_code, json.loads(as_json.stderr)) == (code, problem)
    hint = KEY_HINT if status == 401 else "something else"
    told = f"Error: That was refused.\n  #/model: is odd\nTry: {hint}\n"
    assert (plain.stderr, verbose.stderr) == (told, told + "Request id: r-1\n")
