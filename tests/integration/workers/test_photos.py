"""Real photographs through the real model."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.jobs import Job, JobState, get_job
from imgq_db.verifying import verify_job

CATS = {"tabby", "tiger cat", "Egyptian cat"}


@pytest.fixture
def models() -> None:
    """The real models."""


def test_the_six_photos_get_their_labels(
    engine: Engine,
    submit: Callable[..., Job],
    ring: Callable[[str], None],
    photos: Path,
    outcomes: Callable[[Job], dict[str, str]],
) -> None:
    job = submit(photos, precision="exact")
    ring("list")
    labels = outcomes(job)
    assert labels.pop("chelsea.jpg") in CATS
    assert labels == {
        "astronaut.jpg": "football helmet",
        "china.jpg": "palace",
        "coffee.jpg": "espresso",
        "flower.jpg": "daisy",
        "rocket.jpg": "missile",
    }
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.total, ended.progress.ok) == (JobState.SUCCEEDED, 6, 6)
    assert all(check.holds for check in verify_job(engine, job.uid))
