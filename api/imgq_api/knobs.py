"""The names of a training's knobs, so that a wrong one is refused before anything is queued."""

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic_core import PydanticCustomError

_NETWORK = frozenset(
    {
        "accumulate",
        "augment",
        "batch_size",
        "bf16",
        "clip_norm",
        "cutmix",
        "drop_path",
        "dropout",
        "ema",
        "epochs",
        "flip",
        "freeze_norms",
        "gradual",
        "label_smoothing",
        "layer_decay",
        "learning_rate",
        "mixup",
        "momentum",
        "optimiser",
        "patience",
        "picture_passes",
        "progressive",
        "random_erasing",
        "schedule",
        "seeds",
        "unfreeze",
        "warmup",
        "weight_decay",
    }
)
#: Each key of a config; those of a table by its name. What they may be is the trainer's to know.
KNOBS: Mapping[str, frozenset[str] | None] = {
    "imbalance": None,
    "logit_adjustment": None,
    "refit": None,
    "scratch_tried": None,
    "weights": None,
    "pictures": frozenset({"cache_bytes", "fit", "image_size"}),
    "probe": frozenset({"iterations", "l2"}),
    "finetune": _NETWORK,
    "scratch": _NETWORK | {"blocks", "width"},
    "checkpoints": frozenset({"epoch_seconds", "step_seconds"}),
}


def check_knobs(config: Mapping[str, object]) -> None:
    """Raise PydanticCustomError if a name is no knob's, or a table is none."""
    for name, value in config.items():
        inner = KNOBS.get(name)
        if name not in KNOBS:
            raise _unknown(name, list(KNOBS), "")
        if inner is None:
            continue
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "knob_table", "must have a table under {name}", {"name": name}
            )
        for key in value:
            if key not in inner:
                raise _unknown(key, sorted(inner), f"{name}.")


def _unknown(name: str, known: list[str], place: str) -> PydanticCustomError:
    near = [place + key for key in get_close_matches(name, known, 1)]
    if not near and not place:
        near = [f"{table}.{name}" for table, keys in KNOBS.items() if keys and name in keys][:1]
    meant = f"; did you mean {near[0]}?" if near else ""
    return PydanticCustomError(
        "knob", "has no key {name}{meant}", {"name": f"{place}{name}"[:200], "meant": meant}
    )
