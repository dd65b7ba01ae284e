"""A supervisor of trainings dies at each of its commits: the next one goes on and ends it once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.jobs import Job, JobKind, JobState, NewJob, create_job, get_job
from imgq_db.models import get_model
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_db.train_options import TrainOptions
from imgq_db.training.attempts import expire_trainings
from imgq_db.training.progress import list_epochs
from imgq_workers.training.loop import train

from .conftest import until
from .standing_by import make_supervisor


@pytest.fixture
def training(engine: Engine, settings: Settings, tmp_path: Path) -> Job:
    """A labelled folder to train on for three epochs; nobody looks at the pictures."""
    for label in ("jay", "wren"):
        (tmp_path / "birds" / label).mkdir(parents=True)
        for number in range(2):
            file = tmp_path / "birds" / label / f"{number}.jpg"
            file.write_bytes(f"{label} {number}".encode())
    options = TrainOptions("birds", config={"epochs": 3})
    source = folder_uri(tmp_path / "birds")
    return create_job(engine, settings, NewJob(source, options=options, kind=JobKind.TRAIN))


@pytest.mark.parametrize(
    "fault", ["checkpoint.before_row", "checkpoint.before_row@nth=3", "register.before_commit"]
)
def test_a_training_whose_supervisor_died_counts_its_epochs_and_registers_its_version_once(
    engine: Engine,
    settings: Settings,
    training: Job,
    move_clock: Callable[[float], None],
    die_at: Callable[..., None],
    broken_rules: Callable[[Job], list[str]],
    count: Callable[[str], int],
    fault: str,
) -> None:
    die_at(fault, "train")
    assert count("model_version WHERE source = 'train'") == 0
    assert get_job(engine, training.uid).state is JobState.RUNNING and broken_rules(training) == []
    move_clock(settings.train_lease_seconds + 1)
    until(lambda: expire_trainings(engine, idle_attempts=3) == 1)
    train(make_supervisor(engine, settings))
    assert get_job(engine, training.uid).state is JobState.SUCCEEDED
    assert [each.epoch for each in list_epochs(engine, training.id)] == [1, 2, 3]
    assert [version.job for version in get_model(engine, "birds")] == [training.uid]
    assert broken_rules(training) == []
