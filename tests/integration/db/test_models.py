"""The registry: names, immutable versions, aliases, and artifacts that cannot lie."""

import hashlib
import json
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from imgq_db.artifacts import artifact_folder, import_artifact, read_artifact, store_artifact
from imgq_db.errors import ArtifactInvalid, ModelExists, ModelNotFound
from imgq_db.models import (
    NewVersion,
    complete_builtin,
    get_model,
    get_version,
    list_models,
    register_version,
    resolve_model,
)
from imgq_db.settings import Settings

Make = Callable[..., Path]
PREPROCESSING = {
    "resize": 256,
    "crop": 224,
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "fit": "crop",
}
NEW = NewVersion("0" * 64, "resnet18", ("a", "b"), PREPROCESSING, {"accuracy": 0.5})


def safetensors_bytes(value: float) -> bytes:
    header = {"head.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<ff", value, value)


@pytest.fixture
def make_artifact(tmp_path: Path) -> Make:
    """Write an artifact folder; `change` edits what model.json says."""

    def make(name: str = "artifact", value: float = 1.0, **change: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        weights = safetensors_bytes(value)
        (folder / "weights.safetensors").write_bytes(weights)
        document: dict[str, Any] = {
            "format": "imgq-model/1",
            "architecture": {"library": "timm", "name": "resnet18", "arguments": {}},
            "labels": ["a", "b"],
            "preprocessing": PREPROCESSING,
            "weights": {
                "file": "weights.safetensors",
                "sha256": hashlib.sha256(weights).hexdigest(),
            },
            "temperature": 1.0,
            "metrics": {"accuracy": 0.5},
            "provenance": {},
            **change,
        }
        (folder / "model.json").write_text(json.dumps(document))
        return folder

    return make


def test_references_mean_a_version_an_alias_or_the_champion(
    engine: Engine, execute: Callable[[str], None]
) -> None:
    one = register_version(engine, "birds", NEW)
    two = register_version(engine, "birds", replace(NEW, digest="1" * 64))
    assert (one.ref, two.ref) == ("birds:1", "birds:2")
    assert resolve_model(engine, "birds").id == two.id
    execute(
        "INSERT INTO model_alias (model_id, alias, version) SELECT id, 'champion', 1 FROM model"
        " WHERE name = 'birds'"
    )
    refs = ("birds", "birds@champion", "birds:1", "birds:2", "birds:002")
    assert [resolve_model(engine, ref).version for ref in refs] == [1, 1, 1, 2, 2]
    assert resolve_model(engine, "birds").aliases == ("champion",)


def test_a_plain_name_passes_over_a_version_that_failed(engine: Engine) -> None:
    failed = {"standing": "failed"}
    register_version(engine, "fish", replace(NEW, metrics=failed))
    assert resolve_model(engine, "fish").ref == "fish:1"
    register_version(engine, "fish", replace(NEW, digest="1" * 64, metrics={"standing": "weak"}))
    register_version(engine, "fish", replace(NEW, digest="2" * 64, metrics=failed))
    assert resolve_model(engine, "fish").ref == "fish:2"
    assert resolve_model(engine, "fish:3").standing == "failed"


@pytest.mark.parametrize(
    "ref",
    ["", "fish", "imagenet:2", "imagenet:0", "imagenet@champion", "imagenet:", "imagenet@", ":1",
     "imagenet:1@x", "imagenet:-1", "imagenet:1.0", "imagenet:9999999999", "IMAGENET", "imagenet\n",
     "imagenet\0", "\ud800", "imagenet@\0"],
)  # fmt: skip
def test_a_reference_to_nothing_is_not_found(ref: str, engine: Engine) -> None:
    with pytest.raises(ModelNotFound):
        resolve_model(engine, ref)


def test_an_imported_artifact_is_a_version_with_its_files(
    engine: Engine, settings: Settings, make_artifact: Make
) -> None:
    folder = make_artifact()
    (folder / "notes.txt").write_text("not part of it")
    version = import_artifact(engine, settings, "birds", folder)
    digest = hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
    assert (version.ref, version.digest, version.labels) == ("birds:1", digest, ("a", "b"))
    assert (version.architecture, version.source) == ("resnet18", "import")
    assert (version.preprocessing, version.metrics) == (PREPROCESSING, {"accuracy": 0.5})
    stored = artifact_folder(settings, digest)
    assert sorted(path.name for path in stored.iterdir()) == ["model.json", "weights.safetensors"]
    assert read_artifact(stored) == read_artifact(folder)
    assert get_version(engine, version.id) == version


def test_the_same_artifact_again_is_the_same_version(
    engine: Engine, settings: Settings, make_artifact: Make
) -> None:
    folder = make_artifact()
    first = import_artifact(engine, settings, "birds", folder)
    assert import_artifact(engine, settings, "birds", folder) == first
    other = import_artifact(engine, settings, "fish", folder)
    assert (other.ref, other.digest) == ("fish:1", first.digest)
    second = import_artifact(engine, settings, "birds", make_artifact("second", 2.0))
    assert second.ref == "birds:2"
    assert [v.ref for v in list_models(engine)] == ["birds:2", "birds:1", "fish:1", "imagenet:1"]


def test_importing_a_damaged_versions_files_again_mends_them(
    engine: Engine, settings: Settings, make_artifact: Make
) -> None:
    folder = make_artifact()
    version = import_artifact(engine, settings, "birds", folder)
    assert version.digest is not None
    stored = artifact_folder(settings, version.digest)
    (stored / "weights.safetensors").write_bytes(b"cut short")
    assert import_artifact(engine, settings, "birds", folder) == version
    assert read_artifact(stored).digest == version.digest
    assert [path.name for path in stored.parent.iterdir()] == [version.digest]


@pytest.mark.parametrize(
    "change",
    [
        {"format": "imgq-model/2"},
        {"format": None},
        {"architecture": {"library": "timm"}},
        {"architecture": "resnet18"},
        {"labels": []},
        {"labels": "ab"},
        {"labels": None},
        {"labels": [1, 2]},
        {"labels": ["a", None]},
        {"labels": ["a", "b\0"]},
        {"labels": ["a", "\ud800"]},
        {"labels": ["a", "a"]},
        {"labels": {"a": 1}},
        {"labels": ["a", "b", "c"]},
        {"architecture": {"library": "timm", "name": "r", "arguments": {"pretrained": True}}},
        {"temperature": None},
        {"temperature": 0},
        {"preprocessing": {}},
        {"preprocessing": {**PREPROCESSING, "crop": 300}},
        {"preprocessing": [1]},
        {"preprocessing": {"mean": float("nan")}},
        {"metrics": {"loss": float("inf")}},
        {"metrics": {"\0": 1}},
        {"metrics": None},
        {"weights": None},
        {"weights": {"file": "weights.safetensors"}},
        {"weights": {"file": "weights.safetensors", "sha256": "0" * 64}},
        {"weights": {"file": "../artifact/weights.safetensors", "sha256": ""}},
        {"weights": {"file": "/etc/passwd", "sha256": ""}},
        {"weights": {"file": "..", "sha256": ""}},
        {"weights": {"file": "", "sha256": ""}},
        {"weights": {"file": "model.json", "sha256": ""}},
        {"weights": {"file": "weights.pkl", "sha256": ""}},
        {"weights": {"file": "weights.pt", "sha256": ""}},
        {"weights": {"file": "a\0.safetensors", "sha256": ""}},
        {"weights": {"file": "gone.safetensors", "sha256": ""}},
        {"weights": {"file": 7, "sha256": ""}},
    ],
    ids=repr,
)
def test_an_artifact_that_cannot_be_served_is_refused_and_leaves_nothing(
    change: dict[str, Any], engine: Engine, settings: Settings, make_artifact: Make
) -> None:
    with pytest.raises(ArtifactInvalid):
        import_artifact(engine, settings, "birds", make_artifact(**change))
    assert [version.name for version in list_models(engine)] == ["imagenet"]
    assert not settings.data_dir.exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_model_file_that_is_no_document_is_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(text)
    with pytest.raises(ArtifactInvalid):
        read_artifact(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ArtifactInvalid, match=r"model\.json cannot be read"):
            read_artifact(folder)


@pytest.mark.parametrize(
    "name", ["", "Birds", "a b", "a/b", "../a", "-a", "a:1", "a@b", "scratch", "a" * 64]
)
def test_an_unusable_name_is_refused(name: str, engine: Engine) -> None:
    with pytest.raises(ArtifactInvalid):
        register_version(engine, name, NEW)


def test_the_built_in_models_name_is_taken(engine: Engine) -> None:
    with pytest.raises(ModelExists):
        register_version(engine, "imagenet", NEW)


def test_importers_at_once_get_numbers_of_their_own(engine: Engine) -> None:
    versions = [replace(NEW, digest=f"{n:064}") for n in range(8)] * 2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda new: register_version(engine, "birds", new), versions))
    assert sorted({version.version for version in found}) == list(range(1, 9))
    assert [v.digest for v in found] == [new.digest for new in versions]


def test_storing_the_same_artifact_at_once_keeps_one_whole_copy(
    settings: Settings, make_artifact: Make
) -> None:
    folder = make_artifact()
    digest = read_artifact(folder).digest
    with ThreadPoolExecutor(8) as pool:
        targets = set(pool.map(lambda _: store_artifact(settings, folder, digest), range(16)))
    (target,) = targets
    assert read_artifact(target).digest == digest
    assert list(target.parent.iterdir()) == [target]


def test_the_built_in_version_is_completed_once_and_never_changes(engine: Engine) -> None:
    complete_builtin(engine, NEW)
    first = resolve_model(engine, "imagenet:1")
    complete_builtin(engine, NEW)
    assert (first.labels, first.digest) == (NEW.labels, NEW.digest)
    with pytest.raises(ArtifactInvalid, match="differs"):
        complete_builtin(engine, replace(NEW, digest="f" * 64, labels=("x",)))
    assert get_model(engine, "imagenet") == (first,)
