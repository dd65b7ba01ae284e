"""Requests that want out of their place: into folders, headers, logs, or all of the memory."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from imgq_api.app import create_app
from imgq_api.limits import MAX_BODY_BYTES
from imgq_cli.stack.services import Services
from imgq_db.engine import make_engine
from imgq_db.keys import Scope, mint_key
from imgq_db.settings import Settings

PROBLEM = "application/problem+json"
HOSTILE = "a\r\nX-Evil: 1\n\x1b[31m\u202e=cmd|'<script>"
UID = "01932e4f-0000-7000-8000-000000000000"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "GREET")
JOB = {"kind": "classify", "source": {"uri": "root:photos/a"}}
OUTSIDE = (
    "root:photos/../../etc",
    "root:photos/%2e%2e/%2e%2e/etc",
    "root:photos/a%00b",
    "root:photos/a\x00b",
    "root:photos/..%2f..%2fetc",
    "root:../etc",
    "root:..",
    "root:",
    "root://etc/passwd",
    "root:%2e%2e/etc",
    "file:///etc",
    "file://localhost/etc",
    "file:/etc",
    "FILE:///etc",
    "/etc",
    "../etc",
    "registry:imagenet:1",
    "http://127.0.0.1/",
    "s3://bucket/key",
    "root:photos\\..\\..\\etc",
    "\ud800",
)
MANIFESTS = ("../m.csv", "/etc/passwd", "a/../../m.csv", "a\0b.csv", "")
PATHS = (
    "/v1/models/..%2f..%2fetc",
    "/v1/models/a%0d%0aX-Evil:%201",
    "/v1/models/%00",
    "/v1/models/%ff/versions/1",
    "/v1/models/imagenet/versions/99999999999999999999",
    "/v1/models/imagenet/versions/1/artifact/../../x",
    "/v1/models/x/aliases/a%0d%0ab",
    "/v1/keys/a%0d%0ab",
    f"/v1/jobs/{UID}%0d%0a",
    f"/v1/jobs/{UID}/report/../../../etc/passwd",
    f"/v1/jobs/{UID}/results?label=%00",
    f"/v1/jobs/{UID}/results?cursor=%0d%0aX-Evil:1",
    "/v1/jobs?cursor=%0d%0aX-Evil:1",
    "/v1/jobs?tag=a=%00",
    "/v1/jobs?limit=1%0d%0aX-Evil:1",
    "/v1/jobs?limit=999999999999999999999999",
    "/v1/jobs?" + "state=queued&" * 2000,
    "/v1/" + "a/" * 5000,
    "/docs?url=//evil",
    "/openapi.json?x=<script>",
    "/%3Cscript%3E",
)
HOSTS = ("evil.example", "", "a b", "[::1", "localhost:99999999", "é", "@", "127.0.0.1@evil", "\0")
KEYS = (
    "Bearer",
    "Bearer ",
    "Basic aW1ncTppbWdx",
    "bearer imgq_",
    f"Bearer imgq_abcdefgh_{'x' * 43}",
    f"Bearer imgq_abcdefgh_{'x' * 10_000}",
    "Bearer imgq_abcdefgh_' OR 1=1; --xxxxxxxxxxxxxxxxxxxxxxxx",
    "Bearer \u00e9\u00ff",
    "Bearer imgq_abcdefgh_" + "\u00e9" * 43,
    'Digest username="a"',
    "Bearer a b c",
    ", ,",
)
HEADERS = ("Idempotency-Key", "X-Request-Id", "Prefer", "If-None-Match", "Range", "Cookie")
VALUES = ("x" * 10_000, "a\tb", "é", "\x7f", 'W/"', "wait=-1", "wait=9e9")
MEDIA = (
    "text/plain",
    "application/xml",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/x-pickle",
)
FORM = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 3000
BODIES = (
    b"[" * 100_000,
    b'{"a":' * 10_000,
    b'{"kind": "classify", "kind": "train"}',
    b"\xef\xbb\xbf{}",
    b'{"source": {"uri": "\\u0000"}}',
    b"9" * 5_000,
    b"NaN",
    b'{"kind": "classify", "source": {"uri": "root:photos/a"}, "options": {"top_k": 1e400}}',
    b'{"kind": "classify", "source": {"uri": "root:photos/a"}, "__proto__": {}}',
)
TAKERS = ("/v1/jobs", "/v1/keys", "/v1/models/import", f"/v1/jobs/{UID}/retry")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that reads the root `photos` only, and a client with every right."""

    settings: Settings
    engine: Engine
    client: FlaskClient
    key: str

    def __call__(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **options)

    def jobs(self) -> int:
        """Count the jobs that were made."""
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM job")).scalar_one())


