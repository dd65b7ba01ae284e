"""Following a job: validators and long polls."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from imgq_db.jobs import Job

Api = Callable[..., Any]
SetState = Callable[[Job, str], None]


@pytest.fixture
def url(job: Job) -> str:
    return f"/v1/jobs/{job.uid}"


def test_poll_carries_what_a_client_needs(api: Api, url: str) -> None:
    headers = api("GET", url).headers

    assert headers["ETag"].startswith('W/"')
    assert (headers["Cache-Control"], headers["Retry-After"]) == ("no-cache", "1")


def test_ended_job_needs_no_further_poll(api: Api, finished_job: Job) -> None:
    assert "Retry-After" not in api("GET", f"/v1/jobs/{finished_job.uid}").headers


def test_client_that_has_it_gets_304(api: Api, job: Job, set_state: SetState, url: str) -> None:
    etag = api("GET", url).headers["ETag"]
    same = api("GET", url, headers={"If-None-Match": etag})
    set_state(job, "running")
    changed = api("GET", url, headers={"If-None-Match": etag})

    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", etag)
    assert (changed.status_code, changed.json["state"]) == (200, "running")
    assert changed.headers["ETag"] != etag


def test_long_poll_answers_when_the_job_changes(
    api: Api, job: Job, set_state: SetState, url: str
) -> None:
    change = threading.Timer(0.4, set_state, (job, "running"))
    change.start()
    started = time.monotonic()
    response = api("GET", url, headers={"Prefer": "wait=30"})
    change.join()

    assert response.json["state"] == "running"
    assert response.headers["Preference-Applied"] == "wait=30"
    assert 0.3 < time.monotonic() - started < 10


def test_long_poll_ends_with_its_time(api: Api, url: str) -> None:
    etag = api("GET", url).headers["ETag"]
    response = api("GET", url, headers={"Prefer": "wait=1", "If-None-Match": etag})

    assert response.status_code == 304


def test_long_poll_answers_at_once_what_the_client_does_not_have(api: Api, url: str) -> None:
    started = time.monotonic()
    response = api("GET", url, headers={"Prefer": "wait=30", "If-None-Match": 'W/"old"'})

    assert response.status_code == 200
    assert time.monotonic() - started < 10


def test_long_poll_of_an_ended_job_answers_at_once(api: Api, finished_job: Job) -> None:
    started = time.monotonic()
    response = api("GET", f"/v1/jobs/{finished_job.uid}", headers={"Prefer": "wait=30"})

    assert response.json["state"] == "succeeded"
    assert time.monotonic() - started < 10


def test_long_poll_sees_a_job_that_is_deleted(
    api: Api, job: Job, set_state: SetState, url: str
) -> None:
    def delete() -> None:
        set_state(job, "cancelled")
        api("DELETE", url)

    change = threading.Timer(0.3, delete)
    change.start()
    statuses = {api("GET", url, headers={"Prefer": "wait=30"}).status_code}
    change.join()

    assert statuses <= {200, 404}
    assert api("GET", url).status_code == 404
