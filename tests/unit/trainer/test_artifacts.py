import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imgq_trainer.artifacts import (
    Architecture,
    Model,
    Preprocessing,
    Weights,
    load_artifact,
    write_artifact,
)
from imgq_trainer.errors import ArtifactExists, ArtifactInvalid

WEIGHTS = b"not really weights"


def make_model(*labels: str) -> Model:
    return Model(
        format="imgq-model/1",
        architecture=Architecture("timm", "test_resnet", {"drop_rate": 0.5}),
        labels=labels or ("cat", "dog"),
        preprocessing=Preprocessing(256, 224, "bicubic", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        weights=Weights("weights.safetensors", hashlib.sha256(WEIGHTS).hexdigest()),
        temperature=1.5,
        metrics={"macro_f1": 0.75},
        provenance={"title": "a test"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "birds"


def test_a_written_model_is_read_back_whole(folder: Path) -> None:
    written = write_artifact(folder, make_model(), WEIGHTS)

    assert load_artifact(folder) == written
    assert (written.model, written.read_weights()) == (make_model(), WEIGHTS)


def test_the_digest_is_that_of_model_json(folder: Path) -> None:
    written = write_artifact(folder, make_model(), WEIGHTS)

    assert written.digest == hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()


def test_writing_the_same_model_again_changes_nothing(folder: Path) -> None:
    first = write_artifact(folder, make_model(), WEIGHTS)

    assert write_artifact(folder, make_model(), WEIGHTS) == first
    assert [path.name for path in folder.parent.iterdir()] == ["birds"]


def test_another_model_never_takes_a_models_place(folder: Path) -> None:
    write_artifact(folder, make_model(), WEIGHTS)

    with pytest.raises(ArtifactExists):
        write_artifact(folder, make_model("other"), WEIGHTS)
    assert load_artifact(folder).model == make_model()
    assert [path.name for path in folder.parent.iterdir()] == ["birds"]


@pytest.mark.parametrize("left", ["nothing", "weights only", "half the weights"])
def test_a_half_written_folder_is_replaced(folder: Path, left: str) -> None:
    folder.mkdir(parents=True)
    if left != "nothing":
        (folder / "weights.safetensors").write_bytes(WEIGHTS[:9])
    if left == "half the weights":
        (folder / "model.json").write_text("{}")

    write_artifact(folder, make_model(), WEIGHTS)

    assert load_artifact(folder).read_weights() == WEIGHTS
    assert [path.name for path in folder.parent.iterdir()] == ["birds"]


def test_threads_that_write_the_same_model_at_once_all_succeed(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("half a mod")

    with ThreadPoolExecutor(8) as pool:
        written = set(
            pool.map(lambda _: write_artifact(folder, make_model(), WEIGHTS).digest, "8" * 8)
        )

    assert written == {load_artifact(folder).digest}
    assert [path.name for path in folder.parent.iterdir()] == ["birds"]


def test_processes_that_write_the_same_model_at_once_all_succeed(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from imgq_trainer.artifacts import *\n"
        "import pydantic; source, folder = map(Path, sys.argv[1:])\n"
        "model = load_artifact(source).model; sys.stdin.read(1)\n"
        "print(write_artifact(folder, model, (source / 'weights.safetensors').read_bytes()).digest)"
    )
    source = write_artifact(folder.with_name("source"), make_model(), WEIGHTS)
    command = [sys.executable, "-c", program, str(source.folder), str(folder)]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    printed = [writer.communicate("x")[0].strip() for writer in writers]

    assert printed == [source.digest] * 3
    assert sorted(path.name for path in folder.parent.iterdir()) == ["birds", "source"]


def test_altered_weights_are_found(folder: Path) -> None:
    write_artifact(folder, make_model(), WEIGHTS)
    (folder / "weights.safetensors").write_bytes(WEIGHTS[:-1] + b"S")

    with pytest.raises(ArtifactInvalid, match="is not the file that"):
        load_artifact(folder)


def test_a_missing_folder_is_told(folder: Path) -> None:
    with pytest.raises(ArtifactInvalid, match=r"model\.json: No such file"):
        load_artifact(folder)


Edit = Callable[[dict[str, Any]], object]
FAULTS: list[tuple[str, Edit]] = [
    ("format", lambda m: m.update(format="imgq-model/2")),
    ("extra", lambda m: m.update(extra=1)),
    ("labels", lambda m: m.pop("labels")),
    ("labels", lambda m: m.update(labels=[])),
    ("labels/0", lambda m: m.update(labels=[7])),
    ("two labels are the same", lambda m: m.update(labels=["cat", "cat"])),
    ("temperature", lambda m: m.update(temperature=0)),
    ("temperature", lambda m: m.update(temperature=float("nan"))),
    ("temperature", lambda m: m.update(temperature="1.0")),
    ("architecture/library", lambda m: m["architecture"].update(library="pickle")),
    ("architecture/name", lambda m: m["architecture"].update(name="hf-hub:a/b")),
    ("crop is larger", lambda m: m["preprocessing"].update(crop=300)),
    ("preprocessing/resize", lambda m: m["preprocessing"].update(resize=True)),
    ("preprocessing/std/0", lambda m: m["preprocessing"].update(std=[0, 1, 1])),
    ("preprocessing/mean", lambda m: m["preprocessing"].update(mean=[0.5, 0.5])),
    ("preprocessing/interpolation", lambda m: m["preprocessing"].update(interpolation="box")),
    ("weights/file", lambda m: m["weights"].update(file="../../etc/passwd")),
    ("weights/sha256", lambda m: m["weights"].update(sha256="abc")),
]


@pytest.mark.parametrize(("place", "edit"), FAULTS)
def test_a_malformed_model_file_is_refused_and_the_place_named(
    folder: Path, place: str, edit: Edit
) -> None:
    write_artifact(folder, make_model(), WEIGHTS)
    content = json.loads((folder / "model.json").read_text())
    edit(content)
    (folder / "model.json").write_text(json.dumps(content))

    with pytest.raises(ArtifactInvalid, match=place):
        load_artifact(folder)


def test_a_model_file_that_is_no_json_is_refused(folder: Path) -> None:
    write_artifact(folder, make_model(), WEIGHTS)
    (folder / "model.json").write_bytes(b"\xff{")

    with pytest.raises(ArtifactInvalid, match=r"model\.json"):
        load_artifact(folder)
