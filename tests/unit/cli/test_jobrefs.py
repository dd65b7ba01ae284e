"""What names a job: all of its id, its start, its end, `last`."""

from collections.abc import Callable
from typing import Any

import pytest

from imgq_cli.client import Client
from imgq_cli.errors import NotFound, UsageFault
from imgq_cli.fakes import Answer, FakeServer
from imgq_cli.jobrefs import resolve_job
from imgq_cli.target import Target

FIRST = "01997c5e-0000-7000-8000-0000aaaa1111"
SECOND = "01997c5f-0000-7000-8000-0000bbbb2222"


@pytest.fixture
def client(server: FakeServer, make_job: Callable[..., dict[str, Any]]) -> Client:
    pages = (
        Answer({"items": [make_job(id=SECOND)], "next_cursor": "more"}),
        Answer({"items": [make_job(id=FIRST)], "next_cursor": None}),
    )
    server.on("GET", "/v1/jobs", *pages)
    return Client(Target("http://imgq.test", None, local=False), adapter=server)


@pytest.mark.parametrize(
    "text", [FIRST, FIRST.upper(), FIRST.replace("-", ""), "01997c5e", "aaaa1111", "aaaa11",
             "0000aaaa1111", "8000-0000aaaa1111"]
)  # fmt: skip
def test_a_job_is_found_by_any_unique_part_at_its_ends(client: Client, text: str) -> None:
    assert resolve_job(client, text) == FIRST


def test_a_full_id_needs_no_look_up(client: Client, server: FakeServer) -> None:
    resolve_job(client, FIRST)

    assert server.requests == []


def test_last_is_the_newest(client: Client, server: FakeServer) -> None:
    assert resolve_job(client, "last") == SECOND
    assert server.requests[0].query == {"limit": ["1"]}


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("01997c", UsageFault, "fits 2 jobs"),
        ("1111", UsageFault, "too short"),
        ("cccccccc", NotFound, "There is no job"),
        ("000000", NotFound, "There is no job"),
    ],
)
def test_what_names_no_single_job_is_refused(
    client: Client, text: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        resolve_job(client, text)


def test_last_without_jobs_says_how_to_start_one(client: Client, server: FakeServer) -> None:
    server.on("GET", "/v1/jobs", Answer({"items": [], "next_cursor": None}))

    with pytest.raises(NotFound, match="no job yet"):
        resolve_job(client, "last")
