"""Networks by name: any of timm's, or our own, with weights from safetensors only."""

from typing import Any

import safetensors
import safetensors.torch
import timm
import torch

from imgq_trainer.artifacts import Architecture, Artifact
from imgq_trainer.errors import ArchitectureUnknown, ArtifactInvalid
from imgq_trainer.small_cnn import NAME as SMALL_CNN
from imgq_trainer.small_cnn import SmallCnn

#: these make timm read or fetch other files than the artifact's, or build no classifier
REFUSED_ARGUMENTS = frozenset(
    {
        "cache_dir",
        "checkpoint_path",
        "features_only",
        "num_classes",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "scriptable",
    }
)


def build_network(architecture: Architecture, classes: int) -> torch.nn.Module:
    """Return the network with random weights, ready for evaluation.

    Raises ArchitectureUnknown if there is none of that name, or it refuses the arguments.
    """
    name, arguments = architecture.name, architecture.arguments
    if architecture.library == "imgq":
        return _build_own(name, classes, arguments)
    if not timm.is_model(name):
        raise ArchitectureUnknown(name, "timm has none of that name")
    if refused := sorted(REFUSED_ARGUMENTS & arguments.keys()):
        raise ArchitectureUnknown(name, f"the argument {refused[0]!r} is not allowed")
    keywords: dict[str, Any] = dict(arguments)
    try:
        network = timm.create_model(name, pretrained=False, num_classes=classes, **keywords)
    except Exception as error:  # each architecture has its own way to refuse an argument
        raise ArchitectureUnknown(name, f"its arguments are wrong ({error})") from error
    if not isinstance(network, torch.nn.Module):
        raise ArchitectureUnknown(name, "timm built something else than a network")
    return network.eval()


def _build_own(name: str, classes: int, arguments: dict[str, Any]) -> torch.nn.Module:
    if name != SMALL_CNN:
        raise ArchitectureUnknown(name, f"of our own there is only {SMALL_CNN!r}")
    try:
        return SmallCnn(classes, **arguments).eval()
    except (TypeError, ValueError) as error:
        raise ArchitectureUnknown(name, f"its arguments are wrong ({error})") from error


def load_network(artifact: Artifact) -> torch.nn.Module:
    """Return the artifact's network with its weights, ready for evaluation."""
    network = build_network(artifact.model.architecture, len(artifact.model.labels))
    try:
        state = safetensors.torch.load(artifact.read_weights())
        network.load_state_dict(state, strict=True)
    except (safetensors.SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        raise ArtifactInvalid(artifact.folder, f"its weights do not fit ({reason})") from error
    if not all(bool(torch.isfinite(t).all()) for t in state.values() if t.is_floating_point()):
        raise ArtifactInvalid(artifact.folder, "its weights hold numbers that are not finite")
    return network
