import numpy as np
import pytest

from imgq_trainer.training.candidates import Candidate, choose, learned_nothing
from imgq_trainer.training.errors import NoProgress
from imgq_trainer.training.events import Stage
from imgq_trainer.training.starting import small_start

START = small_start(16, 8, 0)
TRUTH = np.arange(100) % 2


def candidate(stage: Stage, right: int, losses: tuple[float, ...] = ()) -> Candidate:
    """Return a candidate that is right about the first so many of the pictures."""
    said = np.where(np.arange(100) < right, TRUTH, 1 - TRUTH)
    logits = np.eye(2, dtype=np.float32)[said]
    history = tuple({"train_loss": loss} for loss in losses)
    return Candidate(str(stage), stage, START, START.preprocessing, {}, logits, 1, 1, history, 0)


@pytest.mark.parametrize(
    ("probe", "network", "chosen"),
    [(80, 90, "finetune"), (80, 80, "probe"), (90, 80, "probe"), (99, 100, "probe")],
)
def test_the_better_one_on_validation_is_chosen_and_the_simpler_of_equals(
    probe: int, network: int, chosen: str
) -> None:
    made = [candidate(Stage.PROBE, probe), candidate(Stage.FINETUNE, network)]
    assert choose(made, TRUTH).name == chosen


def test_a_network_must_be_right_more_often_than_by_luck() -> None:
    probe = candidate(Stage.PROBE, 50)
    logits = probe.val_logits.copy()
    logits[30:45], logits[50:68] = logits[30:45, ::-1], logits[50:68, ::-1]  # 18 gained, 15 lost
    network = candidate(Stage.FINETUNE, 0)
    object.__setattr__(network, "val_logits", logits)

    assert choose([probe, network], TRUTH) is probe


def test_of_several_seeds_the_highest_counts() -> None:
    made = [candidate(Stage.FINETUNE, right) for right in (80, 81, 79)]
    assert choose(made, TRUTH) is made[1]


def test_a_network_that_names_one_class_and_whose_loss_stays_has_learned_nothing() -> None:
    one_class = candidate(Stage.SCRATCH, 0, (0.7, 0.7))
    object.__setattr__(one_class, "val_logits", np.eye(2, dtype=np.float32)[[0] * 100])

    assert learned_nothing(one_class, TRUTH)
    assert not learned_nothing(candidate(Stage.SCRATCH, 60, (0.7, 0.7)), TRUTH)


def test_a_network_that_names_one_class_only_has_learned_nothing_however_its_loss_fell() -> None:
    one_class = candidate(Stage.SCRATCH, 0, (9.0, 2.2))
    object.__setattr__(one_class, "val_logits", np.eye(2, dtype=np.float32)[[1] * 100])

    assert learned_nothing(one_class, TRUTH)
    of_one, mostly = np.ones(100, np.int64), np.array([1] * 96 + [0] * 4)
    assert not learned_nothing(one_class, of_one)
    assert not learned_nothing(one_class, mostly)


@pytest.mark.parametrize(
    ("epochs", "one_class", "words"),
    [
        (1, None, "After 1 epoch the stage scratch is no better than always naming the most"),
        (3, None, "most frequent class, and its loss has hardly fallen."),
        (3, "cat", "After 3 epochs the stage scratch gives every picture of validation one label"),
    ],
)
def test_it_is_told_how_nothing_was_learned(epochs: int, one_class: str | None, words: str) -> None:
    assert words in str(NoProgress("scratch", epochs, one_class))
