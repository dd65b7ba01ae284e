"""The gradients of a part of a batch: the same in whichever process they are computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from imgq_trainer.memory import is_out_of_memory
from imgq_trainer.training.augmenting import Policy, View, blend, policy_of
from imgq_trainer.training.courses import Course
from imgq_trainer.training.machine import Machine
from imgq_trainer.training.optimising import image_side
from imgq_trainer.training.weighing import Balance

#: places in a course's sample
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """One step: the places of its batch, and how many parts each process computes it in."""

    epoch: int
    step: int
    rows: Rows
    parts: int

    def shares(self, processes: int) -> list[list[Rows]]:
        """Return each process's parts. The first one has some, whatever the batch's size."""
        parts = np.array_split(self.rows, min(processes * self.parts, len(self.rows)))
        places = np.array_split(np.arange(len(parts)), processes)
        return [[parts[place] for place in mine] for mine in places]


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """What computes them. network: on the machine's device, as is the balance."""

    course: Course
    network: nn.Module
    balance: Balance
    machine: Machine

    def add(self, order: Order, parts: Sequence[Rows]) -> float | None:
        """Add the parts' gradients to the network's; return their share of the batch's loss.

        None: there is too little memory for parts of that size. Raises DatasetChanged,
        PictureUnreadable.
        """
        view = view_of(self.course, order.epoch, self.machine.device)
        policy = policy_of(self.course.knobs, view.how)
        try:
            return sum(self._add(order, view, policy, part) for part in parts)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out of the handler: the error's traceback would keep the step's memory.
        for value in self.network.parameters():
            value.grad = None
        self.machine.free_memory()
        return None

    def _add(self, order: Order, view: View, policy: Policy | None, part: Rows) -> float:
        course, knobs = self.course, self.course.knobs
        draw = np.random.default_rng((course.seed, order.epoch, order.step, int(part[0])))
        torch.manual_seed(int(draw.integers(1 << 62)))  # for dropout
        pixels = course.train.pictures.take(course.train.rows[part].tolist())
        if policy is None:
            values = view.plain(pixels)
        else:
            keys = [(course.seed, order.epoch, int(row)) for row in part]
            values = view.changed(pixels, policy, keys)
        truth = torch.from_numpy(course.train.truth[part]).to(self.machine.device)
        targets: torch.Tensor = truth
        if knobs.mixup or knobs.cutmix:
            chosen = torch.nn.functional.one_hot(truth, course.classes).to(torch.float32)
            values, targets = blend(values, chosen, knobs, draw)
        with self.machine.autocast(knobs.bf16):
            scores = self.network(values)
        loss = self.balance.loss(scores.float(), targets, knobs.label_smoothing)
        share = loss * (len(part) / len(order.rows))
        share.backward()  # type: ignore[no-untyped-call]
        return float(share.detach())


#: adds the gradients of some parts, as Gradients.add does
Add = Callable[[Order, Sequence[Rows]], float | None]


def view_of(course: Course, epoch: int, device: torch.device) -> View:
    """Return how an epoch sees its pictures."""
    how = course.train.pictures.how
    side = image_side(course.knobs, how.crop, epoch, course.epochs)
    return View(how, side, device)
