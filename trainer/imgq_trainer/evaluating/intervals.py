"""How far a figure could be off because the pictures are few."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from imgq_trainer.evaluating.confusion import Tally, accuracy, class_shares, macro
from imgq_trainer.evaluating.scored import Floats, Indices

RESAMPLES: Final = 1000
_LEAST_CELLS_AT_ONCE = 1_000_000
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """The figures of each resample, (R,)."""

    accuracy: Floats
    balanced_accuracy: Floats
    macro_f1: Floats


def resample(matrix: Indices, *, seed: int, resamples: int = RESAMPLES) -> Resampled:
    """Draw as many pictures again, with replacement, and take the figures of each such draw.

    To draw pictures is to draw from the filled cells of the confusion matrix, which is what is
    done: a multinomial draw. Classes are not kept at their sizes; one that a draw leaves without
    pictures does not count in that draw's means.
    """
    truth, predicted = np.nonzero(matrix)
    counts = matrix[truth, predicted]
    pictures, random = int(counts.sum()), np.random.default_rng(seed)
    at_once = max(_LEAST_CELLS_AT_ONCE // max(len(counts), len(matrix)), 1)
    parts = []
    for start in range(0, resamples, at_once):
        draws = min(at_once, resamples - start)
        drawn = random.multinomial(pictures, counts / pictures, size=draws)  # (r, cells)
        parts.append(_figures(drawn, truth, predicted, len(matrix)))
    return Resampled(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def percentile_interval(values: Floats) -> tuple[float, float]:
    """Return the 2.5 and the 97.5 percentile."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def wilson_interval(right: int, pictures: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson (1927).

    Unlike the bootstrap it has a width where everything, or nothing, is right.
    """
    share, z2 = right / pictures, _Z95**2 / pictures
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z95 * sqrt(share * (1 - share) / pictures + z2 / 4 / pictures) / (1 + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _figures(
    drawn: Indices, truth: Indices, predicted: Indices, classes: int
) -> tuple[Floats, Floats, Floats]:
    hits = truth == predicted
    counts = Tally(
        right=_by_class(drawn[:, hits], truth[hits], classes),
        support=_by_class(drawn, truth, classes),
        predicted=_by_class(drawn, predicted, classes),
    )
    shares = class_shares(counts)
    return (
        accuracy(counts),
        macro(shares.recall, counts.support),
        macro(shares.f1, counts.support),
    )


def _by_class(drawn: Indices, owner: Indices, classes: int) -> Indices:
    """Sum the columns of each class: (r, cells) -> (r, K)."""
    sums = np.zeros((len(drawn), classes), np.int64)
    if len(owner):
        order = np.argsort(owner, kind="stable")
        present, starts = np.unique(owner[order], return_index=True)
        sums[:, present] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return sums
