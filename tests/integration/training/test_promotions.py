"""The gate from the data directory to the alias: what is compared, and by a real trainer."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image
from sqlalchemy import Engine

from imgq_db.aliases import get_alias
from imgq_db.artifacts import read_artifact, store_artifact
from imgq_db.jobs import JobState, get_job
from imgq_db.models import (
    ModelVersion,
    NewVersion,
    Origin,
    get_version,
    insert_version,
)
from imgq_db.promotions import promote
from imgq_db.settings import Settings
from imgq_db.training.datasets import insert_dataset, read_snapshot
from imgq_db.training.keeping import keep_picture, kept_dataset
from imgq_db.training.unseen import unseen_pictures
from imgq_db.verifying import verify_job
from imgq_trainer.architectures import build_network
from imgq_trainer.artifacts import (
    Architecture,
    Model,
    Preprocessing,
    Weights,
    write_artifact,
)
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.loop import train

Example = tuple[str, str, int]  # name, split, cluster
Plant = Callable[..., ModelVersion]
TESTED: list[Example] = [("t0", "test", 0), ("t1", "test", 1), ("t2", "test", 2)]


#: Of the pictures that can be decoded; the others' bytes are their names.
PICTURES: dict[str, bytes] = {}


def digest_of(name: str) -> bytes:
    return PICTURES.get(name) or hashlib.sha256(name.encode()).digest()


@pytest.fixture
def plant(engine: Engine, settings: Settings) -> Plant:
    """Register a version that was trained on a dataset of these examples."""

    def make(
        examples: list[Example], parent: ModelVersion | None = None, new: NewVersion | None = None
    ) -> ModelVersion:
        rows: list[dict[str, object]] = [{"format": "imgq-dataset/1", "labels": ["jay", "wren"]}]
        rows += [
            {"path": name, "label": "jay", "split": split, "sha256": digest_of(name).hex(),
             "group": None, "cluster": cluster}
            for name, split, cluster in examples
        ]  # fmt: skip
        content = "".join(json.dumps(row) + "\n" for row in rows)
        digest = hashlib.sha256(content.encode()).hexdigest()
        folder = kept_dataset(settings, digest)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dataset.jsonl").write_text(content)
        (folder / "findings.json").write_text("{}")
        new = new or NewVersion(digest, "resnet18", ("jay", "wren"), {}, {})
        with engine.begin() as connection:
            insert_dataset(connection, read_snapshot(folder))
            origin = Origin("train", None, parent.id if parent else None, digest)
            version_id, _ = insert_version(connection, "birds", new, origin)
        return get_version(engine, version_id)

    return make


@pytest.fixture
def champion(plant: Plant, settings: Settings) -> ModelVersion:
    """A version whose test pictures t0, t1 and t2 were kept."""
    for name, _, _ in TESTED:
        keep_picture(settings, digest_of(name), name.encode())
    return plant([*TESTED, ("near t2", "test", 2), ("l0", "train", 3)])


def unseen(
    engine: Engine, settings: Settings, champion: ModelVersion, challenger: ModelVersion
) -> tuple[list[str], int]:
    found = unseen_pictures(engine, settings, champion, challenger)
    return [each.path for each in found.pictures], len(found.notes)


def test_what_the_challenger_learnt_from_is_left_out_with_all_that_looks_like_it(
    engine: Engine, settings: Settings, champion: ModelVersion, plant: Plant
) -> None:
    fresh = plant([("l0", "train", 0), ("l1", "train", 1)])
    assert unseen(engine, settings, champion, fresh) == (["t0", "t1", "t2"], 1)
    trained = plant([("t0", "train", 0), ("near t2", "val", 1)])
    assert unseen(engine, settings, champion, trained) == (["t1"], 1)
    like_it = plant([("t1", "test", 0), ("a copy of t1", "train", 0)])
    assert unseen(engine, settings, champion, like_it)[0] == ["t0", "t2"]
    heir = plant([("l7", "train", 0)], trained)
    assert unseen(engine, settings, champion, heir)[0] == ["t1"]


def test_nothing_is_proved_unseen_of_an_imported_model(
    engine: Engine, settings: Settings, champion: ModelVersion
) -> None:
    new = NewVersion("e" * 64, "resnet18", ("jay", "wren"), {}, {})
    with engine.begin() as connection:
        version_id, _ = insert_version(connection, "birds", new, Origin())
    imported = get_version(engine, version_id)
    assert unseen(engine, settings, champion, imported) == ([], 1)
    assert unseen(engine, settings, imported, champion) == ([], 1)


@pytest.fixture
def real(context: TrainerContext) -> TrainerContext:
    return replace(context, command=(sys.executable, "-m", "imgq_trainer"))


def test_a_challenger_that_learnt_the_test_pictures_is_refused_by_a_real_trainer(
    engine: Engine,
    settings: Settings,
    real: TrainerContext,
    champion: ModelVersion,
    plant: Plant,
    tmp_path: Path,
) -> None:
    artifacts = [_artifact(settings, tmp_path / note, note) for note in ("one", "two")]
    first = plant([*TESTED, ("x", "train", 9)], None, artifacts[0])
    second = plant([(name, "train", number) for name, _, number in TESTED], None, artifacts[1])
    promote(engine, first, "champion", force=False)
    job = promote(engine, second, "champion", force=False).job
    train(real)
    assert job is not None
    ended = get_job(engine, job)
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    alias = get_alias(engine, "birds", "champion")
    few, why = alias.history[0].reasons
    assert alias.version == first.version and few.startswith("Only 0 pictures")
    assert why == f"3 were seen by {second.ref} while it was trained."
    checks = verify_job(engine, job, settings=settings)
    assert [check.rule for check in checks if not check.holds] == []


def test_an_equal_challenger_becomes_champion_by_a_real_trainer(
    engine: Engine, settings: Settings, real: TrainerContext, plant: Plant, tmp_path: Path
) -> None:
    tested = [(_keep(settings, tmp_path, number), "test", number) for number in range(30)]
    one, two = (_artifact(settings, tmp_path / note, note) for note in ("one", "two"))
    first = plant(tested, None, one)
    second = plant([("l0", "train", 0)], None, two)
    promote(engine, first, "champion", force=False)
    promote(engine, second, "champion", force=False)
    train(real)
    alias = get_alias(engine, "birds", "champion")
    assert (alias.version, alias.history[0].decision) == (second.version, "passed")
    assert alias.history[0].counts and alias.history[0].counts["pictures"] == 30


def _keep(settings: Settings, folder: Path, number: int) -> str:
    """Keep a picture as a test picture; its name stands for its bytes."""
    path = folder / f"{number}.png"
    Image.new("RGB", (32, 32), (number, 99, 255 - number)).save(path)
    content = path.read_bytes()
    keep_picture(settings, hashlib.sha256(content).digest(), content)
    PICTURES[path.name] = hashlib.sha256(content).digest()
    return path.name


def _artifact(settings: Settings, folder: Path, note: str) -> NewVersion:
    """Store the same small network under another digest for each note."""
    torch.manual_seed(1)
    architecture = Architecture("imgq", "small_cnn", {"width": 8, "blocks": 0})
    weights = safetensors.torch.save(build_network(architecture, 2).state_dict())
    file = Weights("weights.safetensors", hashlib.sha256(weights).hexdigest())
    how = Preprocessing(32, 32, "bilinear", (0.5,) * 3, (0.25,) * 3, "squash")
    labels = ("jay", "wren")
    model = Model("imgq-model/1", architecture, labels, how, file, 1.0, {}, {"note": note})
    write_artifact(folder, model, weights)
    new = read_artifact(folder)
    store_artifact(settings, folder, new.digest)
    return new
