import io
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imgq_trainer.errors import Stopped
from imgq_trainer.training.checkpoints import Checkpoint, read_checkpoint
from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.courses import Course
from imgq_trainer.training.errors import OutOfMemory, TrainingDiverged
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.machine import Machine

CourseOf = Callable[..., Course]
LoopOf = Callable[..., Loop]
KNOBS = NetworkKnobs(
    epochs=3, batch_size=8, learning_rate=0.01, layer_decay=1.0, patience=0, augment="light"
)
RICH = KNOBS.model_copy(
    update={"ema": 0.9, "mixup": 0.2, "cutmix": 0.5, "random_erasing": 0.5, "gradual": True}
)


def same(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def events(said: io.StringIO, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    return [line for line in lines if line["event"] == kind]


def last_checkpoint(said: io.StringIO) -> Checkpoint:
    return read_checkpoint(Path(events(said, "checkpoint")[-1]["path"]), "this")


def stop_after(checks: int) -> Callable[[], bool]:
    count = itertools.count()
    return lambda: next(count) >= checks


def test_a_course_keeps_its_schedule_when_it_goes_on(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    with pytest.raises(Stopped):
        loop_of(stop=stop_after(4)).train(course_of())
    # Another device might afford more.
    trained = loop_of(last_checkpoint(said)).train(course_of(epochs=9, stop_after=9))

    assert (trained.epochs, len(trained.history)) == (3, 3)


def test_the_loss_falls_on_32_pictures(loop_of: LoopOf, course_of: CourseOf) -> None:
    trained = loop_of().train(course_of(KNOBS.model_copy(update={"epochs": 12, "augment": "none"})))

    losses = [row["train_loss"] for row in trained.history]
    assert losses[-1] < 0.7 * losses[0]
    assert trained.val_logits.shape == (8, 3)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_the_same_seed_gives_the_same_weights(
    loop_of: LoopOf, course_of: CourseOf, optimiser: str
) -> None:
    knobs = RICH.model_copy(update={"optimiser": optimiser})
    one, other = (loop_of().train(course_of(knobs)) for _ in range(2))

    assert same(one.state, other.state)
    assert one.history == other.history


def test_another_seed_gives_other_weights(loop_of: LoopOf, course_of: CourseOf) -> None:
    one, other = (loop_of().train(course_of(seed=seed)) for seed in (1, 2))
    assert not same(one.state, other.state)


@pytest.mark.parametrize("checks", [1, 3, 4, 8])  # 3: between an epoch and its validation
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO, checks: int, optimiser: str
) -> None:
    knobs = RICH.model_copy(update={"optimiser": optimiser})
    whole = loop_of().train(course_of(knobs))
    with pytest.raises(Stopped):
        loop_of(stop=stop_after(checks)).train(course_of(knobs))
    torch.manual_seed(99)

    rest = loop_of(last_checkpoint(said)).train(course_of(knobs))

    assert same(rest.state, whole.state)
    assert rest.history == whole.history
    assert np.array_equal(rest.val_logits, whole.val_logits)


def test_a_finished_course_is_not_trained_again(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    trained = loop_of().train(course_of())
    epochs = len(events(said, "epoch"))

    again = loop_of(last_checkpoint(said)).train(course_of())

    assert same(again.state, trained.state)
    assert (again.history, again.best_epoch) == (trained.history, trained.best_epoch)
    assert len(events(said, "epoch")) == epochs


def test_every_epoch_is_said_with_its_figures(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    trained = loop_of().train(course_of())

    rows = events(said, "epoch")
    assert [(row["epoch"], row["epochs"], row["stage"]) for row in rows] == [
        (number, 3, "scratch") for number in (1, 2, 3)
    ]
    kept = [{name: row[name] for name in trained.history[0]} for row in rows]
    assert kept == list(trained.history)


def test_it_stops_when_validation_gets_no_better(loop_of: LoopOf, course_of: CourseOf) -> None:
    knobs = KNOBS.model_copy(update={"epochs": 50, "learning_rate": 1e-9, "patience": 2})
    assert len(loop_of().train(course_of(knobs)).history) < 20


def test_without_validation_the_last_weights_count(loop_of: LoopOf, course_of: CourseOf) -> None:
    trained = loop_of().train(course_of(val=None, stop_after=2))

    assert trained.best_epoch == len(trained.history) == 2
    assert trained.val_logits.shape == (0, 3)


def test_a_loss_that_is_no_number_is_tried_again_more_slowly_and_then_told(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    knobs = KNOBS.model_copy(update={"learning_rate": 1e30, "clip_norm": 0.0, "warmup": 0.0})
    with pytest.raises(TrainingDiverged, match="scratch"):
        loop_of().train(course_of(knobs))

    assert "once more" in events(said, "log")[0]["message"]


class Hungry(nn.Module):
    """Has memory for so many pictures at once, while it learns or while it is judged."""

    def __init__(self, inner: nn.Module, most: int, learning: bool = True) -> None:
        super().__init__()
        self.inner, self.most, self.learning = inner, most, learning

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if self.training is self.learning and len(values) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        scores: torch.Tensor = self.inner(values)
        return scores


def test_too_little_memory_halves_what_is_computed_at_once(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    frozen = KNOBS.model_copy(update={"freeze_norms": True, "bf16": False, "epochs": 1})
    begin = course_of().begin
    hungry = loop_of().train(course_of(frozen, begin=lambda: Hungry(begin(), 2)))
    fed = loop_of().train(course_of(frozen, begin=lambda: Hungry(begin(), 99)))

    told = [event["message"].split(" computed in ")[1] for event in events(said, "log")]
    assert told == [f"{parts} parts; this changes nothing but the speed." for parts in (2, 4)]
    for name, value in fed.state.items():
        torch.testing.assert_close(hungry.state[name], value, rtol=0, atol=1e-3)


def test_too_little_memory_in_validation_halves_what_is_computed_at_once(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    plain = KNOBS.model_copy(update={"bf16": False, "epochs": 1})
    begin = course_of().begin
    hungry = loop_of().train(course_of(plain, begin=lambda: Hungry(begin(), 3, False)))
    fed = loop_of().train(course_of(plain, begin=lambda: Hungry(begin(), 99, False)))

    told = [event["message"].split(": they are ")[1] for event in events(said, "log")]
    assert told == ["computed 4 at a time.", "computed 2 at a time."]
    np.testing.assert_allclose(hungry.val_logits, fed.val_logits, rtol=0, atol=1e-4)


def test_memory_for_no_picture_of_validation_is_told(loop_of: LoopOf, course_of: CourseOf) -> None:
    begin = course_of().begin
    with pytest.raises(OutOfMemory, match="scratch"):
        loop_of().train(course_of(begin=lambda: Hungry(begin(), 0, False)))


def test_memory_for_no_picture_is_told(loop_of: LoopOf, course_of: CourseOf) -> None:
    begin = course_of().begin
    with pytest.raises(OutOfMemory, match="scratch"):
        loop_of().train(course_of(begin=lambda: Hungry(begin(), 0)))


def test_when_the_time_is_over_the_best_so_far_counts(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    loop = loop_of()
    late = replace(loop, machine=replace(loop.machine, deadline_seconds=0.0))

    trained = late.train(course_of())
    assert (len(trained.history), trained.cut_off) == (1, True)
    assert events(said, "log")[0]["message"] == (
        "The time is over in epoch 1 of 3 of scratch; the best weights so far count."
    )
    assert loop_of(last_checkpoint(said)).train(course_of()).cut_off


def test_the_time_until_the_end_counts_what_comes_after_the_course_and_the_limit(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO
) -> None:
    loop = loop_of()
    soon = replace(loop, machine=replace(loop.machine, deadline_seconds=time.monotonic() + 1e3))

    loop.train(course_of(name="alone", stop_after=1))
    loop.train(course_of(name="followed", stop_after=1, later_epochs=10))
    soon.train(course_of(name="limited", stop_after=1, later_epochs=10**9))
    alone, followed, limited = (each["eta_seconds"] for each in events(said, "epoch"))
    assert alone == 0 < followed < 900 < limited <= 1000


@pytest.mark.parametrize(("batch", "cut_off"), [(8, True), (24, False)])
def test_a_last_epoch_that_the_clock_cut_is_not_whole_and_one_that_it_did_not_cut_is(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO, batch: int, cut_off: bool
) -> None:
    loop = loop_of()
    late = replace(loop, machine=replace(loop.machine, deadline_seconds=0.0))
    knobs = KNOBS.model_copy(update={"batch_size": batch})

    assert late.train(course_of(knobs, stop_after=1)).cut_off is cut_off
    assert len(events(said, "log")) == cut_off


def test_a_course_that_patience_ends_as_time_is_over_was_not_cut_off(
    loop_of: LoopOf, course_of: CourseOf, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = iter([False, True])  # asked after each step, and an epoch has one
    monkeypatch.setattr(Machine, "time_is_over", lambda _: next(over))
    still = {"batch_size": 24, "learning_rate": 1e-30, "freeze_norms": True, "patience": 1}
    trained = loop_of().train(course_of(KNOBS.model_copy(update=still)))

    assert (len(trained.history), trained.cut_off) == (2, False)
    assert events(said, "log") == []
