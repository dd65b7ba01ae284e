"""What a training starts from: a network with weights, or without, and how it sees pictures."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import timm
import torch
from pydantic import JsonValue
from torch import nn

from imgq_trainer.architectures import build_network, load_network
from imgq_trainer.artifacts import Architecture, Artifact, Preprocessing, load_artifact
from imgq_trainer.errors import ArchitectureUnknown
from imgq_trainer.lite_weights import ARCHITECTURE as LITE0
from imgq_trainer.lite_weights import write_builtin_artifact
from imgq_trainer.small_cnn import NAME as SMALL_CNN
from imgq_trainer.small_cnn import STRIDE
from imgq_trainer.training.errors import (
    BackboneUnknown,
    BackboneUnsuited,
    WeightsNotSafetensors,
    WeightsUnfit,
)
from imgq_trainer.training.spec import TrainSpec

CLOSE_MATCHES = 3
#: the sides of pictures that `small_cnn` is made for, in pixels
SMALL_SIDES = (16, 64)
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Start:
    """A network before training. state: without the head; empty for random weights."""

    architecture: Architecture
    #: how its makers meant pictures to be seen
    preprocessing: Preprocessing
    state: State
    #: what its weights are: "imagenet:1", a digest, or None for random ones
    parent: str | None

    @property
    def trained(self) -> bool:
        return bool(self.state)

    def build(self, classes: int, arguments: Mapping[str, JsonValue] | None = None) -> nn.Module:
        """Return the network with a new head. Random weights come from torch's generator.

        arguments: of the network, besides the architecture's own. Raises BackboneUnsuited.
        """
        own = {**self.architecture.arguments, **(arguments or {})}
        named = Architecture(self.architecture.library, self.architecture.name, own)
        try:
            network = build_network(named, classes)
        except ArchitectureUnknown as error:
            raise BackboneUnsuited(named.name, str(error)) from error
        if self.state:
            network.load_state_dict(self.state, strict=False)
        return network


def find_start(spec: TrainSpec, models: Path, weights: Path | None = None) -> Start:
    """Return what the spec asks to start from.

    models: a folder for the default model's files. weights: a file for the backbone that the spec
    names. Raises BackboneUnknown, BackboneUnsuited, WeightsNotSafetensors, WeightsUnfit,
    ArtifactInvalid, WeightsPackageMissing.
    """
    if spec.init_artifact is not None:
        artifact = load_artifact(spec.init_artifact)
        return start_from(artifact, spec.parent or artifact.digest)
    if spec.backbone is not None and (weights is not None or spec.backbone != LITE0.name):
        return _named(spec.backbone, spec.init, weights)
    start = start_from(write_builtin_artifact(models / "imagenet"), "imagenet:1")
    if spec.init == "scratch":
        return Start(start.architecture, start.preprocessing, {}, None)
    return start


def start_from(artifact: Artifact, parent: str) -> Start:
    """Raises ArtifactInvalid, ArchitectureUnknown."""
    network = load_network(artifact)
    state = _without_head(network)
    return Start(artifact.model.architecture, artifact.model.preprocessing, state, parent)


def small_start(side: int, width: int, blocks: int) -> Start:
    """Return our own network for pictures of a side in pixels, whole and at their own size."""
    low, high = SMALL_SIDES
    seen = min(max(-(-side // STRIDE) * STRIDE, low), high)
    how = Preprocessing(seen, seen, "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "squash")
    architecture = Architecture("imgq", SMALL_CNN, {"width": width, "blocks": blocks})
    return Start(architecture, how, {}, None)


def head_of(network: nn.Module) -> nn.Linear | None:
    """Return the last layer, if the network is a plain one: features times a matrix."""
    get: Any = getattr(network, "get_classifier", None)
    head = get() if get is not None else None
    return head if isinstance(head, nn.Linear) else None


def _without_head(network: nn.Module) -> State:
    head = head_of(network)
    heads = () if head is None else tuple(head.parameters())
    names = {name for name, value in network.named_parameters() if any(value is h for h in heads)}
    return {name: value for name, value in network.state_dict().items() if name not in names}


def _named(name: str, init: str, weights: Path | None) -> Start:
    if not timm.is_model(name):
        known = timm.list_models()
        raise BackboneUnknown(name, difflib.get_close_matches(name, known, CLOSE_MATCHES))
    try:
        network = build_network(Architecture("timm", name, {}), 2)
    except ArchitectureUnknown as error:
        raise BackboneUnsuited(name, str(error)) from error
    how = _preprocessing_of(name, network)
    architecture = Architecture("timm", name, {})
    if weights is None and init == "imagenet":
        weights = _cached_weights(network)
    if weights is None:
        return Start(architecture, how, {}, None)
    state = read_weights(weights, name, network)
    return Start(architecture, how, state, f"timm/{name} with {weights.name}")


def read_weights(path: Path, name: str, network: nn.Module) -> State:
    """Read a state dict that fits a network, up to its head.

    Raises WeightsNotSafetensors, WeightsUnfit.
    """
    try:
        state: dict[str, torch.Tensor] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsNotSafetensors(path, str(error).splitlines()[0].rstrip(".")) from error
    wanted = _without_head(network)
    missing = sorted(name for name in wanted if name not in state)
    if missing:
        raise WeightsUnfit(path, name, f"{missing[0]} is missing, and {len(missing) - 1} more")
    for key, value in wanted.items():
        if state[key].shape != value.shape:
            raise WeightsUnfit(path, name, f"{key} has another shape")
        if value.is_floating_point() and not bool(torch.isfinite(state[key]).all()):
            raise WeightsUnfit(path, name, f"{key} holds numbers that are not finite")
    return {key: state[key] for key in wanted}


def _cached_weights(network: nn.Module) -> Path | None:
    """Find a backbone's published weights if an earlier download left them here; fetch nothing."""
    config: Mapping[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    repository = config.get("hf_hub_id")
    if not isinstance(repository, str):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _preprocessing_of(name: str, network: nn.Module) -> Preprocessing:
    config: Mapping[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    channels, high, wide = config.get("input_size", (3, 224, 224))
    if channels != 3 or high != wide:
        raise BackboneUnsuited(name, f"it sees {channels} x {high} x {wide}, no square in colours")
    share = float(config.get("crop_pct") or 1.0)
    interpolation = config.get("interpolation", "bicubic")
    return Preprocessing(
        resize=max(high, round(high / share)),
        crop=high,
        interpolation="bilinear" if interpolation == "bilinear" else "bicubic",
        mean=_three(config.get("mean", (0.5, 0.5, 0.5))),
        std=_three(config.get("std", (0.5, 0.5, 0.5))),
    )


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
