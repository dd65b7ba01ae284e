"""Classes of different sizes: what is done so that the small ones count."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from imgq_trainer.training.config import Imbalance

#: how many times as large the largest class may be as the smallest before `auto` does anything
EVEN = 4.0
#: a smaller ratio is 1.0 in one decimal place
ALIKE = 1.05


@dataclass(frozen=True, slots=True)
class Balance:
    """weights: of each class in the loss. offsets: what is added to the logits in the loss.
    shares: how often each picture is drawn, None for once an epoch. words: what was decided."""

    weights: torch.Tensor
    offsets: torch.Tensor
    shares: npt.NDArray[np.float64] | None
    words: str

    def loss(
        self, logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        """Return the mean loss. targets: (N,) of classes, or (N, K) of probabilities."""
        return functional.cross_entropy(
            logits + self.offsets, targets, self.weights, label_smoothing=smoothing
        )

    def to(self, device: torch.device) -> "Balance":
        weights, offsets = self.weights.to(device), self.offsets.to(device)
        return Balance(weights, offsets, self.shares, self.words)


def decide_balance(
    asked: Imbalance, counts: Sequence[int], truth: npt.NDArray[np.int64], adjustment: float
) -> Balance:
    """counts: training pictures of each class. truth: of each training picture."""
    sizes = np.maximum(np.asarray(counts, np.float64), 1)
    ratio = float(sizes.max() / sizes.min())
    words = f"The largest class has {ratio:.1f} times as many pictures as the smallest: "
    if ratio < ALIKE:
        about = "" if ratio == 1 else "about "
        words = f"All classes have {about}equally many pictures: "
    chosen = asked
    if asked == "auto":
        chosen = "logits" if ratio > EVEN else "none"
    plain = torch.ones(len(sizes)), torch.zeros(len(sizes))
    match chosen:
        case "weights":
            weights = torch.tensor(sizes.mean() / sizes, dtype=torch.float32)
            return Balance(weights, plain[1], None, words + "small classes weigh more in the loss.")
        case "sampler":
            shares = (1 / sizes)[truth]
            words += "pictures of small classes are drawn more often."
            return Balance(*plain, shares / shares.sum(), words)
        case "logits":
            offsets = torch.tensor(adjustment * np.log(sizes / sizes.sum()), dtype=torch.float32)
            words += "the logits are adjusted by the classes' frequencies."
            return Balance(plain[0], offsets, None, words)
        case _:
            return Balance(*plain, None, words + "nothing needs to be done.")
