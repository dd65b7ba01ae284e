"""The network of an artifact, read with timm and safetensors alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `model.json` says of the network and of its pictures."""

    architecture: str
    labels: tuple[str, ...]
    resize: int
    crop: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def read_recipe(artifact: Path) -> Recipe:
    """Return what the artifact says."""
    said: dict[str, Any] = json.loads((artifact / "model.json").read_text())
    how = said["preprocessing"]
    return Recipe(
        architecture=said["architecture"]["name"],
        labels=tuple(said["labels"]),
        resize=how["resize"],
        crop=how["crop"],
        interpolation=how["interpolation"],
        mean=tuple(how["mean"]),
        std=tuple(how["std"]),
    )


def read_network(artifact: Path) -> torch.nn.Module:
    """Return the network with its weights, ready to compute: (B, 3, H, W) -> (B, K)."""
    recipe = read_recipe(artifact)
    network: torch.nn.Module = timm.create_model(
        recipe.architecture, num_classes=len(recipe.labels)
    )
    network.load_state_dict(safetensors.torch.load_file(artifact / "weights.safetensors"))
    return network.eval()