@pytest.fixture(scope="module")
def ask(
    running_services: Services, module_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    photos = tmp_path_factory.mktemp("photos")
    settings = Settings(
        database_url=module_database,
        redis_url=running_services.redis_url,
        data_dir=photos.parent / "data",
        roots={"photos": photos},
    )
    engine = make_engine(settings, role="api")
    app = create_app(settings, engine=engine, ring=lambda _queue: True)
    _, key = mint_key(engine, name="test", scopes=(Scope.ADMIN,))
    yield Server(settings, engine, app.test_client(), key)
    engine.dispose()


def requests_for(uri: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the bodies that name a folder, and where each is sent."""
    source = {"source": {"uri": uri}}
    return [
        ("/v1/jobs", {"kind": "classify", **source}),
        ("/v1/jobs", {"kind": "train", "options": {"name": "birds"}, **source}),
        ("/v1/jobs", {"kind": "evaluate", "model": "imagenet", **source}),
        ("/v1/models/import", {"name": "x", **source}),
    ]


@pytest.mark.parametrize("uri", OUTSIDE, ids=ascii)
def test_no_source_leads_out_of_the_roots(ask: Server, uri: str) -> None:
    before = ask.jobs()
    replies = [ask("POST", path, json=body) for path, body in requests_for(uri)]

    assert {reply.content_type for reply in replies} == {PROBLEM}
    assert {reply.status_code for reply in replies} <= {400, 422}
    assert ask.jobs() == before


@pytest.mark.parametrize("manifest", MANIFESTS, ids=ascii)
def test_no_manifest_leads_out_of_the_source(ask: Server, manifest: str) -> None:
    before, options = ask.jobs(), {"name": "birds", "manifest": manifest}
    reply = ask("POST", "/v1/jobs", json={**JOB, "kind": "train", "options": options})

    assert (reply.status_code, ask.jobs()) == (422, before)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:60])
def test_a_crooked_address_is_a_problem_and_no_header(ask: Server, path: str) -> None:
    replies = [ask(method, path) for method in METHODS]

    assert [reply.text for reply in replies if not 400 <= reply.status_code < 500] == []
    assert {reply.content_type for reply in replies} == {PROBLEM}
    assert not any("X-Evil" in reply.headers for reply in replies)


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
def test_a_crooked_host_gets_nothing_without_a_key(ask: Server, host: str) -> None:
    keyless = create_app(
        ask.settings.model_copy(update={"insecure": True}), engine=ask.engine, ring=lambda _: True
    )
    replies = [
        client.get("/v1/jobs", environ_overrides={"HTTP_HOST": host})
        for client in (ask.client, keyless.test_client())
    ]

    assert [reply.status_code in (400, 401, 403) for reply in replies] == [True, True]
    assert {reply.content_type for reply in replies} == {PROBLEM}


@pytest.mark.parametrize("given", KEYS, ids=lambda given: ascii(given)[:60])
def test_a_crooked_key_opens_nothing(ask: Server, given: str) -> None:
    reply = ask.client.get("/v1/jobs", headers={"Authorization": given})

    assert (reply.status_code, reply.content_type) == (401, PROBLEM)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value)[:20])
def test_a_crooked_header_is_refused_or_ignored(ask: Server, name: str, value: str) -> None:
    made = ask("POST", "/v1/jobs", json=JOB, headers={name: value})
    shown = ask("GET", f"/v1/jobs/{UID}", headers={name: value})

    assert made.status_code in ((202, 422) if name == "Idempotency-Key" else (202,)), made.text
    assert shown.status_code == 404
    assert len(made.headers["X-Request-Id"]) <= 64


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 10_000, "a\tb", "\x7f"], ids=len)
def test_an_idempotency_key_is_short_and_printable(ask: Server, key: str) -> None:
    reply = ask("POST", "/v1/jobs", json=JOB, headers={"Idempotency-Key": key})

    assert (reply.status_code, reply.content_type) == (422, PROBLEM)


@pytest.mark.parametrize("media", MEDIA)
def test_other_media_types_are_refused(ask: Server, media: str) -> None:
    reply = ask("POST", "/v1/jobs", data=FORM, content_type=media)

    assert (reply.status_code, reply.content_type) == (415, PROBLEM)


@pytest.mark.parametrize("path", TAKERS)
def test_a_body_over_the_limit_is_refused(ask: Server, path: str) -> None:
    body = json.dumps({"name": "x" * MAX_BODY_BYTES})
    reply = ask("POST", path, data=body, content_type="application/json")

    assert (reply.status_code, reply.content_type) == (413, PROBLEM)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: ascii(body)[:40])
def test_a_crooked_body_is_refused(ask: Server, body: bytes) -> None:
    before = ask.jobs()
    reply = ask("POST", "/v1/jobs", data=body, content_type="application/json")

    assert (reply.status_code in (400, 422), reply.content_type) == (True, PROBLEM), reply.text
    assert ask.jobs() == before


def test_hostile_names_come_back_as_they_are_and_in_the_body_alone(ask: Server) -> None:
    named = {"name": HOSTILE, "tags": {"k": HOSTILE}, "options": {"include": [HOSTILE]}}
    once = {"Idempotency-Key": "hostile"}
    made, again = (ask("POST", "/v1/jobs", json=JOB | named, headers=once) for _ in range(2))

    assert made.status_code == again.status_code == 202
    assert made.get_json() == again.get_json()
    assert (made.get_json()["name"], made.get_json()["tags"]) == (HOSTILE, {"k": HOSTILE})
    assert "X-Evil" not in made.headers and "X-Evil" not in again.headers


def test_the_link_to_the_next_page_is_one_header_and_leads_there(ask: Server) -> None:
    made = [ask("POST", "/v1/jobs", json=JOB | {"tags": {"page": HOSTILE}}) for _ in range(2)]
    first = ask("GET", "/v1/jobs", query_string={"limit": 1, "tag": f"page={HOSTILE}"})
    link = first.headers["Link"]
    second = ask("GET", link[link.index("<") + 1 : link.index(">")])

    assert "\n" not in link and "X-Evil" not in first.headers
    shown = [reply.get_json()["items"][0]["id"] for reply in (second, first)]
    assert shown == [reply.get_json()["id"] for reply in made]
