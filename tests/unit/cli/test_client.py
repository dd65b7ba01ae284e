"""The HTTP client: retries, keys, and answers that are not from imgq."""

from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from imgq_cli.calls import SUMMARY_SECONDS, get_summary
from imgq_cli.client import CONNECT_SECONDS, PATIENCE_SECONDS, Client, make_retry
from imgq_cli.errors import CliError, ServerUnreachable
from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeClock, FakeServer
from imgq_cli.problems import HINT_OF_STATUS, KEY_HINT
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


def test_a_question_that_costs_minutes_is_asked_once_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[object, object]] = []

    def send(self: HTTPAdapter, request: object, **options: Any) -> None:
        asked.append((self.max_retries.total, options["timeout"]))
        raise requests.ReadTimeout

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(ServerUnreachable):
        get_summary(Client(TARGET), "x")

    assert asked == [(0, (CONNECT_SECONDS, SUMMARY_SECONDS))]
    assert SUMMARY_SECONDS > 120


def problem(status: int, **more: object) -> Answer:
    body = {"title": "Refused", "status": status, "detail": "It was refused.", "hint": None}
    return Answer(body | more, status)


def refusal(client: Client, server: FakeServer, answer: Answer) -> CliError:
    server.on("GET", "/v1/jobs", answer)
    with pytest.raises(CliError) as caught:
        client.get("/v1/jobs")
    return caught.value


def test_a_refused_key_is_told_in_the_words_of_the_command_line(
    client: Client, server: FakeServer
) -> None:
    error = refusal(client, server, problem(401, hint="Send Authorization: Bearer imgq_…"))

    assert (error.hint, error.exit_code) == (KEY_HINT, Exit.AUTH)


@pytest.mark.parametrize(
    ("status", "hint"), [(403, "Ask."), (403, None), (422, None), (409, "Cancel it first.")]
)
def test_another_refusal_keeps_the_servers_hint_if_it_has_one(
    client: Client, server: FakeServer, status: int, hint: str | None
) -> None:
    error = refusal(client, server, problem(status, hint=hint))

    assert error.hint == (hint or HINT_OF_STATUS[status])


def test_a_conflict_is_exit_1(client: Client, server: FakeServer) -> None:
    assert refusal(client, server, problem(409)).exit_code == 1


@pytest.mark.parametrize(
    ("detail", "tags", "message"),
    [
        ("#/name: Too long.", [], "#/name: Too long."),
        ("No.", [], "No.\n  #/name: Too long."),
        ("Too long.", ["Too many."], "Too long.\n  #/name: Too long.\n  #/tags: Too many."),
    ],
)
def test_a_field_error_alone_is_not_said_twice(
    client: Client, server: FakeServer, detail: str, tags: list[str], message: str
) -> None:
    errors = [{"pointer": "#/name", "detail": "Too long."}]
    errors += [{"pointer": "#/tags", "detail": text} for text in tags]

    assert refusal(client, server, problem(422, detail=detail, errors=errors)).message == message


def test_jobs_in_a_reason_are_named_as_tables_name_them(client: Client, server: FakeServer) -> None:
    reason = {"pointer": "", "detail": "The job 01a20a09-f418-7782-8435-c170d3a3227c names it."}
    answer = problem(409, detail="It is in use.", errors=[reason])

    said = refusal(client, server, answer).message

    assert said == "It is in use.\n  The job d3a3227c names it."


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
