"""Why a job is as it is: each situation has its sentence."""

from collections.abc import Callable
from typing import Any

import pytest

from imgq_cli.reasons import Surroundings, explain, root_of
from imgq_cli.shapes import Worker

MakeJob = Callable[..., Any]


def worker(job: str | None = None, root: str = "file:") -> Worker:
    return {
        "id": "w",
        "host": "h",
        "pid": 1,
        "device": "cpu",
        "state": "busy",
        "job": job,
        "images_per_second": None,
        "started_at": "2026-11-01T10:00:00Z",
        "seen_at": "2026-11-01T10:00:00Z",
        "roots": [root],
    }


def around(*workers: Worker, queue: bool = True, **errors: int) -> Surroundings:
    return Surroundings(workers, queue, errors)


@pytest.mark.parametrize(
    ("state", "surroundings", "words"),
    [
        ("queued", around(), "nobody can take it"),
        ("queued", around(worker(root="photos")), "No worker can read file:"),
        ("queued", around(worker(job="other")), "is busy (1)"),
        ("queued", around(worker()), "should start within seconds"),
        ("queued", around(worker(), queue=False), "The queue (Redis) does not answer"),
        ("running", around(), "it stands still"),
        ("running", around(worker()), "the next free one goes on"),
        ("running", around(worker(job="me")), "1 worker at it: h (cpu)."),
        ("running", around(worker(job="me")), "2 images/s and needs 0:00:01 more"),
        ("cancelling", around(worker(job="me")), "1 worker still to let go"),
        ("succeeded", around(), "every file has its row (4)"),
        ("succeeded", around(truncated=2), "2 pictures failed with truncated"),
        ("failed", around(), "The folder is gone."),
        ("cancelled", around(), "4 files had a result"),
    ],
)
def test_each_situation_has_its_sentence(
    make_job: MakeJob, state: str, surroundings: Surroundings, words: str
) -> None:
    problem = {"title": "Gone", "detail": "The folder is gone."} if state == "failed" else None
    job = make_job(state, id="me", error=problem)

    assert any(words in reason.text for reason in explain(job, surroundings))


def test_a_silent_queue_is_not_called_a_free_worker(make_job: MakeJob) -> None:
    said = explain(make_job("queued"), around(worker(), queue=False))

    assert len(said) == 1


@pytest.mark.parametrize(("uri", "root"), [("file:///a/b", "file:"), ("root:p/q/r", "p")])
def test_the_root_is_named_as_workers_name_it(make_job: MakeJob, uri: str, root: str) -> None:
    assert root_of(make_job(source={"uri": uri})) == root
