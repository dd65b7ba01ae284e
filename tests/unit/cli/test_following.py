"""Following: long polls, silence, timeouts, on a clock that moves by itself."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from imgq_cli.client import Client
from imgq_cli.errors import ServerUnreachable
from imgq_cli.fakes import Answer, FakeClock, FakeServer
from imgq_cli.following import SILENCE_SECONDS, Silence, follow
from imgq_cli.target import Target

MakeJob = Callable[..., dict[str, Any]]
PATH = "/v1/jobs/x"


@pytest.fixture
def client(server: FakeServer, clock: FakeClock) -> Client:
    return Client(Target("http://imgq.test", None, local=False), adapter=server, clock=clock)


def test_it_gives_each_change_once_and_ends_with_the_job(
    client: Client, server: FakeServer, clock: FakeClock, make_job: MakeJob
) -> None:
    running, done = make_job("running"), make_job("succeeded")
    server.on(
        "GET", PATH, Answer(running, headers={"ETag": "W/1"}), Answer(status=304), Answer(done)
    )

    assert list(follow(client, "x", clock=clock)) == [running, done]
    assert [sent.headers.get("If-None-Match") for sent in server.requests] == [None, "W/1", "W/1"]


def test_it_outlives_a_restart_and_says_so(
    client: Client, server: FakeServer, clock: FakeClock, make_job: MakeJob
) -> None:
    gone, unready = requests.ConnectionError(), Answer({"title": "Not ready"}, 503)
    server.on("GET", PATH, gone, unready, Answer(make_job("succeeded")))

    events = list(follow(client, "x", clock=clock))

    assert events == [Silence(0.0), Silence(2.0), make_job("succeeded")]


def test_it_gives_a_silent_server_up_after_a_while(
    client: Client, server: FakeServer, clock: FakeClock
) -> None:
    server.on("GET", PATH, requests.ConnectionError())

    with pytest.raises(ServerUnreachable):
        list(follow(client, "x", clock=clock))

    assert SILENCE_SECONDS <= clock.now < SILENCE_SECONDS + 10


def test_an_answer_that_is_no_silence_ends_it_at_once(client: Client, server: FakeServer) -> None:
    server.on("GET", PATH, Answer({"title": "Gone", "detail": "Deleted."}, 404))

    with pytest.raises(Exception, match="Deleted"):
        list(follow(client, "x"))

    assert len(server.requests) == 1


def test_it_ends_with_the_timeout_and_never_asks_for_longer(
    client: Client, server: FakeServer, clock: FakeClock, make_job: MakeJob
) -> None:
    server.on("GET", PATH, Answer(make_job("running"), headers={"ETag": "W/1"}))

    list(follow(client, "x", timeout_seconds=3, clock=clock))

    assert 3 <= clock.now < 4
    waits = [int(sent.headers["Prefer"].removeprefix("wait=")) for sent in server.requests]
    assert (waits[0], max(waits)) == (0, 3)


def test_a_server_that_does_not_hold_requests_is_not_hammered(
    client: Client, server: FakeServer, clock: FakeClock, make_job: MakeJob
) -> None:
    server.on("GET", PATH, Answer(make_job("running")))

    list(follow(client, "x", timeout_seconds=10, clock=clock))

    assert len(server.requests) <= 42
