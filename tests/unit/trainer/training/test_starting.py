from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from imgq_trainer.artifacts import Artifact
from imgq_trainer.training.errors import BackboneUnknown, WeightsNotSafetensors, WeightsUnfit
from imgq_trainer.training.spec import TrainSpec
from imgq_trainer.training.starting import find_start, head_of, small_start

Parsed = Callable[..., TrainSpec]


def test_an_unknown_backbone_is_told_with_close_ones(parsed: Parsed, tmp_path: Path) -> None:
    with pytest.raises(BackboneUnknown, match="'resnet81'") as caught:
        find_start(parsed(backbone="resnet81"), tmp_path)
    assert caught.value.hint is not None
    assert "resnet18" in caught.value.hint


def test_without_a_wish_it_is_the_default_model(parsed: Parsed, tmp_path: Path) -> None:
    start = find_start(parsed(init="imagenet"), tmp_path)

    assert (start.architecture.name, start.parent) == ("tf_efficientnet_lite0", "imagenet:1")
    assert start.build(5)(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_an_own_model_goes_on_with_its_weights_and_a_new_head(
    parsed: Parsed, own_model: Artifact, tmp_path: Path
) -> None:
    spec = parsed(init="imagenet", init_artifact=str(own_model.folder), parent="birds:3")
    start = find_start(spec, tmp_path)

    before = safetensors.torch.load(own_model.read_weights())
    after = start.build(7).state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "classifier.weight",
        "classifier.bias",
    } or after["classifier.weight"].shape == (7, 32)
    assert torch.equal(before["stem.0.weight"], after["stem.0.weight"])
    assert (start.parent, start.preprocessing.crop) == ("birds:3", 32)


def test_a_named_backbone_sees_pictures_as_its_makers_meant(parsed: Parsed, tmp_path: Path) -> None:
    start = find_start(parsed(backbone="test_resnet"), tmp_path)

    how = start.preprocessing
    assert (how.crop, how.interpolation, start.trained) == (160, "bilinear", False)
    assert head_of(start.build(4)) is not None


def test_weights_from_a_file_are_taken(parsed: Parsed, tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=9)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")

    spec = parsed(backbone="test_resnet", init="imagenet")
    start = find_start(spec, tmp_path, tmp_path / "weights.safetensors")

    assert torch.equal(next(start.build(3).parameters()), next(network.parameters()))


def test_weights_that_are_no_safetensors_are_refused(parsed: Parsed, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsNotSafetensors, match=r"weights\.pth"):
        find_start(parsed(backbone="test_resnet", init="imagenet"), tmp_path, path)


def test_weights_of_another_network_are_refused(parsed: Parsed, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsUnfit, match="is missing"):
        find_start(parsed(backbone="test_resnet", init="imagenet"), tmp_path, path)


@pytest.mark.parametrize(("side", "seen"), [(8, 16), (28, 28), (33, 36), (64, 64)])
def test_our_own_network_sees_small_pictures_at_about_their_size(side: int, seen: int) -> None:
    how = small_start(side, 8, 0).preprocessing
    assert (how.resize, how.crop) == (seen, seen)
