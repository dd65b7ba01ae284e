"""Jobs that are counted beside all other work, however long that takes."""

from threading import Event
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy.exc import OperationalError

from imgq_workers import counting
from imgq_workers.counting import Counting

ENGINE: Any = None
JOB = UUID(int=7)


def test_a_job_that_takes_long_is_counted_later_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over, counted = Event(), list[int]()

    def close(_: object, job_id: int) -> bool:
        assert over.wait(30)
        counted.append(job_id)
        return True

    monkeypatch.setattr(counting, "close_job", close)
    jobs = Counting()
    for job_id in (1, 2):
        jobs.add(ENGINE, job_id, JOB)
    assert not jobs.await_all(timeout_seconds=0)
    over.set()
    assert jobs.await_all(timeout_seconds=30)
    assert counted == [1, 2]


def test_counters_are_stored_of_a_job_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = list[int]()
    monkeypatch.setattr(counting, "close_job", lambda _, job_id: job_id == 1)
    monkeypatch.setattr(counting, "store_counters", lambda _, job_id: stored.append(job_id))
    jobs = Counting()
    for job_id in (1, 2):
        jobs.add(ENGINE, job_id, JOB)
    assert jobs.await_all(timeout_seconds=30)
    assert stored == [2]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (OperationalError("SELECT 1", {}, ConnectionError("away")), "warning"),
        (ValueError("no such option"), "error"),
    ],
)
def test_what_goes_wrong_is_logged_and_the_next_job_is_counted(
    monkeypatch: pytest.MonkeyPatch, error: Exception, level: str
) -> None:
    counted = list[int]()

    def close(_: object, job_id: int) -> bool:
        if job_id == 1:
            raise error
        counted.append(job_id)
        return True

    monkeypatch.setattr(counting, "close_job", close)
    jobs = Counting()
    with structlog.testing.capture_logs() as logs:
        for job_id in (1, 2):
            jobs.add(ENGINE, job_id, JOB)
        assert jobs.await_all(timeout_seconds=30)
    assert counted == [2]
    assert [(log["event"], log["log_level"]) for log in logs] == [("chunk_not_counted", level)]
