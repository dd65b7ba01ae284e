"""Every knob of a training, with its default: nobody has to turn any."""

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, JsonValue

from imgq_trainer.training.errors import ConfigInvalid
from imgq_trainer.training.spec import TrainSpec

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Imbalance = Literal["auto", "none", "weights", "sampler", "logits"]
Augment = Literal["none", "light", "standard", "strong"]


class _Knobs(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False
    )


class PictureKnobs(_Knobs):
    fit: Literal["auto", "crop", "pad", "squash"] = Field(
        "auto", description="how a picture becomes a square; `auto` looks at some of them"
    )
    image_size: int | None = Field(
        None, ge=8, le=2048, description="side of what the network sees, pixels; its own if absent"
    )
    cache_bytes: int = Field(
        4 << 30,
        ge=0,
        description="disk for decoded pictures, bytes; more than fits is decoded at each use",
    )


class ProbeKnobs(_Knobs):
    l2: Annotated[tuple[Amount, ...], Field(min_length=1)] = Field(
        (1e-1, 3e-2, 1e-2, 3e-3, 1e-3),
        description="strengths of L2 that are tried; validation decides",
    )
    iterations: Count = Field(60, description="of L-BFGS at most, for each strength")


class NetworkKnobs(_Knobs):
    epochs: Count = Field(12, description="passes over the training pictures, at most")
    picture_passes: int = Field(
        0,
        ge=0,
        description="on a CPU no more epochs than so many pictures make, counted as 224 x 224"
        " pixels through EfficientNet-Lite0; 0 for no limit",
    )
    batch_size: Count = Field(32, description="pictures in one step of the optimiser")
    accumulate: Count = Field(1, description="parts that a batch is computed in, to save memory")
    optimiser: Literal["adamw", "sgd"] = Field("adamw", description="sgd is Nesterov's")
    learning_rate: float = Field(3e-4, gt=0, description="of the head, at its highest")
    momentum: Share = Field(0.9, description="of sgd; the first beta of adamw")
    weight_decay: Amount = Field(0.01, description="of weights, not of biases and norms")
    layer_decay: float = Field(
        0.85, gt=0, le=1, description="of the learning rate, for each block below the head"
    )
    schedule: Literal["cosine", "constant"] = Field("cosine", description="after the warm-up")
    warmup: Share = Field(0.1, description="share of the steps in which the rate rises")
    unfreeze: Share = Field(
        1.0, description="share of the blocks, from the head down, that is trained; 0: the head"
    )
    gradual: bool = Field(False, description="begin with the head, unfreeze in the first half")
    freeze_norms: bool = Field(False, description="keep the statistics of batch normalisation")
    label_smoothing: Share = Field(0.05, description="share of each target spread over all")
    mixup: Amount = Field(0.0, description="alpha of mixup; 0 for none")
    cutmix: Amount = Field(0.0, description="alpha of cutmix; 0 for none")
    random_erasing: Share = Field(0.0, description="share of the pictures with a part erased")
    dropout: Share = Field(0.0, description="before the head")
    drop_path: Share = Field(0.0, description="of residual paths, where the network has any")
    augment: Augment = Field("light", description="how much pictures are changed")
    flip: Literal["auto", "yes", "no"] = Field(
        "auto", description="mirror left and right; `auto`: not small pictures, which may be signs"
    )
    progressive: float = Field(
        1.0, gt=0, le=1, description="share of the image size in the first epochs; 1 for all of it"
    )
    clip_norm: Amount = Field(1.0, description="longest gradient; 0 for any length")
    bf16: bool = Field(True, description="compute in bfloat16 where the device is fast at it")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of averaged weights; 0 for none")
    patience: int = Field(
        5, ge=0, description="epochs without a better macro-F1 before it stops; 0 for all epochs"
    )
    seeds: Count = Field(1, description="runs with seeds of their own; the best one counts")


class ScratchKnobs(NetworkKnobs):
    width: Count = Field(32, description="channels of the first stage of `small_cnn`")
    blocks: int = Field(1, ge=0, description="residual blocks in a stage of `small_cnn`")


class CheckpointKnobs(_Knobs):
    epoch_seconds: Amount = Field(
        10.0, description="an epoch's end writes one if the last is so many seconds old"
    )
    step_seconds: Amount = Field(120.0, description="within an epoch, if it is that old")


FINETUNE: dict[str, Any] = {
    "epochs": 8,
    "picture_passes": 3000,
    "unfreeze": 0.5,
    "gradual": True,
    "freeze_norms": True,
    "augment": "light",
    "patience": 3,
}
SCRATCH: dict[str, Any] = {
    "epochs": 30,
    "picture_passes": 20_000,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "layer_decay": 1.0,
    "weight_decay": 0.05,
    "dropout": 0.1,
    "ema": 0.99,
    "patience": 0,
}


