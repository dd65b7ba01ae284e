"""Who computes a step's gradients: this process alone, or it and the hands that it leads."""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

import torch
import torch.distributed as dist
from torch import nn

from imgq_trainer.memory import is_out_of_memory
from imgq_trainer.training.courses import Sample
from imgq_trainer.training.errors import HandBroken, ProcessLost
from imgq_trainer.training.gradients import Add, Gradients, Order, Rows
from imgq_trainer.training.seats import LEADER, Group, answers
from imgq_trainer.training.seen import Seen
from imgq_trainer.training.travelling import Luggage
from imgq_trainer.training.words import Begin, Elsewhere, End, Given, Step, say


class Team(Protocol):
    @property
    def count(self) -> int:
        """How many processes compute."""

    def begin(self, work: Gradients) -> None:
        """Get ready for a course's steps."""

    def compute(self, work: Gradients, order: Order) -> float | None:
        """Let the network have a step's gradients; return the loss of the whole batch.

        None: there was too little memory somewhere, for parts of that size; then, as after a loss
        that is no number, the gradients mean nothing. Raises what Gradients.add does, HandBroken,
        ProcessLost.
        """


@dataclass(frozen=True, slots=True)
class Alone:
    count: int = 1

    def begin(self, work: Gradients) -> None:
        return None

    def compute(self, work: Gradients, order: Order) -> float | None:
        seen = Seen(work.network)
        if not _remembered(seen):
            return None
        loss = work.add(order, order.shares(1)[0])
        if loss is None:
            seen.put_back()
        return loss


ALONE = Alone()


class State(IntEnum):
    """What became of a process's parts of a step."""

    DONE = 0
    TOO_LITTLE_MEMORY = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class Said:
    """Each process's state and share of the loss, by rank: all processes know the same."""

    states: tuple[State, ...]
    losses: tuple[float, ...]

    @property
    def complete(self) -> bool:
        """Whether there are gradients to be added up."""
        return all(state is State.DONE for state in self.states) and math.isfinite(self.loss)

    @property
    def loss(self) -> float:
        return sum(self.losses)


@dataclass(frozen=True, slots=True, eq=False)
class Led:
    """The leader, with the hands of its group: they keep nothing from one step to the next."""

    group: Group

    @property
    def count(self) -> int:
        return self.group.seat.count

    def begin(self, work: Gradients) -> None:
        course, train = work.course, work.course.train
        named = Elsewhere(train.pictures.how, len(train.pictures))
        say(Begin(replace(
            course,
            begin=Given(_on_cpu(work.network)),
            train=Sample(named, train.rows, train.truth),
            val=None,
            balance=work.balance.to(torch.device("cpu")),
        )))  # fmt: skip

    def compute(self, work: Gradients, order: Order) -> float | None:
        luggage, shares = Luggage(work.network), order.shares(self.count)
        flat = _packed(luggage)
        if flat is None:
            return None
        say(Step(order, luggage.size))
        with answers():
            dist.broadcast(flat, LEADER, group=self.group.tensors)
        said = answer(self.group, work.add, order, shares[LEADER])
        for rank, state in enumerate(said.states):
            if state is State.BROKEN:
                work.add(order, shares[rank])  # for pictures, with the error that they deserve
                raise HandBroken(rank, self.count)
        if State.TOO_LITTLE_MEMORY in said.states:
            luggage.put_back()
            return None
        if said.complete:
            counts = [len(share) for share in shares]
            add_up(self.group, luggage, flat, counts)
            luggage.take_sum(flat, counts)
        return said.loss


@contextmanager
def leading(group: Group) -> Iterator[Led]:
    """Lead the hands until the block ends well; else they notice that the leader is gone.

    When one of them is lost, so are all.
    """
    try:
        yield Led(group)
        say(End())
    except ProcessLost:
        group.end_others()
        raise


def answer(group: Group, add: Add, order: Order, parts: Sequence[Rows]) -> Said:
    """Compute a process's parts, and exchange with all others what became of them.

    Raises what the computing raises but for want of memory, when all others know; ProcessLost.
    """
    loss: float | None = None
    try:
        loss = add(order, parts)
    except BaseException as error:
        if not is_out_of_memory(error):
            exchange(group, State.BROKEN, 0.0)
            raise
    if loss is None:
        return exchange(group, State.TOO_LITTLE_MEMORY, 0.0)
    return exchange(group, State.DONE, loss)


def exchange(group: Group, state: State, loss: float) -> Said:
    mine = torch.tensor([float(state), loss], dtype=torch.float64)
    each = [torch.empty_like(mine) for _ in range(group.seat.count)]
    with answers():
        dist.all_gather(each, mine)
    told = [values.tolist() for values in each]
    return Said(tuple(State(int(code)) for code, _ in told), tuple(loss for _, loss in told))


def add_up(group: Group, luggage: Luggage, flat: torch.Tensor, counts: Sequence[int]) -> None:
    """Fill a buffer with the sum of what all processes' parts came to: whole at the leader only.

    flat: in which the weights came.
    """
    luggage.put_changes(flat, group.seat.rank, counts)
    with answers():
        dist.reduce(flat, LEADER, group=group.tensors)


def _remembered(seen: Seen) -> bool:
    """Remember what norms have seen; False: there is too little memory for it."""
    try:
        seen.remember()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _packed(luggage: Luggage) -> torch.Tensor | None:
    """Return what travels; None if there is too little memory for it."""
    try:
        return luggage.pack()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def _on_cpu(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to("cpu")
