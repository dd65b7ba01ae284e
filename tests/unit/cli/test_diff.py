"""`imgq diff`: which labels changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer

Imgq = Callable[..., Result]
Make = Callable[..., dict[str, Any]]
A = "01997c5e-0000-7000-8000-0000aaaa1111"
B = "01997c5f-0000-7000-8000-0000bbbb2222"


@pytest.fixture(autouse=True)
def two_jobs(server: FakeServer, make_result: Make, make_job: Make) -> None:
    failed = {"error": {"code": "corrupt"}, "status": "failed", "confidence": None}
    first = [
        make_result("same.jpg"),
        make_result("other.jpg", "daisy"),
        make_result("broken.jpg", "daisy"),
        make_result("only-a.jpg"),
    ]
    second = [
        make_result("broken.jpg", None, **failed),
        make_result("other.jpg", "tulip", confidence=0.5),
        make_result("same.jpg", confidence=0.1),
    ]
    for uid, rows in ((A, first), (B, second)):
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        server.on("GET", f"/v1/jobs/{uid}/results.jsonl", Answer(lines))
        server.on("GET", f"/v1/jobs/{uid}", Answer(make_job("succeeded", id=uid)))


def test_json_has_the_counts_and_the_changes(imgq: Imgq) -> None:
    document = json.loads(imgq("diff", A, B, "--json").stdout)

    assert document == {
        "same": 1,
        "changed": 2,
        "only_a": 1,
        "only_b": 0,
        "job_a": {"state": "succeeded", "done": 4, "total": 6},
        "job_b": {"state": "succeeded", "done": 4, "total": 6},
        "changes": [
            {
                "path": "broken.jpg",
                "label_a": "daisy",
                "label_b": "[corrupt]",
                "confidence_a": 0.9,
                "confidence_b": None,
            },
            {
                "path": "other.jpg",
                "label_a": "daisy",
                "label_b": "tulip",
                "confidence_a": 0.9,
                "confidence_b": 0.5,
            },
        ],
    }


def test_a_pipe_gets_csv_and_the_counts_go_to_stderr(imgq: Imgq) -> None:
    result = imgq("diff", A, B)

    assert result.stdout.splitlines() == [
        "path,label_a,label_b,confidence_a,confidence_b",
        "broken.jpg,daisy,[corrupt],0.9,",
        "other.jpg,daisy,tulip,0.9,0.5",
    ]
    assert result.stderr == "2 changed, 1 the same, 1 in the first job only.\n"


def test_a_terminal_gets_a_table_up_to_the_limit(imgq: Imgq) -> None:
    result = imgq("diff", A, B, "-n", "1", terminal=True)

    assert "broken.jpg" in result.stdout
    assert "other.jpg" not in result.stdout
    assert "The first 1" in result.stderr


def test_a_results_stream_that_broke_is_no_difference(server: FakeServer, imgq: Imgq) -> None:
    broken = b'{"type":"urn:imgq:problem:export-broken","detail":"no"}\n'
    server.on("GET", f"/v1/jobs/{B}/results.jsonl", Answer(broken))

    result = imgq("diff", A, B)

    assert (result.exit_code, result.stdout) == (1, "")


def test_a_job_with_rows_missing_is_told_of(server: FakeServer, imgq: Imgq, make_job: Make) -> None:
    server.on("GET", f"/v1/jobs/{B}", Answer(make_job("cancelled", id=B)))

    result = imgq("diff", A, B)

    assert (result.exit_code, len(result.stdout.splitlines())) == (Exit.CANCELLED, 3)
    assert " was cancelled: 4 of 6 files had a row." in result.stderr
