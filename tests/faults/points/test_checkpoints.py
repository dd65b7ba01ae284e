"""The trainer dies at each step of writing a checkpoint: the next goes on from the one before."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Engine

from imgq_db.jobs import Job, JobKind, JobState, NewJob, create_job, get_job
from imgq_db.models import get_model
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_db.train_options import TrainOptions
from imgq_db.training.progress import list_epochs
from imgq_workers.training.loop import train

from .dying_trainer import DEATHS
from .standing_by import make_supervisor

DYING = Path(__file__).with_name("dying_trainer.py")
EPOCHS = 5
SMALL = {"width": 8, "blocks": 0, "batch_size": 8, "learning_rate": 0.01}
#: A checkpoint after each epoch.
KNOBS = {"scratch": SMALL, "refit": "no", "checkpoints": {"epoch_seconds": 0.0}}


@pytest.fixture
def training(engine: Engine, settings: Settings, tmp_path: Path) -> Job:
    """A few small pictures to train a small network on, from nothing."""
    for label, colour in (("jay", (40, 80, 200)), ("wren", (150, 90, 40))):
        (tmp_path / "birds" / label).mkdir(parents=True)
        for number in range(12):
            picture = Image.new("RGB", (32, 32), colour)
            picture.paste((number * 12, 255, 9), (number, 2, 6 + number, 30 - number))
            picture.save(tmp_path / "birds" / label / f"{number:02}.png")
    options = TrainOptions("birds", init="scratch", epochs=EPOCHS, image_size=32, config=KNOBS)
    source = folder_uri(tmp_path / "birds")
    return create_job(engine, settings, NewJob(source, options=options, kind=JobKind.TRAIN))


@pytest.mark.timeout(300)
def test_a_trainer_that_dies_while_it_writes_a_checkpoint_goes_on_from_the_one_before(
    engine: Engine,
    settings: Settings,
    training: Job,
    tmp_path: Path,
    broken_rules: Callable[[Job], list[str]],
) -> None:
    command = (sys.executable, str(DYING), str(tmp_path))
    supervisor = replace(make_supervisor(engine, settings), command=command)
    while get_job(engine, training.uid).state in (JobState.QUEUED, JobState.RUNNING):
        train(supervisor)
    before = [f"{number - 1:06d}" for number in DEATHS]
    assert (tmp_path / "resumed").read_text().split() == ["nothing", *before]
    ended = get_job(engine, training.uid)
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    assert [each.epoch for each in list_epochs(engine, training.id)] == [*range(1, EPOCHS + 1)]
    assert [version.job for version in get_model(engine, "birds")] == [training.uid]
    assert broken_rules(training) == []
