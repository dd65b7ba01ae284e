"""Precision-recall and ROC curves of one class against all others."""

from dataclasses import dataclass

import numpy as np

from imgq_trainer.evaluating.scored import Flags, Floats

MOST_POINTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """area: average precision or area under the ROC curve, of all points; x and y are thinned."""

    x: Floats
    y: Floats
    area: float


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """What is found above each score that occurs, from the highest down."""

    found: Floats
    alarms: Floats


def precision_recall(scores: Floats, is_class: Flags, points: int = MOST_POINTS) -> Curve | None:
    """Return precision (y) over recall (x); None without a picture of the class.

    area: the average precision, sum of precision times gained recall over all scores that occur;
    nothing is interpolated. A tie counts as one step.
    """
    positives = int(is_class.sum())
    if positives == 0:
        return None
    steps = _steps(scores, is_class)
    recall, precision = steps.found / positives, steps.found / (steps.found + steps.alarms)
    area = float((np.diff(recall, prepend=0.0) * precision).sum())
    return _thinned(np.append(0.0, recall), np.append(precision[0], precision), area, points)


def roc(scores: Floats, is_class: Flags, points: int = MOST_POINTS) -> Curve | None:
    """Return the share of the class found (y) over that of the others called so (x).

    area: the chance that a picture of the class scores above one of another, ties as one half.
    None without a picture of the class, or without any other.
    """
    positives = int(is_class.sum())
    negatives = len(is_class) - positives
    if positives == 0 or negatives == 0:
        return None
    steps = _steps(scores, is_class)
    x = np.append(0.0, steps.alarms / negatives)
    y = np.append(0.0, steps.found / positives)
    return _thinned(x, y, float(np.trapezoid(y, x)), points)


def _steps(scores: Floats, is_class: Flags) -> _Steps:
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    found = np.cumsum(is_class[order])[last].astype(np.float64)
    return _Steps(found, last + 1 - found)


def _thinned(x: Floats, y: Floats, area: float, points: int) -> Curve:
    """Keep both ends and points spread evenly along the curve's length."""
    if len(x) <= points:
        return Curve(x, y, area)
    length = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    wanted = np.linspace(0.0, length[-1], points)
    kept = np.unique(np.append(np.searchsorted(length, wanted)[:-1], len(x) - 1))
    return Curve(x[kept], y[kept], area)
