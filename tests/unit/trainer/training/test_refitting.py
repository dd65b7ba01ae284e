"""The last fit: what it must not cost, and when it is taken."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.values import Dataset, Example, Findings, Split
from imgq_trainer.errors import Stopped
from imgq_trainer.small_cnn import SmallCnn
from imgq_trainer.training.budgets import Budget
from imgq_trainer.training.candidates import Candidate, Pool, Workshop
from imgq_trainer.training.checkpoints import read_checkpoint
from imgq_trainer.training.config import Config, NetworkKnobs
from imgq_trainer.training.courses import Course
from imgq_trainer.training.events import Stage
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.network_trainers import NetworkTrainer
from imgq_trainer.training.probing import Logits
from imgq_trainer.training.refitting import Refitter, distrust
from imgq_trainer.training.starting import small_start

TRUTH = np.arange(40) % 2
LATE = (
    "The model was trained on the training split alone: there was no time to train it on"
    " validation's pictures too."
)
KNOBS = NetworkKnobs(epochs=3, batch_size=8, learning_rate=0.01, augment="none", picture_passes=0)
START = small_start(16, 8, 0)


def right_about(count: int) -> Logits:
    """Return logits that are right about the first so many pictures."""
    said = np.where(np.arange(40) < count, TRUTH, 1 - TRUTH)
    return np.eye(2, dtype=np.float32)[said]


@pytest.mark.parametrize(("before", "again"), [(30, 40), (30, 30), (30, 26), (0, 1)])
def test_a_last_fit_that_knows_validation_about_as_well_is_taken(before: int, again: int) -> None:
    assert distrust(right_about(before), right_about(again), TRUTH) is None


def test_a_last_fit_that_is_surely_worse_on_what_it_learned_is_refused() -> None:
    assert distrust(right_about(30), right_about(20), TRUTH) == (
        "The model was trained on the training split alone. Fitted again, on validation's pictures"
        " too, it was right about 20 of these 40, and before, when they were new to it, about 30:"
        " that fit is not to be trusted."
    )


def test_a_last_fit_that_gives_no_numbers_is_refused() -> None:
    reason = distrust(right_about(30), np.full((40, 2), np.nan, np.float32), TRUTH)

    assert reason is not None and reason.endswith("it gave no numbers.")


@dataclass
class Bench:
    """A network of 24 pictures that was right about none of 8 others; 3 epochs on all 32."""

    course_of: Callable[..., Course]
    crew: Crew
    folder: Path

    def refit(self, loop: Loop, budget: Budget) -> tuple[Candidate, str]:
        """An epoch takes 10 seconds."""
        shop = Workshop(Pool(self._dataset()), Config(), loop, self.crew, self.folder, 5)
        pictures = self.course_of().train.pictures
        trainer = NetworkTrainer(shop, Stage.SCRATCH, START, pictures, KNOBS, 0, 1)
        course = trainer.refitting(self.best, None)
        return Refitter(shop, trainer, budget, 10 * 24 / 32).refit(self.best, course)

    @property
    def best(self) -> Candidate:
        wrong = np.eye(3, dtype=np.float32)[(np.arange(24, 32) + 1) % 3]
        how = START.preprocessing
        return Candidate("scratch-0", Stage.SCRATCH, START, how, {}, wrong, 3, 3, (), 5)

    def _dataset(self) -> Dataset:
        splits = [Split.TRAIN] * 24 + [Split.VAL] * 8
        examples = tuple(
            Example(b"%02d.png" % number, number % 3, split, b"", None, number)
            for number, split in enumerate(splits)
        )
        return Dataset(("blue", "green", "red"), examples, Findings(), "")


@pytest.fixture
def bench(course_of: Callable[..., Course], crew: Crew, tmp_path: Path) -> Bench:
    return Bench(course_of, crew, tmp_path / "cache")


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Leave memory for so many pictures at once when a network is judged."""
    forward = SmallCnn.forward

    def limit(most: int) -> None:
        def refuse(self: SmallCnn, values: torch.Tensor) -> torch.Tensor:
            if not self.training and len(values) > most:
                raise torch.OutOfMemoryError("out of memory")
            return forward(self, values)

        monkeypatch.setattr(SmallCnn, "forward", refuse)

    return limit


def test_a_last_fit_is_judged_with_whatever_memory_there_is(
    bench: Bench,
    loop_of: Callable[..., Loop],
    said: io.StringIO,
    room_for: Callable[[int], None],
) -> None:
    room_for(2)
    again, words = bench.refit(loop_of(), Budget(None))

    assert words.startswith("The model was trained again on the training and validation splits")
    assert (again.name, len(again.history), again.cut_off) == ("refit", 3, False)
    told = [json.loads(line) for line in said.getvalue().splitlines() if '"log"' in line]
    assert [each["message"].split(": they are ")[1] for each in told] == [
        "computed 4 at a time.",
        "computed 2 at a time.",
    ]


def test_a_last_fit_that_there_is_no_memory_to_judge_costs_no_model(
    bench: Bench, loop_of: Callable[..., Loop], room_for: Callable[[int], None]
) -> None:
    room_for(0)
    kept, words = bench.refit(loop_of(), Budget(None))

    assert kept.name == "scratch-0"
    assert words.endswith(
        "it failed: The stage refit has too little memory for even one picture at a time."
    )


def test_a_last_fit_is_over_when_its_share_of_the_time_is(
    bench: Bench, loop_of: Callable[..., Loop], said: io.StringIO
) -> None:
    hopeful = Budget(0.0, lambda: -1000.0)  # and so it is over at the first step

    kept, words = bench.refit(loop_of(), hopeful)

    assert (kept.name, words) == ("scratch-0", LATE)
    assert "The time is over in epoch 1 of 3 of refit" in said.getvalue()


@pytest.mark.parametrize(("seconds", "name"), [(29, "refit"), (11, "scratch-0")])
def test_a_last_fit_that_was_begun_needs_time_for_the_rest_of_it_only(
    bench: Bench, loop_of: Callable[..., Loop], said: io.StringIO, seconds: int, name: str
) -> None:
    with pytest.raises(Stopped):
        bench.refit(loop_of(stop=lambda: "epoch" in said.getvalue()), Budget(None))
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    last = [each["path"] for each in lines if each["event"] == "checkpoint"][-1]
    end = time.monotonic() + 1000

    before = read_checkpoint(Path(last), "this")
    kept, _ = bench.refit(loop_of(before), Budget(end, lambda: end - seconds))
    assert kept.name == name


def test_a_training_that_is_told_to_stop_does_so_while_its_last_fit_is_judged(
    bench: Bench, loop_of: Callable[..., Loop], said: io.StringIO
) -> None:
    loop = loop_of()
    bench.refit(loop, Budget(None))
    with pytest.raises(Stopped):
        bench.refit(replace(loop, machine=replace(loop.machine, stop=lambda: True)), Budget(None))
