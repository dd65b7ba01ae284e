import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from imgq_api.rendering import job_body
from imgq_api.replies import AgreementBody
from imgq_db.jobs import Job, JobKind, JobState, Priority, Progress
from imgq_db.options import ClassifyOptions
from imgq_db.quantisations import Agreement


def int8_job(agreement: Agreement | None) -> Job:
    return Job(
        id=1,
        uid=uuid.UUID(int=1),
        kind=JobKind.CLASSIFY,
        state=JobState.RUNNING,
        name=None,
        source="file:///pictures",
        root="file:",
        model_version_id=1,
        model="birds:1",
        precision="int8",
        options=ClassifyOptions(precision="int8"),
        tags={},
        priority=Priority.NORMAL,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        started_at=None,
        finished_at=None,
        progress=Progress(total=2, ok=2, failed=0, skipped=0, cached=0, images_per_second=None),
        error=None,
        retry_of=None,
        agreement=agreement,
    )


def test_a_job_carries_its_agreement() -> None:
    body = job_body(int8_job(Agreement(256, 251, 93, 93, 0.02)), ahead=None)
    expected = AgreementBody(pictures=256, same=251, sure=93, same_sure=93, score_difference=0.02)
    assert (body.agreement, body.notice) == (expected, None)


@pytest.mark.parametrize("agreement", [None, Agreement(0, 0, 0, 0, None)])
def test_where_nothing_was_compared_nobody_is_warned(agreement: Agreement | None) -> None:
    assert job_body(int8_job(agreement), ahead=None).notice is None


def test_an_int8_job_without_a_label_says_what_it_may_be_at() -> None:
    running = replace(int8_job(None), progress=Progress(2, 0, 0, 0, 0, None))
    ended = replace(running, state=JobState.CANCELLED)
    others = [ended, replace(running, precision="exact"), replace(running, kind=JobKind.EVALUATE)]
    assert [job_body(job, ahead=None).notice for job in others] == [None] * 3
    assert str(job_body(running, ahead=None).notice).startswith("A model's first int8 job measures")


def test_labels_that_int8_changes_are_warned_of_unless_there_is_worse_to_tell() -> None:
    job = int8_job(Agreement(256, 240, 150, 148, 0.05))
    assert job_body(job, ahead=None).notice == (
        "Of 150 labels compared that exact arithmetic is sure of, int8 changes 2:"
        " --precision auto keeps them."
    )
    assert job_body(job, ahead=None, notice="The queue is down.").notice == "The queue is down."
