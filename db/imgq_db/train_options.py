"""What a caller can ask of a train job and of an evaluate job."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

from imgq_db.errors import OptionInvalid
from imgq_db.models import BUILTIN_NAME, SCRATCH, check_name

PRESETS = ("fast", "balanced", "best")
IMBALANCES = ("auto", "none", "weights", "sampler", "logits")
AUGMENTATIONS = ("none", "light", "standard", "strong")
MAX_CONFIG_BYTES = 64 << 10
MAX_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Options of a train job, as they are stored with it. None: the preset decides."""

    name: str  # the model that gets a new version
    manifest: str | None = None  # a CSV or JSONL file, relative to the source
    init: str = "imagenet"  # scratch, or the model to continue from
    backbone: str | None = None
    preset: str = "balanced"
    epochs: int | None = None
    max_seconds: float | None = None
    image_size: int | None = None
    batch_size: int | None = None
    val: float = 0.15
    test: float = 0.15
    group_by: str | None = None
    imbalance: str = "auto"
    augment: str | None = None
    seed: int = 0
    config: dict[str, Any] = field(default_factory=dict)  # every other knob
    keep_best: bool = False  # a cancel leaves the work folder with the best so far

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_manifest(self.manifest)
        _check_choice("preset", self.preset, PRESETS)
        _check_choice("imbalance", self.imbalance, IMBALANCES)
        if self.augment is not None:
            _check_choice("augment", self.augment, AUGMENTATIONS)
        _check_start(self.init, self.backbone, self.preset)
        _check_range("epochs", self.epochs, 1, 10_000)
        _check_range("image_size", self.image_size, 8, 2048)
        _check_range("batch_size", self.batch_size, 1, 4096)
        _check_range("max_seconds", self.max_seconds, 1, 10**8)
        _check_range("seed", self.seed, 0, MAX_SEED)
        _check_fractions(self.val, self.test)
        _check_config(self.config)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "TrainOptions":
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """Options of an evaluate job, as they are stored with it.

    against, alias: the job decides whether its model takes the alias from that version, "birds:3";
    its pictures are those of that version's test split. export: nothing is evaluated, but the
    model written in that format.
    """

    manifest: str | None = None
    seed: int = 0
    against: str | None = None
    alias: str | None = None
    export: str | None = None

    def __post_init__(self) -> None:
        _check_manifest(self.manifest)
        _check_range("seed", self.seed, 0, MAX_SEED)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "EvaluateOptions":
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionInvalid(f"{name} is {value!r}.", f"Use one of {', '.join(choices)}.")


def _check_range(name: str, value: float | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise OptionInvalid(f"{name} is {value}; it must be {least} to {most}.")


def _check_start(init: str, backbone: str | None, preset: str) -> None:
    if backbone and init not in (SCRATCH, BUILTIN_NAME):
        raise OptionInvalid(
            f"The model {init!r} has a backbone already.", "Leave the backbone out, or init."
        )
    if init == SCRATCH and preset == "fast":
        raise OptionInvalid(
            "The preset fast trains no network, so it cannot start from scratch.",
            "Use balanced or best.",
        )


def _check_fractions(val: float, test: float) -> None:
    if not (0 < val < 1 and 0 < test < 1 and val + test < 1):
        raise OptionInvalid(
            f"val is {val} and test is {test}: each must be above 0, and leave some to train on."
        )


def _check_manifest(manifest: str | None) -> None:
    if manifest is None:
        return
    path = PurePosixPath(manifest)
    if "\0" in manifest or path.is_absolute() or ".." in path.parts or not path.parts:
        raise OptionInvalid(
            f"The manifest {manifest!r} is no file below the source.",
            "Name it relative to the folder.",
        )


def _check_config(config: dict[str, Any]) -> None:
    try:
        size = len(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise OptionInvalid(f"config cannot be stored: {error}.") from error
    if size > MAX_CONFIG_BYTES:
        raise OptionInvalid(f"config takes {size} bytes; {MAX_CONFIG_BYTES} are allowed.")
    if "\\u0000" in json.dumps(config):
        raise OptionInvalid("config holds a NUL, which Postgres cannot.")
