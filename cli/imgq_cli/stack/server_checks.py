"""What `imgq doctor` asks a server."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from imgq_cli.heartbeats import is_silent, server_time
from imgq_cli.stack.checks import Check, Level
from imgq_cli.stack.probe import Answer, ask

CLOCK_SECONDS = 30.0


def server_checks(url: str, key: str | None) -> list[Check]:
    """Return the checks of one server; the first that fails ends them if it hides the others."""
    try:
        alive = ask(f"{url}/healthz")
    except requests.RequestException as error:
        hint = "imgq up, or check the address in IMGQ_SERVER"
        return [Check("Server", Level.FAILED, f"{url} does not answer ({_why(error)})", hint)]
    if alive.status != 200:
        text = f"{url} answers {alive.status} where imgq would answer 200"
        hint = "check the address; another program may listen there"
        return [Check("Server", Level.FAILED, text, hint)]
    checks = [Check("Server", Level.OK, f"{url} answers"), *_clock(alive)]
    try:
        ready, workers = ask(f"{url}/readyz"), ask(f"{url}/v1/workers", key)
    except requests.RequestException as error:
        hint = "look into the API's log"
        return [*checks, Check("Database", Level.FAILED, f"no answer ({_why(error)})", hint)]
    return [*checks, *_services(ready), *_key_and_workers(workers, key)]


def _services(ready: Answer) -> list[Check]:
    body: dict[str, Any] = ready.body if isinstance(ready.body, dict) else {}
    if ready.status != 200:
        detail = body.get("detail") or f"the server answers {ready.status}"
        hint = body.get("hint") or "imgq down, then imgq up"
        return [Check("Database", Level.FAILED, str(detail), str(hint))]
    database = Check("Database", Level.OK, "ready")
    if body.get("redis"):
        return [database, Check("Queue", Level.OK, "reachable")]
    text = "not reachable: jobs are accepted and wait"
    return [database, Check("Queue", Level.WARNING, text, "check that Redis runs")]


def _key_and_workers(answer: Answer, key: str | None) -> list[Check]:
    if answer.status in (401, 403):
        text = "is not accepted" if key else "is missing"
        hint = "set IMGQ_API_KEY to a key of this server, or imgq keys create"
        return [Check("Key", Level.FAILED, text, hint)]
    if answer.status != 200 or not isinstance(answer.body, dict):
        text = f"cannot be checked: the server answers {answer.status}"
        return [Check("Key", Level.FAILED, text, "look into the API's log")]
    accepted = Check("Key", Level.OK, "accepted")
    known, now = answer.body.get("items") or [], server_time(answer.date)
    trainers = [worker for worker in known if worker.get("queue") == "train"]
    workers = [worker for worker in known if worker not in trainers]
    return [
        accepted,
        _alive("Workers", workers, now, jobs="jobs", hint="imgq worker, or imgq up --workers 1"),
        _alive("Trainer", trainers, now, jobs="train jobs", hint="imgq trainer, or imgq up"),
    ]


def _alive(name: str, known: list[dict[str, Any]], now: datetime, *, jobs: str, hint: str) -> Check:
    workers = [worker for worker in known if not is_silent(worker, now)]
    silent = len(known) - len(workers)
    if not workers:
        text = f"{silent}, all silent: {jobs} wait" if silent else f"none: {jobs} wait"
        return Check(name, Level.WARNING, text, hint)
    devices = ", ".join(sorted({str(worker.get("device")) for worker in workers}))
    text = f"{len(workers)} on {devices}"
    if silent:
        return Check(name, Level.WARNING, f"{text}, {silent} silent", "imgq workers")
    return Check(name, Level.OK, text)


def _clock(answer: Answer) -> list[Check]:
    if answer.date is None:
        return []
    apart = abs((parsedate_to_datetime(answer.date) - datetime.now(UTC)).total_seconds())
    if apart <= CLOCK_SECONDS:
        return [Check("Clock", Level.OK, "agrees with the server's")]
    text = f"{apart:.0f} s away from the server's"
    return [Check("Clock", Level.WARNING, text, "set the time by the network on both machines")]


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "connection refused" if "refused" in str(error) else type(error).__name__
