"""Following a job: long polls that end with the job, and outlive a restart of the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from imgq_cli.client import Client
from imgq_cli.clocks import Clock
from imgq_cli.errors import ServerUnreachable
from imgq_cli.shapes import TERMINAL, Job

POLL_SECONDS = 20
#: A job that changes more often is not shown more often.
CHANGED_SECONDS = 0.1
#: A server that does not hold the request must not be asked in a tight loop.
UNCHANGED_SECONDS = 0.25
#: A server that is silent for longer is given up; the job itself goes on.
SILENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Silence:
    """The server does not answer; following goes on until `give_up_seconds` are over."""

    seconds: float
    give_up_seconds: float = SILENCE_SECONDS


def follow(
    client: Client, uid: str, *, timeout_seconds: float | None = None, clock: Clock = time
) -> Iterator[Job | Silence]:
    """Give the job whenever it changes, until it has ended or the timeout is over.

    Raises ServerUnreachable when the server stays silent for SILENCE_SECONDS.
    """
    deadline = None if timeout_seconds is None else clock.monotonic() + timeout_seconds
    etag: str | None = None
    silent_since: float | None = None
    first = True
    while True:
        started, known = clock.monotonic(), etag
        left = POLL_SECONDS if deadline is None else deadline - started
        # How the job is now is wanted at once; from then on, what changes.
        longest = 0 if first else POLL_SECONDS
        try:
            reply = client.poll(
                f"/v1/jobs/{uid}", etag=etag, wait_seconds=max(0, min(longest, int(left)))
            )
        except ServerUnreachable:
            silent_since = silent_since if silent_since is not None else started
            silent_seconds = clock.monotonic() - silent_since
            if silent_seconds >= SILENCE_SECONDS or left <= 0:
                raise
            yield Silence(silent_seconds)
            clock.sleep(2)
            continue
        silent_since = None
        if reply is not None:
            etag = reply.headers.get("ETag")
            job: Job = reply.body
            yield job
            if job["state"] in TERMINAL:
                return
        if deadline is not None and clock.monotonic() >= deadline:
            return
        if not first:
            _pace(clock, started, CHANGED_SECONDS if etag != known else UNCHANGED_SECONDS)
        first = False


def _pace(clock: Clock, started: float, seconds: float) -> None:
    if clock.monotonic() - started < seconds:
        clock.sleep(seconds)
