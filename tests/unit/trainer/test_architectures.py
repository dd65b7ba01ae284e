import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from imgq_trainer.architectures import build_network, load_network
from imgq_trainer.artifacts import (
    Architecture,
    Artifact,
    Model,
    Preprocessing,
    Weights,
    write_artifact,
)
from imgq_trainer.classifier import load_classifier
from imgq_trainer.errors import ArchitectureUnknown, ArtifactInvalid

SIMPLE = Preprocessing(160, 160, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def write_model(folder: Path, name: str, state: dict[str, Any]) -> Artifact:
    weights = safetensors.torch.save(state)
    names = Weights("weights.safetensors", hashlib.sha256(weights).hexdigest())
    architecture = Architecture("timm", name, {})
    model = Model("imgq-model/1", architecture, ("a", "b", "c"), SIMPLE, names, 1.0, {}, {})
    return write_artifact(folder, model, weights)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_any_timm_architecture_gives_the_scores_of_its_own_network(
    tmp_path: Path, name: str
) -> None:
    network = build_network(Architecture("timm", name, {}), 3)
    classifier = load_classifier(write_model(tmp_path / "m", name, network.state_dict()))
    pictures = torch.randint(0, 256, (2, 160, 160, 3), dtype=torch.uint8)

    values = pictures.permute(0, 3, 1, 2) / 127.5 - 1
    expected = torch.softmax(network(values), 1).detach().numpy()
    np.testing.assert_allclose(classifier.probabilities(pictures), expected, rtol=0, atol=1e-5)


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ArchitectureUnknown, match="'resnet_from_mars'"):
        build_network(Architecture("timm", "resnet_from_mars", {}), 3)


def test_our_own_network_is_built_by_name_and_takes_any_size() -> None:
    network = build_network(Architecture("imgq", "small_cnn", {"width": 8}), 3)
    assert network(torch.zeros(2, 3, 28, 28)).shape == (2, 3)
    assert network(torch.zeros(2, 3, 8, 12)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("large_cnn", {}), ("small_cnn", {"depth": 1}), ("small_cnn", {"width": 0})],
)
def test_of_our_own_nothing_else_is_built(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ArchitectureUnknown, match=name):
        build_network(Architecture("imgq", name, arguments), 3)


@pytest.mark.parametrize(
    "arguments",
    [{"checkpoint_path": "/tmp/x.pth"}, {"pretrained": True}, {"nonsense": 1}, {"num_classes": 5}],
)
def test_arguments_that_reach_outside_or_mean_nothing_are_refused(
    arguments: dict[str, Any],
) -> None:
    with pytest.raises(ArchitectureUnknown, match=next(iter(arguments))):
        build_network(Architecture("timm", "test_resnet", arguments), 3)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = build_network(Architecture("timm", "test_resnet", {}), 4)
    artifact = write_model(tmp_path / "m", "test_resnet", other.state_dict())

    with pytest.raises(ArtifactInvalid, match="do not fit"):
        load_network(artifact)


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    state = build_network(Architecture("timm", "test_resnet", {}), 3).state_dict()
    state["fc.bias"][1] = float("nan")

    with pytest.raises(ArtifactInvalid, match="not finite"):
        load_network(write_model(tmp_path / "m", "test_resnet", state))


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    weights = b"\x80\x04 a pickle, perhaps"
    names = Weights("weights.safetensors", hashlib.sha256(weights).hexdigest())
    architecture = Architecture("timm", "test_resnet", {})
    model = Model("imgq-model/1", architecture, ("a",), SIMPLE, names, 1.0, {}, {})

    with pytest.raises(ArtifactInvalid, match="do not fit"):
        load_network(write_artifact(tmp_path / "m", model, weights))
