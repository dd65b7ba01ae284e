"""Why a job is as it is: each situation has its sentence."""

from collections.abc import Callable
from typing import Any

import pytest

from imgq_cli.reasons import Surroundings, explain, root_of
from imgq_cli.shapes import Worker

MakeJob = Callable[..., Any]


def worker(
    job: str | None = None, root: str = "file:", precisions: list[str] | None = None
) -> Worker:
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
        "precisions": precisions,
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
        ("queued", around(worker(), queue=False), "does not answer, or it refuses"),
        ("running", around(), "it stands still"),
        ("running", around(worker()), "the next free one goes on"),
        ("running", around(worker(job="me")), "1 worker at it: h (cpu)."),
        ("running", around(worker(job="me")), "2 images/s and needs 0:00:01 more"),
        ("running", around(worker(precisions=["bf16"])), "that is there computes exact: it waits"),
        ("running", around(worker(root="photos")), "No worker can read file:"),
        ("queued", around(worker(precisions=[])), "No worker that is there computes exact"),
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


def test_a_job_that_needs_int8_says_what_computes_it(make_job: MakeJob) -> None:
    job = make_job("running", id="me", precision="int8", images_per_second=None)

    (_, reason) = explain(job, around(worker(precisions=["exact"]), queue=False))

    assert reason.text.startswith("No worker that is there computes int8: that takes a CPU")
    assert reason.hint == "submit it again with --precision auto"


@pytest.mark.parametrize(
    ("workers", "told"), [((worker(),), True), ((), False), ((worker(precisions=[]),), False)]
)
def test_the_servers_word_is_told_where_somebody_could_take_the_job(
    make_job: MakeJob, workers: tuple[Worker, ...], told: bool
) -> None:
    job = make_job("queued", notice="h:1 failed at a part of it, once.")

    said = [reason.text for reason in explain(job, around(*workers))]

    assert ("h:1 failed at a part of it, once." in said) is told
    assert "A worker is free; it should start within seconds." not in said


def test_a_silent_queue_is_not_called_a_free_worker(make_job: MakeJob) -> None:
    said = explain(make_job("queued"), around(worker(), queue=False))

    assert len(said) == 1


@pytest.mark.parametrize(("uri", "root"), [("file:///a/b", "file:"), ("root:p/q/r", "p")])
def test_the_root_is_named_as_workers_name_it(make_job: MakeJob, uri: str, root: str) -> None:
    assert root_of(make_job(source={"uri": uri})) == root
