"""Accepting, finding and listing jobs."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.errors import (
    CursorInvalid,
    JobNotFound,
    ModelNotFound,
    OptionInvalid,
    SourceInvalid,
    SourceNotAllowed,
)
from imgq_db.jobs import (
    Job,
    JobKind,
    JobState,
    Priority,
    Progress,
    get_job,
    list_jobs,
)
from imgq_db.options import ClassifyOptions
from imgq_db.pages import write_cursor

Jobs = Callable[..., Job]
Count = Callable[[str], int]


def test_an_accepted_job_is_all_that_was_asked(engine: Engine, make_job: Jobs) -> None:
    options = ClassifyOptions(include=("*.jpg",), top_k=2, min_confidence=0.5)
    tags = {"a": "1", "ü": "\n'\""}
    job = make_job(name="a\\b'", tags=tags, priority=Priority.HIGH, options=options, key_id=3)
    assert job == Job(
        id=job.id,
        uid=job.uid,
        kind=JobKind.CLASSIFY,
        state=JobState.QUEUED,
        name="a\\b'",
        source="file:///photos",
        root="file:",
        model_version_id=job.model_version_id,
        model="imagenet:1",
        precision="auto",
        options=options,
        tags=tags,
        priority=Priority.HIGH,
        created_at=job.created_at,
        started_at=None,
        finished_at=None,
        progress=Progress(None, 0, 0, 0, 0, None),
        error=None,
        retry_of=None,
    )
    assert get_job(engine, job.uid) == job


def test_ids_sort_by_time(make_job: Jobs) -> None:
    uids = [make_job().uid for _ in range(20)]
    assert uids == sorted(uids)
    assert {uid.version for uid in uids} == {7}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"source": "/photos"}, SourceInvalid),
        ({"source": "root:scans/a"}, SourceNotAllowed),
        ({"model": "birds"}, ModelNotFound),
        ({"model": "imagenet:2"}, ModelNotFound),
        ({"options": ClassifyOptions(precision="int4")}, OptionInvalid),
    ],
)
def test_a_refused_job_leaves_no_row(
    asked: dict[str, object], error: type[Exception], make_job: Jobs, count: Count
) -> None:
    with pytest.raises(error):
        make_job(**asked)
    assert count("job") == 0


def test_an_unknown_job_is_not_found(engine: Engine) -> None:
    with pytest.raises(JobNotFound):
        get_job(engine, uuid4())


@pytest.mark.parametrize("limit", range(1, 7))
def test_jobs_are_paged_newest_first(limit: int, engine: Engine, make_job: Jobs) -> None:
    jobs = [make_job() for _ in range(5)]
    found: list[Job] = []
    page = list_jobs(engine, limit=limit)
    while page.next_cursor:
        found += page.items
        make_job()  # newer ones do not disturb
        page = list_jobs(engine, limit=limit, cursor=page.next_cursor)
    assert [*found, *page.items] == jobs[::-1]


def test_jobs_are_found_by_state_kind_and_tags(engine: Engine, make_job: Jobs) -> None:
    one, two = make_job(tags={"a": "1", "b": "2"}), make_job(tags={"a": "1"})
    ended = cancel_job(engine, make_job(tags={"a": "2"}).uid)
    queries: list[tuple[dict[str, object], tuple[Job, ...]]] = [
        ({}, (ended, two, one)),
        ({"kind": JobKind.CLASSIFY}, (ended, two, one)),
        ({"states": [JobState.QUEUED]}, (two, one)),
        ({"states": [JobState.CANCELLED, JobState.FAILED]}, (ended,)),
        ({"tags": {"a": "1"}}, (two, one)),
        ({"tags": {"a": "1", "b": "2"}}, (one,)),
        ({"tags": {"a": "1"}, "states": [JobState.CANCELLED]}, ()),
    ]
    for query, found in queries:
        assert list_jobs(engine, **query).items == found  # type: ignore[arg-type]


@pytest.mark.parametrize("cursor", ["x", write_cursor("a"), write_cursor(1, 2), write_cursor(2.0)])
def test_a_cursor_of_another_list_is_refused(cursor: str, engine: Engine) -> None:
    with pytest.raises(CursorInvalid):
        list_jobs(engine, cursor=cursor)


@pytest.mark.parametrize(
    ("progress", "fraction", "eta_seconds"),
    [
        (Progress(None, 5, 0, 0, 0, 10.0), None, None),
        (Progress(0, 0, 0, 0, 0, None), 1.0, None),
        (Progress(10, 3, 1, 1, 0, 2.5), 0.5, 2.0),
        (Progress(10, 3, 1, 1, 0, 0.0), 0.5, None),
        (Progress(10, 10, 0, 0, 0, 2.5), 1.0, None),
    ],
)
def test_progress_tells_its_share_and_the_time_left(
    progress: Progress, fraction: float | None, eta_seconds: float | None
) -> None:
    assert (progress.fraction, progress.eta_seconds) == (fraction, eta_seconds)