class Config(_Knobs):
    weights: str | None = Field(
        None,
        description="safetensors file of the named backbone's weights: an absolute path, or on a"
        " server root:NAME/path",
    )
    imbalance: Imbalance = Field(
        "auto",
        description="`weights` in the loss, a balanced `sampler`, or `logits` adjusted by the"
        " classes' frequencies; `auto` decides by how far these lie apart",
    )
    logit_adjustment: Amount = Field(
        1.0, description="how strongly `logits` adjusts: 1 aims at balanced accuracy"
    )
    scratch_tried: Literal["auto", "yes", "no"] = Field(
        "auto", description="train `small_cnn` too; `auto`: many small pictures, all of one size"
    )
    refit: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="train the chosen model again on validation's pictures too; `auto`: a probe,"
        " and a network of few pictures",
    )
    pictures: PictureKnobs = PictureKnobs()
    probe: ProbeKnobs = ProbeKnobs()
    finetune: NetworkKnobs = NetworkKnobs(**FINETUNE)
    scratch: ScratchKnobs = ScratchKnobs(**SCRATCH)
    checkpoints: CheckpointKnobs = CheckpointKnobs()


#: what a preset changes of the defaults, which are those of "balanced"
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    "balanced": {},
    "best": {
        "finetune": {
            "epochs": 30,
            "picture_passes": 30_000,
            "unfreeze": 1.0,
            "augment": "strong",
            "random_erasing": 0.1,
            "mixup": 0.1,
            "ema": 0.99,
            "patience": 8,
            "seeds": 3,
        },
        "scratch": {"epochs": 60, "picture_passes": 60_000, "augment": "standard", "seeds": 3},
        "refit": "yes",
    },
}


def configure(spec: TrainSpec) -> Config:
    """Return the preset's knobs with the spec's own on top. Raises ConfigInvalid."""
    merged = Config().model_dump(mode="json")
    for layer in (PRESETS[spec.preset], spec.config, _flags(spec)):
        _merge(merged, layer, "")
    try:
        config = Config.model_validate_json(json.dumps(merged))
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in fault["loc"])
        raise ConfigInvalid(f"{place}: {fault['msg']}, and it is {fault['input']!r}") from error
    if config.weights is not None and spec.backbone is None:
        hint = "Name the network that they are of with --backbone, or leave the key weights out."
        raise ConfigInvalid("weights needs a backbone, and none is named", hint)
    return config


def _flags(spec: TrainSpec) -> dict[str, Any]:
    network: dict[str, Any] = {}
    if spec.epochs is not None:
        # Who names a number of epochs wants them, however long they take.
        network |= {"epochs": spec.epochs, "picture_passes": 0}
    if spec.batch_size is not None:
        network["batch_size"] = spec.batch_size
    if spec.augment is not None:
        network["augment"] = spec.augment
    flags: dict[str, Any] = {"finetune": network, "scratch": network}
    if spec.image_size is not None:
        flags["pictures"] = {"image_size": spec.image_size}
    if spec.imbalance != "auto":
        flags["imbalance"] = spec.imbalance
    return flags


def _merge(base: dict[str, Any], changes: Mapping[str, JsonValue], place: str) -> None:
    for key, value in changes.items():
        if key not in base:
            close = difflib.get_close_matches(key, base, 1)
            hint = f"Did you mean {place}{close[0]}?" if close else None
            raise ConfigInvalid(f"there is no key {place}{key}", hint)
        if isinstance(base[key], dict):
            if not isinstance(value, Mapping):
                raise ConfigInvalid(f"{place}{key} is a table of keys, not one value")
            _merge(base[key], value, f"{place}{key}.")
        else:
            base[key] = value


def to_toml(config: Config) -> str:
    """Return the knobs as documented TOML, each with its meaning and its value.

    A key without a value is written as a comment: TOML knows no absent value.
    """
    lines = [line for name in Config.model_fields for line in _entry(config, name, "")]
    for name in Config.model_fields:
        part = getattr(config, name)
        if isinstance(part, _Knobs):
            lines += ["", f"[{name}]"]
            lines += [line for key in type(part).model_fields for line in _entry(part, key, name)]
    return "\n".join(lines) + "\n"


def _entry(part: _Knobs, name: str, place: str) -> list[str]:
    value = getattr(part, name)
    if isinstance(value, _Knobs):
        return []
    shown = json.dumps(value)
    assignment = f"# {name} =" if value is None else f"{name} = {shown}"
    return [f"# {type(part).model_fields[name].description}", assignment]
