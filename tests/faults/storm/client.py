"""A client of the API that does not give up while the API is dead, as users' scripts should not."""

import threading
from typing import Any
from uuid import UUID

import requests

CONNECT_SECONDS, REPLY_SECONDS = 2, 15
#: Pause before another try.
RETRY_SECONDS = 0.1
#: The API, or what is behind it, is away for a moment; or an earlier try is still at work.
TRANSIENT = frozenset({409, 429, 500, 502, 503, 504})


class Refused(Exception):
    """The API refused what it should have accepted."""


class GaveUp(Exception):
    """The storm has ended without an answer."""


class Client:
    """Sends each request until it is answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        #: set: give up
        self.ended = threading.Event()

    def submit(self, key: str, body: dict[str, Any]) -> UUID:
        """Return the job that was made under an idempotency key. Raises Refused, GaveUp."""
        return UUID(self._send("POST", "/v1/jobs", body, {"Idempotency-Key": key})["id"])

    def cancel(self, job: UUID) -> str:
        """Cancel a job and return its state. Raises Refused, GaveUp."""
        return str(self._send("POST", f"/v1/jobs/{job}/cancel")["state"])

    def state(self, job: UUID) -> str:
        """Return a job's state. Raises Refused, GaveUp."""
        return str(self._send("GET", f"/v1/jobs/{job}")["state"])

    def _send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        while not self.ended.is_set():
            reply = self._try(method, path, body, headers)
            if reply is not None and reply.ok:
                answer: dict[str, Any] = reply.json()
                return answer
            if reply is not None and reply.status_code not in TRANSIENT:
                raise Refused(f"{method} {path}: {reply.status_code} {reply.text[:500]}")
            self.ended.wait(RETRY_SECONDS)
        raise GaveUp

    def _try(
        self, method: str, path: str, body: object, headers: dict[str, str] | None
    ) -> requests.Response | None:
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy has no business on the loopback
                return session.request(
                    method,
                    self._url + path,
                    json=body,
                    headers=headers,
                    timeout=(CONNECT_SECONDS, REPLY_SECONDS),
                )
        except requests.RequestException:
            return None  # killed before or after it did what it was asked: the key tells
