"""What a training or an evaluation is asked for: one JSON file, read strictly."""

from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field, JsonValue

from imgq_trainer.training.errors import SpecInvalid

Absolute = Annotated[Path, pydantic.AfterValidator(lambda path: _absolute(path))]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class _Spec(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False
    )

    root: Absolute
    #: a CSV or JSONL file that names pictures below root; None: the folders are the labels
    manifest: Absolute | None = None
    #: everything that is written goes below it
    work_dir: Absolute
    threads: int = Field(ge=1, le=1024)
    device: str = "cpu"
    #: digests of pictures that the model, or the one it starts from, learned from, a line each
    learned: Absolute | None = None
    #: whether that is all of them
    all_learned_known: bool = True
    max_pixels: int = Field(ge=1)
    max_file_bytes: int = Field(ge=1)
    seed: int = Field(default=0, ge=0, lt=1 << 32)


class TrainSpec(_Spec):
    kind: Literal["train"]
    #: the model's, for the report
    name: str = Field(min_length=1, max_length=200)
    preset: Literal["fast", "balanced", "best"] = "balanced"
    init: Literal["imagenet", "scratch"] = "imagenet"
    #: an artifact to go on from, and what it is called
    init_artifact: Absolute | None = None
    parent: str | None = None
    #: one of timm's; None for the default one
    backbone: str | None = None
    #: the knobs of docs/training.md, as they are in TOML
    config: dict[str, JsonValue] = {}
    epochs: int | None = Field(default=None, ge=1, le=100_000)
    #: wall clock for the whole training
    max_seconds: float | None = Field(default=None, gt=0)
    #: the side of what the network sees, in pixels
    image_size: int | None = Field(default=None, ge=8, le=2048)
    batch_size: int | None = Field(default=None, ge=1, le=65_536)
    #: train, val, test; they add up to 1
    fractions: tuple[Fraction, Fraction, Fraction] = (0.7, 0.15, 0.15)
    #: what of a path keeps pictures on one side
    group_by: str | None = None
    imbalance: Literal["auto", "none", "weights", "sampler", "logits"] = "auto"
    augment: Literal["none", "light", "standard", "strong"] | None = None
    #: each on a device of its own, from `device` on; on a CPU they share the threads
    processes: int = Field(default=1, ge=1, le=1024)
    #: one of several processes that does not answer for so long, within a step, hangs
    answer_seconds: float = Field(default=600.0, gt=0)
    #: a checkpoint to go on from
    resume: Absolute | None = None

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(sum(self.fractions) - 1) > 1e-6 or self.fractions[0] <= 0:
            raise ValueError("fractions must add up to 1, with some for training")
        if self.init_artifact is not None and (self.backbone or self.init == "scratch"):
            raise ValueError("a model to go on from leaves no choice of init or backbone")
        if self.init == "scratch" and self.preset == "fast":
            raise ValueError("the preset fast trains no network, so it cannot start from scratch")
        return self


class EvaluateSpec(_Spec):
    kind: Literal["evaluate"]
    artifact: Absolute
    #: what the version is called, "birds:3", for the report
    name: str | None = Field(default=None, min_length=1, max_length=300)


class CompareSpec(_Spec):
    """May the challenger take the champion's place? Both are artifacts."""

    kind: Literal["compare"]
    champion: Absolute
    challenger: Absolute
    #: JSON lines with path (below root), label (one of the champion's) and sha256
    pictures: Absolute
    #: why there are no more; told if these are too few
    notes: tuple[str, ...] = ()


class ExportSpec(_Spec):
    """Write a model as ONNX, below work_dir."""

    kind: Literal["export"]
    artifact: Absolute


AnySpec = TrainSpec | EvaluateSpec | CompareSpec | ExportSpec
Spec = Annotated[AnySpec, Field(discriminator="kind")]


def read_spec(path: Path) -> AnySpec:
    """Raises SpecInvalid."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SpecInvalid(path, error.strerror or "it cannot be read") from error
    try:
        spec: AnySpec = pydantic.TypeAdapter(Spec).validate_json(text)
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(step) for step in fault["loc"])
        reason = fault["msg"].removeprefix("Value error, ")
        raise SpecInvalid(path, f"{place}: {reason}" if place else reason) from error
    return spec


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("the path must be absolute")
    return path
