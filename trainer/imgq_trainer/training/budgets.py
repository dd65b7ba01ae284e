"""What a time limit has room for: so many epochs of a network, another seed, a last fit.

Without a limit nothing here looks at the clock, and so the result does not depend on it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from imgq_trainer.training.courses import Course
from imgq_trainer.training.gradients import Gradients, Order
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.machine import Machine
from imgq_trainer.training.optimising import begin_training, unfreeze

#: of the time that is left when the networks begin, for the test split and the report
END_SHARE = 0.1
#: how many pictures the pace is measured on, if there is memory for so many
MEASURED = 8
#: steps that are measured after one that warms up; the fastest counts
STEPS = 3
#: of a measured step: what the optimiser, checkpoints and a busier machine may add to it
SLACK = 1.3
#: of a step's time, for a picture that is looked at only
LOOK = 0.4


@dataclass(frozen=True, slots=True)
class Budget:
    """deadline_seconds: of the learning, on the clock; None for no limit."""

    deadline_seconds: float | None
    clock: Callable[[], float] = time.monotonic

    @property
    def limited(self) -> bool:
        return self.deadline_seconds is not None

    def seconds_left(self) -> float:
        if self.deadline_seconds is None:
            return math.inf
        return self.deadline_seconds - self.clock()

    def limit(self, loop: Loop) -> Loop:
        """Return a loop that trains no longer."""
        return replace(loop, machine=replace(loop.machine, deadline_seconds=self.deadline_seconds))


def make_budget(machine: Machine) -> Budget:
    """Leave some of the time that is left for the end of the training."""
    if machine.deadline_seconds is None:
        return Budget(None)
    left = max(machine.deadline_seconds - time.monotonic(), 0.0)
    return Budget(machine.deadline_seconds - END_SHARE * left)


def promised_pace(course: Course, loop: Loop) -> float:
    """Return about how many seconds an epoch will take the loop's team."""
    looks = 0 if course.val is None else LOOK * len(course.val)
    trained = len(course.train) / loop.team.count
    return SLACK * seconds_a_picture(course, loop.machine) * (trained + looks)


def seconds_a_picture(course: Course, machine: Machine) -> float:
    """Measure a step with all blocks that the course will ever train; the network is thrown away.

    A network that has no room for one picture takes for ever.
    """
    with machine.repeatable():
        many = _step_seconds(course, machine, min(MEASURED, len(course.train)))
        return many if many < math.inf else _step_seconds(course, machine, 1)


def _step_seconds(course: Course, machine: Machine, count: int) -> float:
    """Return the seconds for each of some pictures, inf if there is too little memory for them."""
    device, epoch = machine.device, max(course.epochs - 1, 0)
    torch.manual_seed(course.seed)
    network = course.begin().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    unfreeze(network, course.knobs, epoch, course.epochs)
    begin_training(network, course.knobs)
    gradients = Gradients(course, network, course.balance.to(device), machine)
    rows = np.arange(count)
    seconds: list[float] = []
    for step in range(1 + STEPS):
        begun = time.monotonic()
        if gradients.add(Order(epoch, step, rows, 1), [rows]) is None:
            return math.inf
        seconds.append(time.monotonic() - begun)
    return min(seconds[1:]) / count
