"""The two models that are measured, as artifacts: same architecture and weights for everyone."""

import hashlib
import json
import shutil
from pathlib import Path

import safetensors.torch
import timm
import torch

from imgq_trainer.lite_weights import imagenet_labels, write_builtin_artifact

SEED = 0


def lite0(under: Path) -> Path:
    """Return the folder of the built-in model, with its real weights."""
    return write_builtin_artifact(under / "lite0").folder


def resnet18(under: Path) -> Path:
    """Return the folder of a resnet18 with random weights: good for speed, not for labels."""
    folder = under / "resnet18"
    if folder.is_dir():
        return folder
    torch.manual_seed(SEED)
    network = timm.create_model("resnet18", pretrained=False)
    unfinished = under / ".resnet18"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    weights = safetensors.torch.save(network.state_dict())
    (unfinished / "weights.safetensors").write_bytes(weights)
    said = {
        "format": "imgq-model/1",
        "architecture": {"library": "timm", "name": "resnet18", "arguments": {}},
        "labels": imagenet_labels(),
        "preprocessing": {
            "resize": 256,
            "crop": 224,
            "interpolation": "bilinear",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "weights": {
            "file": "weights.safetensors",
            "sha256": hashlib.sha256(weights).hexdigest(),
        },
        "temperature": 1.0,
        "metrics": {},
        "provenance": {"title": "resnet18 with random weights, to measure speed"},
    }
    (unfinished / "model.json").write_text(json.dumps(said))
    return unfinished.rename(folder)
