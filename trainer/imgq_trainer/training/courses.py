"""One course of training: what is trained, on which pictures, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from imgq_trainer.evaluating.confusion import class_shares, confusion_matrix, macro, tally
from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.events import Stage
from imgq_trainer.training.pictures import Pictures
from imgq_trainer.training.probing import Logits, Truth
from imgq_trainer.training.weighing import Balance

#: EfficientNet-Lite0's floating point operations for one picture of 224 x 224
LITE0_FLOPS = 0.77e9
LITE0_SIDE = 224


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some of the pictures. rows: their numbers, (N,); truth: their labels, (N,)."""

    pictures: Pictures
    rows: npt.NDArray[np.int64]
    truth: Truth

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    #: of its own within a training, as in "finetune-0"
    name: str
    #: what events call it: a stage, and which of its courses, from 1
    stage: Stage
    run: int
    runs: int
    #: builds the network it starts with, always the same one
    begin: Callable[[], nn.Module]
    classes: int
    knobs: NetworkKnobs
    train: Sample
    #: None to train on to the end, whatever comes
    val: Sample | None
    balance: Balance
    #: the schedule is for so many epochs; after `stop_after` of them the course ends
    epochs: int
    stop_after: int
    seed: int
    #: about how many epochs of other courses are to come after it
    later_epochs: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a course came to: its best weights, and what they say of validation's pictures."""

    state: Mapping[str, torch.Tensor]
    #: (N, K), of the best epoch; no rows without validation
    val_logits: Logits
    #: the epoch that the weights are of, from 1
    best_epoch: int
    #: what the schedule was for
    epochs: int
    #: as in events.Epoch
    history: tuple[dict[str, Any], ...]
    #: whether time was over before the course was: its last epoch may be a part of one
    cut_off: bool


def macro_f1(logits: Logits, truth: Truth) -> float:
    """Return the mean F1 of the classes with pictures, 0 without any picture."""
    if not len(truth):
        return 0.0
    predicted = logits.argmax(1).astype(np.int64)
    counts = tally(confusion_matrix(truth, predicted, logits.shape[1]))
    return float(macro(class_shares(counts).f1, counts.support))


def affordable_epochs(
    knobs: NetworkKnobs, network: nn.Module, pictures: int, side: int, device: torch.device
) -> int:
    """Return how many epochs are within the knobs' limits; the same on every machine.

    pictures: in an epoch. side: of what the network sees, in pixels.
    """
    if device.type != "cpu" or not knobs.picture_passes:
        return knobs.epochs
    passes = pictures * cost_of(network, side)
    return max(min(knobs.epochs, int(knobs.picture_passes / passes)), 1)


def cost_of(network: nn.Module, side: int) -> float:
    """Return about how many times as long a picture takes as a large one through Lite0.

    Measured on CPUs, time grows with the pixels, and with the square root of the operations for
    each: larger networks make better use of a processor than Lite0's thin convolutions.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    share = (side / LITE0_SIDE) ** 2
    relative = max(counter.get_total_flops(), 1) / (LITE0_FLOPS * share)
    return float(share * np.sqrt(relative))
