"""`imgq jobs`, `status`, `watch`, `cancel`, `retry`, `delete` and `why`."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from click.testing import Result

from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer

Imgq = Callable[..., Result]
MakeJob = Callable[..., dict[str, Any]]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
JOB = f"/v1/jobs/{UID}"
EMPTY = {"labels": [], "unsure": 0, "errors": {}, "skipped": {}, "histogram": []}


def test_jobs_lists_what_is_asked_for(server: FakeServer, imgq: Imgq, make_job: MakeJob) -> None:
    server.on("GET", "/v1/jobs", Answer({"items": [make_job(name="trip")], "next_cursor": None}))

    result = imgq("jobs", "--state", "running", "--tag", "a=b", "-n", "7")

    assert server.requests[0].query == {"state": ["running"], "tag": ["a=b"], "limit": ["7"]}
    assert result.stdout.split()[-9:-4] == ["0abcdef1", "running", "trip", "imagenet:1", "4/6"]


def test_jobs_as_json_is_one_document_over_all_pages(
    server: FakeServer, imgq: Imgq, make_job: MakeJob
) -> None:
    first, second = make_job(), make_job(id=UID.replace("1997", "1998"))
    server.on(
        "GET",
        "/v1/jobs",
        Answer({"items": [first], "next_cursor": "c"}),
        Answer({"items": [second], "next_cursor": None}),
    )

    result = imgq("jobs", "--json")

    assert json.loads(result.stdout) == {"items": [first, second]}
    assert server.requests[1].query["cursor"] == ["c"]


def test_no_jobs_tells_how_to_start_one(server: FakeServer, imgq: Imgq) -> None:
    server.on("GET", "/v1/jobs", Answer({"items": [], "next_cursor": None}))

    result = imgq("jobs")

    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert "imgq submit-folder ./images" in result.stderr


def test_status_shows_what_one_asks_about_a_job(
    server: FakeServer, imgq: Imgq, make_job: MakeJob
) -> None:
    problem = {"title": "Empty", "detail": "No file was found.", "hint": "Check the path."}
    job = make_job("failed", failed=1, error=problem, name="a\x1b[31m", tags={"k": "v"})
    server.on("GET", JOB, Answer(job))

    shown = imgq("status", UID).stdout

    assert "\x1b" not in shown
    for part in ("failed", "66.0 %", "4 of 6", "/pictures", "imagenet:1 (exact)", "k=v", UID,
                 "No file was found.", "Check the path.", "0:00:04"):  # fmt: skip
        assert part in shown


@pytest.mark.parametrize("typed", ["status", "watch", "why"])
def test_a_failed_job_offers_commands_that_can_be_pasted(
    server: FakeServer, imgq: Imgq, make_job: MakeJob, typed: str
) -> None:
    problem = {"title": "No", "detail": "3 failed.", "hint": "imgq results JOB --status failed"}
    server.on("GET", JOB, Answer(make_job("failed", error=problem)))
    server.on("GET", f"{JOB}/summary", Answer(EMPTY))
    server.on("GET", "/readyz", Answer({"status": "ready"}))
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))

    assert f"imgq results {UID[-8:]} --status failed" in imgq(typed, UID).output


def test_what_failed_can_be_seen_in_a_job_that_failed_for_it(
    server: FakeServer, imgq: Imgq, make_job: MakeJob
) -> None:
    server.on("GET", JOB, Answer(make_job("failed", failed=3)))
    server.on("GET", f"{JOB}/summary", Answer(EMPTY))

    told = imgq("watch", UID).stderr

    assert f"imgq results {UID[-8:]} --status failed" in told
    assert "--failed" not in told


def test_status_as_json_is_the_job(server: FakeServer, imgq: Imgq, make_job: MakeJob) -> None:
    server.on("GET", JOB, Answer(make_job()))

    assert json.loads(imgq("status", UID, "--json").stdout) == make_job()


def test_watch_follows_to_the_end(server: FakeServer, imgq: Imgq, make_job: MakeJob) -> None:
    server.on("GET", JOB, Answer(make_job()), Answer(make_job("succeeded", failed=1)))
    server.on("GET", f"{JOB}/summary", Answer(EMPTY))

    result = imgq("watch", UID)

    assert (result.exit_code, result.stdout) == (Exit.SOME_FAILED, "")
    assert f"imgq retry {UID[-8:]} --failed" in result.stderr


@pytest.mark.parametrize(
    ("status", "words"), [(202, "is being cancelled"), (200, "has ended already (succeeded)")]
)
def test_cancel_says_whether_there_was_something_to_cancel(
    server: FakeServer, imgq: Imgq, make_job: MakeJob, status: int, words: str
) -> None:
    state = "cancelling" if status == 202 else "succeeded"
    server.on("POST", f"{JOB}/cancel", Answer(make_job(state), status))

    result = imgq("cancel", UID)

    assert result.exit_code == Exit.OK
    assert words in result.stderr


@pytest.mark.parametrize(("flags", "body"), [([], {}), (["--failed"], {"only": "failed"})])
def test_retry_prints_the_new_jobs_id(
    server: FakeServer, imgq: Imgq, make_job: MakeJob, flags: list[str], body: dict[str, str]
) -> None:
    new = make_job("queued", id=UID.replace("1997", "1998"))
    server.on("POST", f"{JOB}/retry", Answer(new, 202))

    result = imgq("retry", UID, *flags)

    assert (result.stdout, server.requests[0].body) == (new["id"] + "\n", body)


def test_delete_does_not_ask_off_a_terminal(server: FakeServer, imgq: Imgq) -> None:
    server.on("DELETE", JOB, Answer(status=204))

    assert imgq("delete", UID).exit_code == Exit.OK


@pytest.mark.parametrize(("reply", "sent"), [("n\n", 0), ("y\n", 1)])
def test_delete_asks_on_a_terminal(server: FakeServer, imgq: Imgq, reply: str, sent: int) -> None:
    server.on("DELETE", JOB, Answer(status=204))

    imgq("delete", UID, terminal=True, input=reply)

    assert len(server.requests) == sent


def test_why_says_what_the_job_waits_for(server: FakeServer, imgq: Imgq, make_job: MakeJob) -> None:
    server.on("GET", JOB, Answer(make_job("queued", total=None)))
    server.on("GET", "/readyz", Answer({"status": "ready", "redis": False, "workers": 0}))
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/summary", Answer(EMPTY))

    plain, document = imgq("why", UID).stdout, json.loads(imgq("why", UID, "--json").stdout)

    assert "The queue (Redis) does not answer, or" in plain
    assert [reason["hint"] for reason in document["reasons"]] == [
        "imgq doctor",
        "imgq worker, or imgq up on this machine",
    ]


def test_a_timeout_is_not_stretched_by_counting(
    server: FakeServer, imgq: Imgq, make_job: MakeJob
) -> None:
    server.on("GET", JOB, Answer(make_job("running")))

    result = imgq("watch", UID, "--timeout", "1s")

    assert result.exit_code == Exit.STILL_RUNNING
    assert {sent.path for sent in server.requests} == {JOB}


def test_why_and_watch_outlive_a_summary_that_is_too_slow(
    server: FakeServer, imgq: Imgq, make_job: MakeJob
) -> None:
    server.on("GET", JOB, Answer(make_job("succeeded", failed=2)))
    server.on("GET", "/readyz", Answer({"status": "ready", "redis": True}))
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/summary", requests.ReadTimeout("slow"))

    why, watch = imgq("why", UID), imgq("watch", UID)

    assert (why.exit_code, watch.exit_code) == (Exit.OK, Exit.SOME_FAILED)
    assert "What the pictures failed with is not shown" in why.stderr
    assert "The counts by label are not shown" in watch.stderr


def test_why_counts_no_worker_that_is_silent(
    server: FakeServer, imgq: Imgq, make_job: MakeJob
) -> None:
    worker = {"host": "h", "device": "cpu", "job": UID, "seen_at": "2026-11-01T10:00:00Z"}
    date = {"Date": "Sun, 01 Nov 2026 10:00:30 GMT"}
    server.on("GET", JOB, Answer(make_job("running")))
    server.on("GET", "/readyz", Answer({"status": "ready", "redis": True}))
    server.on("GET", "/v1/workers", Answer({"items": [worker]}, headers=date))

    assert "No worker has been heard of lately" in imgq("why", UID).stdout


@pytest.mark.parametrize(("width", "columns"), [("100", 7), ("60", 5)])
def test_a_narrow_terminal_loses_columns_and_never_half_an_id(
    server: FakeServer,
    imgq: Imgq,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    width: str,
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    job = make_job(source={"uri": "file:///" + "very/long" * 20})
    server.on("GET", "/v1/jobs", Answer({"items": [job], "next_cursor": None}))

    head, row = imgq("jobs").stdout.splitlines()

    assert (len(head.replace("name or source", "name").split()), row[:8]) == (columns, UID[-8:])
    assert len(row.rstrip()) <= int(width)


@pytest.mark.parametrize(
    ("violations", "code", "line"), [(0, Exit.OK, "✓ rows"), (2, Exit.UNEXPECTED, "✗ rows (2 do")]
)
def test_verify_job_shows_every_check_and_fails_for_a_broken_one(
    server: FakeServer, imgq: Imgq, violations: int, code: Exit, line: str
) -> None:
    checks = [{"rule": "rows", "violations": violations}]
    server.on("GET", f"{JOB}/verification", Answer({"ok": not violations, "checks": checks}))

    result = imgq("verify-job", UID)

    assert (result.exit_code, line in result.stdout) == (code, True)
