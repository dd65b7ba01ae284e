import sys
from pathlib import Path

import pytest

from imgq_trainer import lite_weights
from imgq_trainer.artifacts import Artifact
from imgq_trainer.errors import ArtifactExists, WeightsPackageMissing
from imgq_trainer.lite_weights import imagenet_labels, write_builtin_artifact


def test_the_labels_are_short_and_all_different() -> None:
    labels = imagenet_labels()

    assert (labels[0], labels[134], labels[285], labels[517]) == (
        "tench",
        "crane (bird)",
        "Egyptian cat",
        "crane",
    )
    assert len(labels) == len(set(labels)) == 1000


def test_the_model_says_where_it_comes_from(lite0: Artifact) -> None:
    assert lite0.model.provenance["license"] == "Apache-2.0"
    assert lite0.model.labels == imagenet_labels()


def test_an_existing_default_model_is_kept(
    lite0: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite_weights, "PACKAGE", "not_installed_at_all")

    assert write_builtin_artifact(lite0.folder) == lite0


def test_the_weights_package_is_never_imported(lite0: Artifact) -> None:
    assert lite_weights.PACKAGE not in sys.modules


def test_a_missing_weights_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite_weights, "PACKAGE", "not_installed_at_all")

    with pytest.raises(WeightsPackageMissing, match="not_installed_at_all"):
        write_builtin_artifact(tmp_path / "lite0")


def test_an_altered_weights_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite_weights, "PACKAGE_SHA256", "0" * 64)

    with pytest.raises(WeightsPackageMissing, match="not the known one"):
        write_builtin_artifact(tmp_path / "lite0")


def test_another_model_in_the_folder_is_left_alone(
    tmp_path: Path, lite0: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lite_weights, "PROVENANCE", {"title": "another"})

    with pytest.raises(ArtifactExists):
        write_builtin_artifact(lite0.folder)
