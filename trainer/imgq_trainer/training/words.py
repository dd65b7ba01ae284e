"""What the leader of several processes tells its hands, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import nn

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.training.courses import Course
from imgq_trainer.training.gradients import Order
from imgq_trainer.training.seats import LEADER, answers


@dataclass(frozen=True, slots=True, eq=False)
class Begin:
    """The leader's word before a course. Its pictures are named only; `begin` has the network."""

    course: Course


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The leader's word before a step; so many numbers of weights follow."""

    order: Order
    size: int


@dataclass(frozen=True, slots=True)
class End:
    """The leader's last word."""


Word = Begin | Step | End


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Pictures that whoever hears of them opens."""

    how: Preprocessing
    count: int

    def __len__(self) -> int:
        return self.count

    def take(self, rows: Sequence[int]) -> Pixels:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Given:
    """A network that travels with its course."""

    network: nn.Module

    def __call__(self) -> nn.Module:
        return self.network


def say(word: Word) -> None:
    """Tell all hands. Raises ProcessLost."""
    with answers():
        dist.broadcast_object_list([word], LEADER)


def hear() -> Word:
    """Wait for the leader's next word, for as long as it lives. Raises ProcessLost."""
    words: list[Any] = [None]
    with answers():
        dist.broadcast_object_list(words, LEADER)
    word: Word = words[0]
    return word
