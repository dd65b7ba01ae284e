"""What a training does: which models are tried, on which view of the pictures."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.memory import is_out_of_memory
from imgq_trainer.training.augmenting import SMALL_SIDE
from imgq_trainer.training.config import Config
from imgq_trainer.training.errors import BackboneUnsuited, DiskTooSmall
from imgq_trainer.training.looking import Looks, fitted
from imgq_trainer.training.optimising import image_side
from imgq_trainer.training.pictures import stored_bytes
from imgq_trainer.training.spec import TrainSpec
from imgq_trainer.training.starting import Start, head_of, small_start

#: of each class; with fewer, a network that begins with nothing has not been seen to win
PLENTY = 100
#: what must stay free on the disk beside pictures: checkpoints, features, report
MARGIN_BYTES = 500 << 20
#: weights in a checkpoint besides those of each finished run: a network's own, their average, the
#: best ones, and two that its optimiser knows
COPIES = 5
#: checkpoints at one time: the two that are kept, and the one that is being written
CHECKPOINTS = 3
#: the start, and the models that are judged and kept
MODELS = 4
SEEN = {
    "crop": "their centres only",
    "pad": "whole, with white beside them",
    "squash": "whole, whatever their proportions",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """how: the view of the pictures for `start`. small: our own network and its view, if it is
    tried. notes: why, in sentences."""

    start: Start
    how: Preprocessing
    probed: bool
    finetuned: bool
    #: the start's network is trained from random weights
    blank: bool
    small: Start | None
    notes: tuple[str, ...]


def make_plan(
    spec: TrainSpec, config: Config, start: Start, looks: Looks, smallest: int, classes: int
) -> Plan:
    """smallest: pictures of the smallest class that are learned from."""
    fit, side = config.pictures.fit, config.pictures.image_size
    how = fitted(start.preprocessing, looks.fit() if fit == "auto" else fit, side)
    notes = [f"Pictures are seen at {how.crop} x {how.crop} pixels, {SEEN[how.fit]} ({how.fit})."]
    linear = head_of(start.build(classes)) is not None
    small = _small(spec, config, looks, smallest)
    only_small = small is not None and spec.init == "scratch" and spec.backbone is None
    if small is not None:
        notes.append(
            f"The pictures are small and all of one size, {looks.sizes[0][0]} x"
            f" {looks.sizes[0][1]}: a small network of our own is trained from nothing too."
        )
    if not start.trained and not only_small:
        notes.append(f"{start.architecture.name} starts with random weights: none are here.")
    if spec.preset == "fast":
        return Plan(start, how, True, False, False, None, tuple(notes))
    finetuned = start.trained and (small is None or spec.preset == "best")
    if start.trained and not finetuned:
        notes.append("For such pictures the large network is probed only.")
    blank = not start.trained and not only_small
    return Plan(start, how, start.trained and linear, finetuned, blank, small, tuple(notes))


def check_start(spec: TrainSpec, config: Config, start: Start) -> None:
    """Raise BackboneUnsuited unless the network can do what is asked of it."""
    network, name = start.build(2), start.architecture.name
    linear = head_of(network) is not None
    if spec.preset == "fast" and not (linear and start.trained):
        why = "no trained weights of it are here" if linear else "it has no plain linear head"
        hint = "Choose another preset, or leave the backbone out for the default one."
        raise BackboneUnsuited(name, f"{why}, which fast needs", hint)
    own = start.preprocessing.crop
    side = config.pictures.image_size or own
    first = {image_side(knobs, side, 0, 2) for knobs in (config.finetune, config.scratch)}
    for seen in sorted({side, *first} - {own}):
        if (refusal := _refusal(network, seen)) is not None:
            hint = f"Leave the image size out: this network was made for {own} x {own} pixels."
            raise BackboneUnsuited(name, f"it cannot see {seen} x {seen} pixels ({refusal})", hint)


def _refusal(network: nn.Module, side: int) -> str | None:
    """Return why a network computes nothing of pictures of a side in pixels, None if it does."""
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, side, side))
    except Exception as error:  # each network refuses in its own way: by an AssertionError, too
        if is_out_of_memory(error):
            raise
        return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return None


def check_disk(folder: Path, start: Start, config: Config) -> None:
    """Raise DiskTooSmall unless what must be written fits; decoded pictures need not."""
    weights = sum(value.numel() * value.element_size() for value in start.state.values())
    runs = config.finetune.seeds + (config.refit != "no")
    copies = CHECKPOINTS * (COPIES + runs) + MODELS
    needed, free = copies * weights + MARGIN_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise DiskTooSmall(folder, needed, free)


def pictures_fit(folder: Path, config: Config, count: int, how: Preprocessing) -> bool:
    """Tell whether decoded pictures may be stored: within the limit, and half of the free disk."""
    free = shutil.disk_usage(folder).free
    return stored_bytes(count, how) <= min(config.pictures.cache_bytes, free // 2)


def _small(spec: TrainSpec, config: Config, looks: Looks, smallest: int) -> Start | None:
    side = looks.uniform_side
    tried = config.scratch_tried
    if spec.preset == "fast" or tried == "no" or spec.init_artifact is not None:
        return None
    if spec.backbone is not None and tried != "yes":
        return None
    uniform = side is not None and side <= SMALL_SIDE
    wanted = tried == "yes" or spec.init == "scratch" or smallest >= PLENTY
    if tried != "yes" and not uniform:
        return None
    if not wanted:
        return None
    seen = config.pictures.image_size or side or SMALL_SIDE
    return small_start(seen, config.scratch.width, config.scratch.blocks)
