"""Names that a stranger chose, on the terminal: shown, and never obeyed."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from tests.unit.cli.conftest import (
    clean_environment,
    clock,
    imgq,
    make_job,
    make_result,
    make_training,
    server,
)

from imgq_cli.fakes import Answer, FakeServer

__all__ = [
    "clean_environment",
    "clock",
    "imgq",
    "make_job",
    "make_result",
    "make_training",
    "server",
]

Imgq = Callable[..., Result]
Make = Callable[..., dict[str, Any]]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
HOSTILE = "a\x1b[35m\x9b1m\u202eb\r\nFORGED line\x07\u2028[bold]"
#: what the server itself writes may have lines
SENTENCE = HOSTILE.replace("\r\n", " ")
OBEYED = ("\x1b[35m", "\x9b", "\u202e", "\x07", "\u2028", "\r", "\nFORGED")
PAGE = {"next_cursor": None}


@pytest.fixture
def hostile_server(
    server: FakeServer, make_job: Make, make_result: Make, make_training: Make
) -> FakeServer:
    """A server all of whose free texts are hostile."""
    problem = {"type": "x", "title": SENTENCE, "detail": SENTENCE, "hint": SENTENCE}
    texts = {"name": HOSTILE, "notice": SENTENCE, "error": problem, "tags": {"k": HOSTILE}}
    job = make_job("failed", source={"uri": f"root:{HOSTILE}"}, model=SENTENCE, **texts)
    training = make_training("running", options={"name": HOSTILE}, **texts)
    row = make_result(HOSTILE, HOSTILE)
    worker = {
        "id": UID, "host": HOSTILE, "pid": 1, "device": HOSTILE, "queue": HOSTILE, "state": "idle",
        "job": None, "images_per_second": None, "roots": [HOSTILE],
        "started_at": "2026-11-01T10:00:00Z", "seen_at": "2026-11-01T10:00:00Z",
    }  # fmt: skip
    key = {
        "prefix": HOSTILE, "name": HOSTILE, "scopes": [HOSTILE], "revoked_at": None,
        "created_at": "2026-11-01T10:00:00Z", "last_used_at": None, "expires_at": None,
    }  # fmt: skip
    version = {
        "ref": "birds:1", "name": "birds", "version": 1, "aliases": [HOSTILE], "digest": HOSTILE,
        "architecture": HOSTILE, "classes": 1, "source": HOSTILE, "labels": [HOSTILE],
        "metrics": {HOSTILE: HOSTILE}, "preprocessing": {HOSTILE: HOSTILE},
        "created_at": "2026-11-01T10:00:00Z", "verdict": [HOSTILE], "lineage": [HOSTILE],
    }  # fmt: skip
    summary = {
        "labels": [{"label": HOSTILE, "count": 1}], "unsure": 0, "errors": {SENTENCE: 1},
        "skipped": {SENTENCE: 1}, "histogram": [0] * 10,
    }  # fmt: skip
    checks = {"ok": False, "checks": [{"rule": SENTENCE, "violations": 1}]}
    url = f"/v1/jobs/{UID}"
    other = url.replace("abcdef1", "abcdef2")
    for path, body in {
        url: job,
        other: training,
        "/v1/jobs": {"items": [job, training], **PAGE},
        f"{url}/results": {"items": [row], **PAGE},
        f"{url}/summary": summary,
        f"{url}/verification": checks,
        "/v1/workers": {"items": [worker], **PAGE},
        "/v1/keys": {"items": [key], **PAGE},
        "/v1/models": {"items": [version], **PAGE},
        "/v1/models/birds/versions/1": version,
    }.items():
        server.on("GET", path, Answer(body))
    return server


@pytest.mark.parametrize(
    "command",
    [
        f"status {UID}",
        f"status {UID[:-1]}2",
        "jobs",
        f"results {UID} --format table",
        f"why {UID}",
        f"watch {UID}",
        f"verify-job {UID}",
        f"sort {UID} --into sorted",
        "workers",
        "keys list",
        "models list",
        "models show birds:1",
    ],
)
def test_no_command_obeys_a_hostile_text(
    hostile_server: FakeServer, imgq: Imgq, command: str
) -> None:
    ran = imgq(*command.split())

    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    assert [bad for bad in OBEYED if bad in ran.stdout + ran.stderr] == []


@pytest.mark.parametrize("command", [f"status {UID}", f"results {UID}", "jobs", "models list"])
def test_a_hostile_error_is_told_and_not_obeyed(
    server: FakeServer, imgq: Imgq, command: str
) -> None:
    problem = {"type": "x", "title": HOSTILE, "detail": HOSTILE, "hint": HOSTILE, "status": 404}
    for path in (f"/v1/jobs/{UID}", f"/v1/jobs/{UID}/results.csv", "/v1/jobs", "/v1/models"):
        server.on("GET", path, Answer(problem, 404))

    shown = imgq(*command.split()).stderr

    assert [bad for bad in OBEYED[:5] if bad in shown] == []
