"""The HTTP client: retries, keys, and answers that are not from imgq."""

from pathlib import Path

import pytest
import requests

from imgq_cli.client import PATIENCE_SECONDS, Client, make_retry
from imgq_cli.errors import CliError, ServerUnreachable
from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeClock, FakeServer
from imgq_cli.target import Target

TARGET = Target("http://imgq.test", "imgq_ab_secret", local=False)


@pytest.fixture
def client(server: FakeServer, clock: FakeClock) -> Client:
    return Client(TARGET, adapter=server, clock=clock)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_a_bounded_number_of_times(status: int) -> None:
    retry = make_retry()

    assert retry.is_retry("GET", status)
    assert not retry.is_retry("DELETE", status)
    assert (retry.status, retry.retry_after_max) == (2, PATIENCE_SECONDS)


def test_a_conflict_is_not_repeated() -> None:
    assert not make_retry().is_retry("POST", 409)


def test_a_post_that_overtook_itself_is_repeated_with_its_key(
    client: Client, server: FakeServer
) -> None:
    busy = {"type": "urn:imgq:problem:idempotency-in-flight", "title": "Busy", "status": 409}
    server.on("POST", "/v1/jobs", Answer(busy, 409), Answer(busy, 409), Answer({"id": 1}, 202))

    assert client.post("/v1/jobs", {}).body == {"id": 1}
    assert len({sent.headers["Idempotency-Key"] for sent in server.requests}) == 1


def test_two_posts_have_two_keys(client: Client, server: FakeServer) -> None:
    server.on("POST", "/v1/jobs", Answer({}, 202))

    client.post("/v1/jobs", {})
    client.post("/v1/jobs", {})

    assert len({sent.headers["Idempotency-Key"] for sent in server.requests}) == 2


def test_a_netrc_entry_does_not_replace_the_key(
    client: Client, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine imgq.test login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.on("GET", "/v1/jobs", Answer({}))

    client.get("/v1/jobs")

    assert server.requests[0].headers["Authorization"] == "Bearer imgq_ab_secret"


@pytest.mark.parametrize(
    "answer",
    [Answer(b"<html>hello</html>"), Answer(b"<html>no</html>", 404), Answer(["odd"], 500)],
)
def test_another_server_on_that_port_is_recognised(
    client: Client, server: FakeServer, answer: Answer
) -> None:
    server.on("GET", "/v1/jobs", answer)

    with pytest.raises(ServerUnreachable, match="not as an imgq server does"):
        client.get("/v1/jobs")


def test_a_redirect_is_told_and_not_followed(client: Client, server: FakeServer) -> None:
    server.on("POST", "/v1/jobs", Answer(status=301, headers={"Location": "https://imgq.test/"}))

    with pytest.raises(CliError, match=r"redirects to https://imgq\.test/"):
        client.post("/v1/jobs", {})

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (requests.ConnectionError("refused"), "does not answer"),
        (requests.ReadTimeout("slow"), "did not answer in time"),
    ],
)
def test_a_server_that_cannot_be_reached_is_exit_6(
    client: Client, server: FakeServer, fault: Exception, words: str
) -> None:
    server.on("GET", "/v1/jobs", fault)

    with pytest.raises(ServerUnreachable, match=words) as caught:
        client.get("/v1/jobs")

    assert caught.value.exit_code == Exit.UNREACHABLE


def test_a_probe_gives_the_answer_whatever_its_status(client: Client, server: FakeServer) -> None:
    server.on("GET", "/readyz", Answer({"title": "No database"}, 503))

    assert client.probe().status == 503
