"""The networks of a training, one seed after the other, as far as its time goes.

Each network has a turn before any has a second one. Where there is a limit, further seeds go first,
then epochs: a schedule that comes to its end is worth more than one that is cut off.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from imgq_trainer.training.budgets import Budget, promised_pace
from imgq_trainer.training.candidates import Candidate
from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.courses import Course
from imgq_trainer.training.errors import OutOfMemory, TrainingDiverged
from imgq_trainer.training.events import Stage
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.probing import Probe

#: how many times as fast as it was measured a network may turn out to be
HOPE = 3


class Trains(Protocol):
    """A network's trainer; knobs.seeds: how many courses it has."""

    @property
    def stage(self) -> Stage: ...

    @property
    def knobs(self) -> NetworkKnobs: ...

    def course(self, probe: Probe | None, number: int) -> Course: ...

    def train(self, course: Course, loop: Loop) -> Candidate: ...


@dataclass(slots=True, eq=False)
class Networks:
    """What was made, in the order of the trainers, and what there was no time for."""

    trainers: Sequence[Trains]
    probe: Probe | None
    loop: Loop
    budget: Budget
    #: whether time is to be left for training the best one once more
    refitted: bool
    #: whether there is another model if all of these fail
    others: bool
    #: promises how many seconds an epoch takes
    measure: Callable[[Course, Loop], float] = promised_pace
    cuts: list[str] = field(default_factory=list)
    _made: dict[int, list[Candidate]] = field(default_factory=dict)
    _failed: set[int] = field(default_factory=set)
    #: whose first turn took more than its share of the time: one epoch did
    _beyond: set[int] = field(default_factory=set)
    #: seconds an epoch, by trainer
    _paces: dict[int, float] = field(default_factory=dict)
    _stage: Stage | None = None

    @property
    def made(self) -> list[Candidate]:
        return [each for place in sorted(self._made) for each in self._made[place]]

    def train(self) -> None:
        """Raises Stopped; TrainingDiverged and OutOfMemory if there is no other model."""
        turns = list(self._turns())
        for behind, (number, place) in enumerate(turns, start=1):
            if place in self._failed:
                continue
            trainer = self.trainers[place]
            course = trainer.course(self._probe_for(trainer), number)
            allowed = self._allowed(place, number, course)
            if allowed is not None:
                later = sum(each not in self._failed for _, each in turns[behind:]) + self.refitted
                allowed = replace(allowed, later_epochs=later * allowed.stop_after)
                self._run(place, number, allowed, course.epochs)
        for place, trainer in enumerate(self.trainers):
            self._count_seeds(place, trainer)

    def pace_of(self, candidate: Candidate) -> float:
        """Return how many seconds an epoch of a network took here, nan if it was not trained."""
        for place, made in self._made.items():
            if any(each is candidate for each in made):
                return self._paces.get(place, math.nan)
        return math.nan

    def _turns(self) -> Iterator[tuple[int, int]]:
        most = max((trainer.knobs.seeds for trainer in self.trainers), default=0)
        for number in range(most):
            for place, trainer in enumerate(self.trainers):
                if number < trainer.knobs.seeds:
                    yield number, place

    def _allowed(self, place: int, number: int, course: Course) -> Course | None:
        """Return the course with the epochs that there is time for; None if it is left out."""
        if not self.budget.limited or self._begun(course):
            return course
        self._say(self.trainers[place].stage)  # its pace is measured
        pace = self._pace(place, course)
        left = self.budget.seconds_left()
        if number:
            epochs = min(int(left / (1 + self.refitted) / pace), course.epochs)
            enough = epochs >= self._made[place][0].epochs
            return replace(course, epochs=epochs, stop_after=epochs) if enough else None
        epochs = min(int(left / self._shares(place) / pace), course.epochs)
        if not epochs:
            self._beyond.add(place)
        if left * HOPE < pace and (self.others or self._made):
            each = f"an epoch takes about {pace:,.0f} s" if pace < math.inf else "it is too large"
            self._cut(f"There was no time for {course.stage}: {each}.")
            self._failed.add(place)
            return None
        return replace(course, epochs=max(epochs, 1), stop_after=max(epochs, 1))

    def _pace(self, place: int, course: Course) -> float:
        """Return how many seconds an epoch takes: as long as one did, or as a step promises."""
        if place not in self._paces:
            self._paces[place] = self.measure(course, self.loop)
        return self._paces[place]

    def _shares(self, place: int) -> int:
        """Return for how many the time that is left must do: first turns, and the last fit."""
        return len(self.trainers) - place + self.refitted

    def _kept(self, place: int) -> str:
        """Say for what a part of the time was kept when a network had its first turn."""
        parts, others = [], len(self.trainers) - place - 1
        if others:
            parts.append("another network" if others == 1 else f"{others} other networks")
        if self.refitted:
            parts.append("a last fit on validation's pictures too")
        return f"; as much was kept for {' and as much for '.join(parts)}" if parts else ""

    def _run(self, place: int, number: int, course: Course, wanted: int) -> None:
        """Train; a failure is the end only if there is no other model."""
        trainer = self.trainers[place]
        self._say(trainer.stage)
        fresh, begun = not self._begun(course), self.budget.clock()
        try:
            made = trainer.train(course, self.budget.limit(self.loop))
        except (TrainingDiverged, OutOfMemory) as error:
            if not self.others and not self._made:
                raise
            self.loop.events.log(f"{error} The models made before count.", "warning")
            self._failed.add(place)
            return
        behind = len(made.history)
        if fresh and behind:
            self._paces[place] = (self.budget.clock() - begun) / behind
        self._made.setdefault(place, []).append(made)
        seeds = trainer.knobs.seeds
        which = f"{trainer.stage}, seed {number + 1} of {seeds}" if seeds > 1 else trainer.stage
        if made.cut_off:
            self._cut(f"The time was over in epoch {behind} of {wanted} of {which}.")
        elif made.epochs < wanted:
            kept = "" if number or place in self._beyond else self._kept(place)
            self._cut(f"There was time for {made.epochs} of {wanted} epochs of {which}{kept}.")

    def _begun(self, course: Course) -> bool:
        """Tell whether the course was begun before the training was cut off."""
        keeper = self.loop.keeper
        return course.name in keeper.finished or keeper.underway(course.name) is not None

    def _count_seeds(self, place: int, trainer: Trains) -> None:
        made, seeds = len(self._made.get(place, ())), trainer.knobs.seeds
        if made and made < seeds and place not in self._failed:
            self._cut(f"There was time for {made} of {seeds} seeds of {trainer.stage}.")

    def _probe_for(self, trainer: Trains) -> Probe | None:
        return self.probe if trainer.stage is Stage.FINETUNE else None

    def _say(self, stage: Stage) -> None:
        if stage is not self._stage:
            self._stage = stage
            self.loop.events.stage(stage)

    def _cut(self, words: str) -> None:
        self.cuts.append(words)
        self.loop.events.log(words, "warning")
