"""Who is taken for whom, and the figures that follow from these counts alone.

A class without pictures has no recall and no F1, and one that is never predicted no precision:
they are None. In the means over classes only classes with pictures count, and what is never
predicted has a precision of 0 there.
"""

from dataclasses import dataclass

import numpy as np

from imgq_trainer.evaluating.scored import Flags, Floats, Indices


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Counts by class; the last axis is the class, any axes before it are repetitions."""

    right: Indices  #: pictures of the class that were called so
    support: Indices  #: pictures of the class
    predicted: Indices  #: pictures called so


@dataclass(frozen=True, slots=True, eq=False)
class ClassShares:
    """By class, 0..1, with NaN for what is undefined."""

    precision: Floats
    recall: Floats
    f1: Floats


def confusion_matrix(truth: Indices, predicted: Indices, classes: int) -> Indices:
    """Return how many pictures of each class (row) were called what (column): (K, K)."""
    cells = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def tally(matrix: Indices) -> Tally:
    """Count by class from a confusion matrix."""
    return Tally(matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0))


def class_shares(counts: Tally) -> ClassShares:
    """Return precision, recall and F1 = 2·right / (support + predicted), by class."""
    here = counts.support > 0
    return ClassShares(
        precision=_share(counts.right, counts.predicted, counts.predicted > 0),
        recall=_share(counts.right, counts.support, here),
        f1=_share(2 * counts.right, counts.support + counts.predicted, here),
    )


def accuracy(counts: Tally) -> Floats:
    """Return the share of pictures that were called right."""
    share: Floats = counts.right.sum(axis=-1) / counts.support.sum(axis=-1)
    return share


def macro(shares: Floats, support: Indices) -> Floats:
    """Return the mean over the classes that have pictures, of equal weight."""
    here = support > 0
    mean: Floats = np.where(here, np.nan_to_num(shares), 0).sum(axis=-1) / here.sum(axis=-1)
    return mean


def weighted(shares: Floats, support: Indices) -> Floats:
    """Return the mean over the classes, weighted by their pictures."""
    mean: Floats = (np.nan_to_num(shares) * support).sum(axis=-1) / support.sum(axis=-1)
    return mean


def _share(part: Indices, whole: Indices, defined: Flags) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=defined)
    return shares
