"""Stand-ins for tests: a server that answers from memory, and a clock that ticks by sleeping."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that the fake server got."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the fake server says. body: bytes as they are, anything else as JSON."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Scripted = Answer | BaseException


class FakeServer(BaseAdapter):
    """Answers each route from its script; the last answer of a script is given for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Sent] = []
        self._scripts: dict[tuple[str, str], list[Scripted]] = {}

    def on(self, method: str, path: str, *answers: Scripted) -> None:
        """Set the script of a route. An exception in it is a connection that fails so."""
        self._scripts[method, path] = list(answers)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer one request of a session."""
        url = urlsplit(request.url or "")
        body = json.loads(request.body) if request.body else None
        sent = Sent(request.method or "", url.path, parse_qs(url.query), body, request.headers)
        self.requests.append(sent)
        script = self._scripts.get((sent.method, sent.path), [NOT_FOUND])
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, BaseException):
            raise answer
        return _response(request, answer)

    def close(self) -> None:
        """Nothing is open."""


class FakeClock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the seconds slept so far."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Let the time pass at once."""
        self.now += seconds


NOT_FOUND = Answer({"title": "Not found", "status": 404, "detail": "There is nothing here."}, 404)


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    body = answer.body
    if not isinstance(body, bytes):
        body = b"" if body is None else json.dumps(body).encode()
    response = requests.Response()
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict(answer.headers)
    response.raw = io.BytesIO(body)
    response.url = request.url or ""
    response.request = request
    return response
