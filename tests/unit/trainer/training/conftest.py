"""Small labelled folders, and what trains on them in seconds."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from imgq_trainer.architectures import build_network
from imgq_trainer.artifacts import (
    Architecture,
    Artifact,
    Model,
    Preprocessing,
    Weights,
    write_artifact,
)
from imgq_trainer.crew import Crew
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.training.checkpoints import Checkpoint, Keeper
from imgq_trainer.training.config import CheckpointKnobs, NetworkKnobs
from imgq_trainer.training.courses import Course, Sample
from imgq_trainer.training.events import Events, Stage
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.machine import Machine
from imgq_trainer.training.pictures import StoredPictures
from imgq_trainer.training.spec import TrainSpec
from imgq_trainer.training.starting import small_start
from imgq_trainer.training.weighing import decide_balance

HOW = Preprocessing(16, 16, "bilinear", (0.5,) * 3, (0.25,) * 3, "squash")
LABELS = ("blue", "green", "red")
KNOBS = NetworkKnobs(
    epochs=3, batch_size=8, learning_rate=0.01, layer_decay=1.0, patience=0, augment="light"
)


def coloured(label: int, number: int, side: int = 32) -> Pixels:
    """Return noise that is a little stronger in one channel: red, green or blue."""
    draw = np.random.default_rng((label, number))
    noise = draw.integers(0, 180, (side, side, 3))
    noise[:, :, 2 - label] += 60
    return noise.astype(np.uint8)


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes with 14 pictures each, 32 x 32; not to be changed."""
    root = tmp_path_factory.mktemp("colours")
    for label, name in enumerate(LABELS):
        (root / name).mkdir()
        for number in range(14):
            Image.fromarray(coloured(label, number)).save(root / name / f"{number:02d}.png")
    return root


@pytest.fixture
def folder(colours: Path, tmp_path: Path) -> Path:
    """The same pictures, for one test alone."""
    return Path(shutil.copytree(colours, tmp_path / "pictures"))


@pytest.fixture
def own_model(tmp_path: Path) -> Artifact:
    """A model of ours, with weights that nobody trained."""
    torch.manual_seed(1)
    architecture = Architecture("imgq", "small_cnn", {"width": 8, "blocks": 0})
    weights = safetensors.torch.save(build_network(architecture, 2).state_dict())
    file = Weights("weights.safetensors", hashlib.sha256(weights).hexdigest())
    how = replace(HOW, resize=32, crop=32)
    model = Model("imgq-model/1", architecture, ("a", "b"), how, file, 1.0, {}, {})
    return write_artifact(tmp_path / "own", model, weights)


SpecOf = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def plain_spec() -> SpecOf:
    """Return a specification of a training of `small_cnn`; root and work_dir are to be added."""

    def spec(**changes: Any) -> dict[str, Any]:
        small = {"width": 8, "blocks": 0, "batch_size": 8, "learning_rate": 0.01}
        plain: dict[str, Any] = {
            "kind": "train",
            "name": "colours",
            "init": "scratch",
            "epochs": 4,
            "threads": 1,
            "max_pixels": 10**6,
            "max_file_bytes": 10**6,
            "config": {"scratch": small, "checkpoints": {"epoch_seconds": 0.0}},
        }
        return plain | changes

    return spec


@pytest.fixture
def spec_of(plain_spec: SpecOf, colours: Path, tmp_path: Path) -> SpecOf:
    """Return a specification of a training in this test's folder, and what is changed of it."""
    places = {"root": str(colours), "work_dir": str(tmp_path / "work")}
    return lambda **changes: plain_spec(**(places | changes))


@pytest.fixture
def parsed(spec_of: SpecOf) -> Callable[..., TrainSpec]:
    return lambda **changes: TrainSpec.model_validate_json(json.dumps(spec_of(**changes)))


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew(2) as crew:
        yield crew


@pytest.fixture
def said() -> io.StringIO:
    """What the events of `loop` are written to."""
    return io.StringIO()


LoopOf = Callable[..., Loop]


@pytest.fixture
def loop_of(tmp_path: Path, said: io.StringIO) -> LoopOf:
    """Return a loop on one thread that goes on from a checkpoint, and stops when told to."""

    def loop(before: Checkpoint | None = None, stop: Callable[[], bool] = lambda: False) -> Loop:
        machine = Machine(torch.device("cpu"), 1, stop)
        events = Events(said)
        keeper = Keeper(tmp_path / "checkpoints", before or Checkpoint("this"), events)
        return Loop(machine, keeper, events, CheckpointKnobs(epoch_seconds=0.0))

    return loop


CourseOf = Callable[..., Course]


@pytest.fixture
def course_of() -> CourseOf:
    """Return a course of `small_cnn` on 32 pictures, and what is changed of it."""
    truth = np.arange(32) % 3
    pixels = np.stack([coloured(int(label), n, 16) for n, label in enumerate(truth)])
    pictures = StoredPictures(HOW, pixels)

    def course(knobs: NetworkKnobs = KNOBS, **changes: Any) -> Course:
        train, val = np.arange(24), np.arange(24, 32)
        plain = Course(
            name="scratch-0",
            stage=Stage.SCRATCH,
            run=1,
            runs=1,
            begin=lambda: small_start(16, 8, 0).build(3),
            classes=3,
            knobs=knobs,
            train=Sample(pictures, train, truth[train]),
            val=Sample(pictures, val, truth[val]),
            balance=decide_balance("none", [8, 8, 8], truth[train], 1.0),
            epochs=knobs.epochs,
            stop_after=knobs.epochs,
            seed=5,
        )
        return replace(plain, **changes)

    return course
