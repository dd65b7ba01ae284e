"""The HTTP client: one session with bounded retries, a key, and errors in words."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util import Retry

from imgq_cli.clocks import Clock
from imgq_cli.errors import CliError, ServerUnreachable
from imgq_cli.heartbeats import server_time
from imgq_cli.invocation import Invocation
from imgq_cli.problems import error_of
from imgq_cli.target import Target, find_target
from imgq_cli.wire import bearer, body_pieces, is_loopback, json_body

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
#: A server asks for patience with Retry-After; this much of it is given.
PATIENCE_SECONDS = 5
#: Tries with a second between them: more than a server that died blocks its key for.
IN_FLIGHT_TRIES = 15
PROBE_PATH = "/readyz"

Params = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a JSON body (None if it has none)."""

    status: int
    body: Any
    headers: Mapping[str, str]


def make_retry() -> Retry:
    """Return the policy: every request is safe to repeat, as each POST carries its own key."""
    return Retry(
        total=3,
        read=1,
        status=2,
        backoff_factor=0.2,
        status_forcelist=(429, 502, 503, 504),
        allowed_methods=frozenset({"GET", "POST", "PUT"}),
        respect_retry_after_header=True,
        retry_after_max=PATIENCE_SECONDS,
        raise_on_status=False,
    )


def connect(invocation: Invocation) -> Client:
    """Return a client of the server that this invocation means."""
    target = find_target(invocation.server)
    return Client(target, adapter=invocation.adapter, clock=invocation.clock)


class Client:
    """Speaks to one server. Every method raises CliError for an answer of 400 or more."""

    def __init__(
        self, target: Target, *, adapter: BaseAdapter | None = None, clock: Clock = time
    ) -> None:
        self.target = target
        self._adapter = adapter
        self._date: str | None = None
        self._clock = clock
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        # As auth, not as a header: a ~/.netrc entry for the host would replace the header.
        self._session.auth = bearer(target.key)
        if is_loopback(target.url):
            self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter or HTTPAdapter(max_retries=make_retry()))
        # A probe wants to know how things are now: its 503 is an answer.
        self._session.mount(target.url + PROBE_PATH, adapter or HTTPAdapter())

    def get(
        self,
        path: str,
        params: Params = None,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        repeats: bool = True,
    ) -> Any:
        """Return the body of a GET.

        repeats=False: a question that costs the server minutes is asked once.
        """
        if not repeats:
            self._session.mount(self.target.url + path, self._adapter or HTTPAdapter())
        return self._send("GET", path, params=params, answer_seconds=answer_seconds).body

    def post(self, path: str, body: object) -> Reply:
        """Send a POST that counts once, however often it is repeated."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        for _ in range(IN_FLIGHT_TRIES):
            try:
                return self._send("POST", path, json=body, headers=headers)
            except CliError as error:
                # A repeated POST can overtake the first one, whose connection broke.
                if not _is_in_flight(error):
                    raise
                self._clock.sleep(1)
        return self._send("POST", path, json=body, headers=headers)

    def put(self, path: str, body: object) -> Reply:
        """Send a PUT, which by its nature counts once."""
        return self._send("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """Send a DELETE."""
        self._send("DELETE", path)

    def poll(self, path: str, *, etag: str | None, wait_seconds: int) -> Reply | None:
        """Return what is at the path once it differs from etag; None if it has not for the wait."""
        headers = {"Prefer": f"wait={wait_seconds}"}
        if etag:
            headers["If-None-Match"] = etag
        reply = self._send("GET", path, headers=headers, answer_seconds=wait_seconds + 15)
        return None if reply.status == 304 else reply

    def server_now(self) -> datetime:
        """Return the time of the last answer by the server's clock, which may not be ours."""
        return server_time(self._date)

    def probe(self) -> Reply:
        """Return what the server says about its own health, whatever the status."""
        with self._answer("GET", PROBE_PATH) as response:
            return Reply(response.status_code, json_body(response), response.headers)

    @contextmanager
    def download(self, path: str, params: Params = None) -> Iterator[Iterator[bytes]]:
        """Give the body of a GET in pieces, as they come."""
        with self._answer("GET", path, params=params, headers={"Accept": "*/*"}) as response:
            self._check(response)
            yield body_pieces(response, self.target.url)

    def _send(self, method: str, path: str, **options: Any) -> Reply:
        with self._answer(method, path, **options) as response:
            self._check(response)
            body = json_body(response)
            if body is None and response.content:
                raise error_of(response.status_code, None, url=self.target.url)
            return Reply(response.status_code, body, response.headers)

    @contextmanager
    def _answer(
        self, method: str, path: str, *, answer_seconds: float = ANSWER_SECONDS, **options: Any
    ) -> Iterator[requests.Response]:
        try:
            response = self._session.request(
                method,
                self.target.url + path,
                timeout=(CONNECT_SECONDS, answer_seconds),
                allow_redirects=False,
                stream=True,
                **options,
            )
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        self._date = response.headers.get("Date")
        with response:
            yield response

    def _check(self, response: requests.Response) -> None:
        if 300 <= response.status_code < 400 and response.status_code != 304:
            raise CliError(
                f"{self.target.url} redirects to {response.headers.get('Location')}.",
                hint="imgq --server URL …, with the final URL",
            )
        if response.status_code >= 400:
            raise error_of(response.status_code, json_body(response), url=self.target.url)

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        timeout = isinstance(error, requests.Timeout)
        why = "did not answer in time" if timeout else "does not answer"
        hint = "imgq up" if self.target.local else "imgq doctor, or another --server URL"
        return ServerUnreachable(f"The server at {self.target.url} {why}.", hint=hint)


def _is_in_flight(error: CliError) -> bool:
    problem = error.problem or {}
    return str(problem.get("type")).endswith(":idempotency-in-flight")
