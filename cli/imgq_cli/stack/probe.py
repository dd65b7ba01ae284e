"""Short questions to an API, each answered within seconds or not at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests

TIMEOUT_SECONDS = 3.0
#: The server's clock and ours may differ a little.
CLOCK_SLACK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    body: Any
    #: The server's clock, if it told it.
    date: str | None = None


def ask(url: str, key: str | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Answer:
    """Return the answer to a GET. Raises requests.RequestException."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no business on the loopback
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        reply = session.get(url, headers=headers, timeout=timeout_seconds, allow_redirects=False)
        try:
            body = reply.json()
        except requests.JSONDecodeError:
            body = None
        return Answer(reply.status_code, body, reply.headers.get("Date"))


def is_ready(url: str) -> bool:
    """Return whether the API can do its work."""
    try:
        return ask(f"{url}/readyz").status == 200
    except requests.RequestException:
        return False


def list_workers(url: str, key: str | None) -> list[dict[str, Any]]:
    """Return the workers that the API knows of. Raises requests.RequestException."""
    answer = ask(f"{url}/v1/workers", key)
    items = answer.body.get("items") if isinstance(answer.body, dict) else None
    return items if answer.status == 200 and isinstance(items, list) else []


def has_workers(
    url: str, key: str, *, count: int, since: datetime, queue: str = "classify"
) -> bool:
    """Return whether so many workers of a queue have started since then."""
    try:
        workers = list_workers(url, key)
    except requests.RequestException:
        return False
    starts = (
        datetime.fromisoformat(worker["started_at"])
        for worker in workers
        if worker.get("queue", "classify") == queue
    )
    return sum(start >= since - CLOCK_SLACK for start in starts) >= count
