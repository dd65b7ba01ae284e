"""What `model.json` must say: the gate at which artifacts enter, without torch.

The trainer reads the same format on its side of the wall; a test holds the two together.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

#: Labels are numbers of two bytes in the ledger.
MAX_LABELS = 32_767
#: Arguments that would make timm fetch or read other files, or build no classifier.
REFUSED_ARGUMENTS = frozenset(
    [
        "cache_dir",
        "checkpoint_path",
        "features_only",
        "num_classes",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "scriptable",
    ]
)
MAX_HEADER_BYTES = 100 << 20

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Label = Annotated[str, Field(min_length=1, max_length=1000)]
Side = Annotated[int, Field(ge=1, le=8192)]
Positive = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Architecture(_Strict):
    library: Literal["timm", "imgq"]
    name: Name
    arguments: dict[str, JsonValue]

    @field_validator("arguments")
    @classmethod
    def _harmless(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if refused := sorted(REFUSED_ARGUMENTS & value.keys()):
            raise ValueError(f"the argument {refused[0]!r} is not allowed")
        return value


class Preprocessing(_Strict):
    resize: Side
    crop: Side
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    fit: Literal["crop", "pad", "squash"] = "crop"

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop > self.resize:
            raise ValueError("crop is larger than resize")
        return self


class Weights(_Strict):
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ArtifactDocument(_Strict):
    """The content of `model.json`."""

    format: Literal["imgq-model/1"]
    architecture: Architecture
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=MAX_LABELS)]
    preprocessing: Preprocessing
    weights: Weights
    temperature: Positive
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("two labels are the same")
        return self


def first_fault(error: ValidationError) -> str:
    """Return the first thing that is wrong, with its place: `preprocessing.crop: …`."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(map(str, fault["loc"]))
    words = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {words}" if place else words


def output_sizes(weights: Path) -> set[int]:
    """Return how many outputs the network can have: the first sizes of its last-layer-like tensors.

    Reads the header of a safetensors file only. Raises ValueError if it has none.
    """
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise ValueError("it is no safetensors file")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("it is no safetensors file")
    tensors = (tensor for name, tensor in header.items() if name != "__metadata__")
    return {int(tensor["shape"][0]) for tensor in tensors if tensor.get("shape")}
