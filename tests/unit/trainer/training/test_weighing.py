import numpy as np
import pytest
import torch

from imgq_trainer.training.config import Imbalance
from imgq_trainer.training.weighing import decide_balance

TRUTH = np.array([0] * 90 + [1] * 10)


@pytest.mark.parametrize(
    ("counts", "words"), [([30, 10], "nothing needs"), ([90, 10], "logits are adjusted")]
)
def test_auto_acts_where_classes_are_far_apart(counts: list[int], words: str) -> None:
    assert words in decide_balance("auto", counts, TRUTH, 1.0).words


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([30, 30], "All classes have equally many pictures: nothing needs to be done."),
        ([102, 100], "All classes have about equally many pictures: nothing needs to be done."),
        ([110, 100], "The largest class has 1.1 times as many pictures as the smallest: "),
    ],
)
def test_classes_of_one_size_are_called_so(counts: list[int], words: str) -> None:
    assert decide_balance("auto", counts, TRUTH, 1.0).words.startswith(words)


def test_weights_make_all_classes_weigh_the_same() -> None:
    balance = decide_balance("weights", [90, 10], TRUTH, 1.0)
    assert balance.weights[0] * 90 == pytest.approx(float(balance.weights[1] * 10))


def test_the_sampler_draws_all_classes_as_often() -> None:
    shares = decide_balance("sampler", [90, 10], TRUTH, 1.0).shares
    assert shares is not None
    assert shares[:90].sum() == pytest.approx(shares[90:].sum())


@pytest.mark.parametrize("asked", ["none", "weights", "logits", "sampler"])
def test_targets_may_be_classes_or_shares(asked: Imbalance) -> None:
    balance, truth = decide_balance(asked, [90, 10], TRUTH, 1.0), torch.tensor([0, 1, 1])
    logits = torch.tensor([[1.0, 2.0], [0.5, 0.1], [3.0, -1.0]])
    shares = torch.nn.functional.one_hot(truth, 2).float()
    assert torch.isfinite(balance.loss(logits, truth, 0.1))
    assert torch.isfinite(balance.loss(logits, shares, 0.1))
