"""The API as a process: it starts, answers while others wait, and stops when told or orphaned."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from imgq_api.app import WAITING_SEATS
from imgq_api.bodies import READING_SEATS
from imgq_api.serving import THREADS
from imgq_db.jobs import Job
from imgq_db.settings import Settings

DEADLINE_SECONDS = 30
#: The head of a request whose body has one byte more than is sent.
BODY_BEGINS = (
    "POST /v1/jobs HTTP/1.1",
    "Host: 127.0.0.1",
    "Content-Type: application/json",
    "Content-Length: 2",
    "",
)


def await_true(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "IMGQ_DATABASE_URL": settings.database_url,
        "IMGQ_REDIS_URL": settings.redis_url,
        "IMGQ_INSTANCE": settings.instance,
        "IMGQ_INSECURE": "1",
        "IMGQ_PORT": str(free_port()),
        "IMGQ_HOST": "127.0.0.1",
    }


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "imgq_api"], env=environment, stderr=subprocess.PIPE, text=True
    )
    with process:
        await_true(lambda: process.poll() is not None or is_up(environment))
        assert process.poll() is None
        yield process
        process.kill()


def url_of(environment: dict[str, str]) -> str:
    return f"http://127.0.0.1:{environment['IMGQ_PORT']}"


def is_up(environment: dict[str, str]) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{url_of(environment)}/readyz", timeout=DEADLINE_SECONDS).ok
    return False


def test_others_are_answered_while_every_seat_waits_and_the_stop_is_prompt(
    environment: dict[str, str], server: subprocess.Popen[str], job: Job
) -> None:
    url = url_of(environment)

    def wait() -> int:
        headers = {"Prefer": "wait=60"}
        return requests.get(f"{url}/v1/jobs/{job.uid}", headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(WAITING_SEATS) as waiters:
        statuses = [waiters.submit(wait) for _ in range(WAITING_SEATS)]
        started = time.monotonic()
        assert requests.get(f"{url}/healthz", timeout=20).json() == {"status": "ok"}
        server.send_signal(signal.SIGTERM)
        assert server.wait(DEADLINE_SECONDS) == 0
        found = [status.result() for status in statuses]

    assert found == [200] * WAITING_SEATS
    assert time.monotonic() - started < DEADLINE_SECONDS


def test_chunked_body_is_refused_at_the_limit(
    environment: dict[str, str], server: subprocess.Popen[str]
) -> None:
    pieces = (b" " * 65_536 for _ in range(17))
    headers = {"Content-Type": "application/json"}
    answer = requests.post(
        f"{url_of(environment)}/v1/jobs", data=pieces, headers=headers, timeout=DEADLINE_SECONDS
    )

    assert (answer.status_code, answer.json()["type"]) == (413, "urn:imgq:problem:body-too-large")


def test_bodies_that_never_come_keep_nobody_waiting(
    environment: dict[str, str], server: subprocess.Popen[str]
) -> None:
    head = "\r\n".join([*BODY_BEGINS, "{"]).encode()
    url, address = url_of(environment), ("127.0.0.1", int(environment["IMGQ_PORT"]))
    slow = [socket.create_connection(address, timeout=DEADLINE_SECONDS) for _ in range(THREADS + 8)]
    for each in slow:
        each.sendall(head)
    refused = slow[READING_SEATS:]
    await_true(lambda: len(select.select(slow, [], [], 0)[0]) == len(refused))
    assert requests.get(f"{url}/healthz", timeout=DEADLINE_SECONDS).ok
    assert requests.post(f"{url}/v1/jobs", json={}, timeout=DEADLINE_SECONDS).status_code == 503
    for each in slow:
        each.close()

    def is_read() -> bool:
        answer = requests.post(f"{url}/v1/jobs", json={}, timeout=DEADLINE_SECONDS)
        return answer.status_code == 422

    await_true(is_read)


def test_signals_after_the_first_are_quiet(server: subprocess.Popen[str], job: Job) -> None:
    (worker,) = psutil.Process(server.pid).children()
    for _ in range(20):
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.send_signal(signal.SIGTERM)
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=DEADLINE_SECONDS)

    assert "Exception ignored" not in log


def test_second_server_does_not_share_the_port(
    environment: dict[str, str], server: subprocess.Popen[str]
) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "imgq_api"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )

    assert second.returncode == 1
    assert "Address already in use" in second.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_worker_process_ends_with_its_parent(server: subprocess.Popen[str]) -> None:
    (worker,) = psutil.Process(server.pid).children()
    server.kill()
    server.wait(DEADLINE_SECONDS)

    await_true(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
