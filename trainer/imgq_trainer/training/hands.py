"""A hand: a process that computes gradients of its part of each batch, and decides nothing."""

import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import torch
import torch.distributed as dist

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.classifier import find_device
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.snapshots import read_dataset
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.memory import is_out_of_memory
from imgq_trainer.training.candidates import Pool
from imgq_trainer.training.courses import Course
from imgq_trainer.training.errors import OutOfMemory
from imgq_trainer.training.gradients import Gradients, Order, Rows
from imgq_trainer.training.machine import Machine, share_of
from imgq_trainer.training.optimising import begin_training, unfreeze
from imgq_trainer.training.pictures import Pictures, decoded_pictures, find_stored
from imgq_trainer.training.seats import LEADER, Group, Seat, answers, device_of, joined
from imgq_trainer.training.spec import TrainSpec
from imgq_trainer.training.teams import add_up, answer
from imgq_trainer.training.travelling import Luggage
from imgq_trainer.training.words import Begin, End, Step, hear


def lend_hand(spec: TrainSpec, seat: Seat) -> None:
    """Do what the leader says, until its last word.

    Who has joined is not asked to stop: the leader is, and a hand ends with it. Raises ProcessLost
    when the leader is gone; whatever goes wrong in computing, after the leader was told.
    """
    device = device_of(seat, find_device(spec.device))
    machine = Machine(device, share_of(spec.threads, seat.count, device), lambda: False)
    with (
        Crew(machine.threads) as crew,
        ExitStack() as stack,
        machine.repeatable(),
        joined(seat, spec.work_dir, device, spec.answer_seconds) as group,
    ):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        hand = _Hand(spec, group, machine, crew, stack)
        while not isinstance(word := hear(), End):
            if isinstance(word, Begin):
                hand.begin(word)
            else:
                hand.step(word)


@dataclass(slots=True, eq=False)
class _Hand:
    spec: TrainSpec
    group: Group
    machine: Machine
    crew: Crew
    #: closes what pictures hold open
    stack: ExitStack
    #: of the course that was begun last
    stage: str = ""
    work: Gradients | None = None
    #: what went wrong before a step: it is told with the first one
    broken: Exception | None = None
    views: dict[Preprocessing, Pictures] = field(default_factory=dict)

    def begin(self, word: Begin) -> None:
        self.stage, self.work, self.broken = word.course.stage, None, None
        try:
            self.work = self._work(word.course)
        except Exception as error:
            self.broken = error

    def _work(self, course: Course) -> Gradients:
        train = replace(course.train, pictures=self._pictures(course.train.pictures.how))
        device = self.machine.device
        network = course.begin().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        balance = course.balance.to(device)
        return Gradients(replace(course, train=train), network, balance, self.machine)

    def step(self, word: Step) -> None:
        order, shares = word.order, word.order.shares(self.group.seat.count)
        flat = self._buffer(word.size)
        with answers():
            dist.broadcast(flat, LEADER, group=self.group.tensors)
        luggage: list[Luggage] = []

        def add(order: Order, parts: Sequence[Rows]) -> float | None:
            luggage.append(self._unpack(order, flat))
            assert self.work is not None
            return self.work.add(order, parts)

        if answer(self.group, add, order, shares[self.group.seat.rank]).complete:
            add_up(self.group, luggage[0], flat, [len(share) for share in shares])

    def _buffer(self, size: int) -> torch.Tensor:
        """Return what the weights come in; without it there is no answer, and all of them end."""
        try:
            return torch.empty(size, device=self.machine.device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(self.stage) from error

    def _unpack(self, order: Order, flat: torch.Tensor) -> Luggage:
        if self.broken is not None:
            raise self.broken
        assert self.work is not None  # a course begins before its steps
        course, network = self.work.course, self.work.network
        unfreeze(network, course.knobs, order.epoch, course.epochs)
        begin_training(network, course.knobs)
        for value in network.parameters():
            value.grad = None
        luggage = Luggage(network)
        luggage.unpack(flat)
        return luggage

    def _pictures(self, how: Preprocessing) -> Pictures:
        """Return the leader's stored pictures, or else decode them here."""
        if how not in self.views:
            spec = self.spec
            examples = Pool(read_dataset(spec.work_dir / "dataset")).examples
            stored = find_stored(examples, how, spec.work_dir / "cache")
            limits = ReadLimits(spec.max_pixels, spec.max_file_bytes)
            self.views[how] = stored or self.stack.enter_context(
                decoded_pictures(spec.root, examples, how, limits, self.crew)
            )
        return self.views[how]
