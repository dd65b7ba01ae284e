"""What is trained, and how long, within a time; a clock of the test's own makes it pass."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from imgq_trainer.training.budgets import Budget
from imgq_trainer.training.candidates import Candidate
from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.courses import Course
from imgq_trainer.training.errors import TrainingDiverged
from imgq_trainer.training.events import Stage
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.probing import Probe
from imgq_trainer.training.starting import small_start
from imgq_trainer.training.teams import Alone
from imgq_trainer.training.turns import Networks

CourseOf = Callable[..., Course]
LoopOf = Callable[..., Loop]
START = small_start(16, 8, 0)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeTrainer:
    """Takes some seconds for each epoch."""

    stage: Stage
    knobs: NetworkKnobs
    course_of: CourseOf
    clock: Clock
    seconds: float
    fails: bool = False
    #: in this epoch the time is over
    cut_in: int | None = None
    trained: list[tuple[str, int]] = field(default_factory=list)
    #: how many epochs each course was told to be followed by
    later: list[int] = field(default_factory=list)

    def course(self, probe: Probe | None, number: int) -> Course:
        return self.course_of(self.knobs, name=f"{self.stage}-{number}", stage=self.stage)

    def train(self, course: Course, loop: Loop) -> Candidate:
        if self.fails:
            raise TrainingDiverged(course.stage, 1)
        self.clock.now += self.seconds * course.epochs
        self.trained.append((course.name, course.epochs))
        self.later.append(course.later_epochs)
        logits = np.zeros((8, 3), np.float32)
        how, epochs, cut_off = START.preprocessing, course.epochs, self.cut_in is not None
        history = tuple({"epoch": epoch} for epoch in range(self.cut_in or epochs))
        return Candidate(
            course.name, course.stage, START, how, {}, logits, epochs, epochs, history, 0, cut_off
        )


@dataclass
class Bench:
    """Two networks of three seeds and ten epochs each, of 10 and 1 seconds an epoch."""

    loop: Loop
    course_of: CourseOf
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        knobs = NetworkKnobs(epochs=10, seeds=3, patience=0)
        self.large = FakeTrainer(Stage.FINETUNE, knobs, self.course_of, self.clock, 10)
        self.small = FakeTrainer(Stage.SCRATCH, knobs, self.course_of, self.clock, 1)

    def train(self, seconds: float | None, *, others: bool = True) -> Networks:
        budget = Budget(seconds, self.clock)
        paces = {Stage.FINETUNE: 10.0, Stage.SCRATCH: 1.0}
        networks = Networks(
            (self.large, self.small),
            None,
            self.loop,
            budget,
            True,
            others,
            lambda course, _loop: paces[course.stage],
        )
        networks.train()
        return networks


@pytest.fixture
def bench(loop_of: LoopOf, course_of: CourseOf) -> Bench:
    return Bench(loop_of(), course_of)


def test_without_a_limit_every_seed_is_trained_in_full(bench: Bench) -> None:
    networks = bench.train(None)

    assert bench.large.trained == [(f"finetune-{number}", 10) for number in range(3)]
    assert bench.small.trained == [(f"scratch-{number}", 10) for number in range(3)]
    assert [each.name for each in networks.made] == [
        *(f"finetune-{number}" for number in range(3)),
        *(f"scratch-{number}" for number in range(3)),
    ]
    assert networks.cuts == []


def test_each_course_knows_how_many_epochs_are_to_come_after_it(bench: Bench) -> None:
    bench.train(None)

    assert (bench.large.later, bench.small.later) == ([60, 40, 20], [50, 30, 10])


def test_every_network_has_a_turn_before_any_has_a_second(bench: Bench) -> None:
    networks = bench.train(300)

    assert bench.large.trained == [("finetune-0", 10)]
    assert bench.small.trained == [(f"scratch-{number}", 10) for number in range(3)]
    assert networks.cuts == ["There was time for 1 of 3 seeds of finetune."]


def test_a_schedule_is_shortened_to_its_share_of_the_time(bench: Bench) -> None:
    networks = bench.train(90)

    assert bench.large.trained == [("finetune-0", 3)]  # a third: the small one, and the last fit
    assert bench.small.trained[0] == ("scratch-0", 10)
    assert networks.cuts[0] == (
        "There was time for 3 of 10 epochs of finetune, seed 1 of 3; as much was kept for another"
        " network and as much for a last fit on validation's pictures too."
    )


def test_nothing_is_said_to_be_kept_when_one_epoch_takes_more_than_its_share(bench: Bench) -> None:
    networks = bench.train(20)

    assert bench.large.trained == [("finetune-0", 1)]
    assert networks.cuts[0] == "There was time for 1 of 10 epochs of finetune, seed 1 of 3."


def test_a_pace_that_was_measured_is_that_of_the_whole_team(bench: Bench) -> None:
    bench.loop = replace(bench.loop, team=Alone(count=4))

    networks = bench.train(90)

    assert bench.large.trained == [("finetune-0", 3)]
    assert networks.cuts[0] == (
        "There was time for 3 of 10 epochs of finetune, seed 1 of 3; as much was kept for another"
        " network and as much for a last fit on validation's pictures too."
    )


def test_a_network_is_said_to_be_cut_off_in_the_epoch_in_which_the_time_was_over(
    bench: Bench,
) -> None:
    bench.large.cut_in = 10

    assert (
        bench.train(None).cuts[0] == "The time was over in epoch 10 of 10 of finetune, seed 1 of 3."
    )


def test_a_network_that_is_faster_than_it_promised_gets_a_longer_schedule(bench: Bench) -> None:
    bench.large.seconds = 2

    bench.train(90)

    assert bench.large.trained == [("finetune-0", 3), ("finetune-1", 10), ("finetune-2", 10)]


def test_a_network_without_any_hope_is_left_out_and_the_other_one_gets_the_time(
    bench: Bench,
) -> None:
    networks = bench.train(3)  # the last fit would take one of them

    assert (bench.large.trained, bench.small.trained) == ([], [("scratch-0", 1), ("scratch-1", 1)])
    assert networks.cuts[0] == "There was no time for finetune: an epoch takes about 10 s."


def test_a_network_is_tried_however_little_time_there_is_if_nothing_else_was_made(
    bench: Bench,
) -> None:
    bench.train(0.0, others=False)

    assert bench.large.trained == [("finetune-0", 1)]


def test_a_network_that_fails_costs_no_other_one(bench: Bench) -> None:
    bench.large.fails = True

    assert {each.stage for each in bench.train(None).made} == {Stage.SCRATCH}
    with pytest.raises(TrainingDiverged):
        bench.train(None, others=False)
