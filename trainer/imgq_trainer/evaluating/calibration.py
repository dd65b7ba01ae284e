"""Whether a confidence of 0.9 is right nine times in ten, and the temperature that sees to it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from imgq_trainer.errors import ScoresNotFinite
from imgq_trainer.evaluating.scored import Flags, Floats, Indices, Logits, probabilities

BINS: Final = 15
COLDEST: Final = 0.05
HOTTEST: Final = 20.0
_STEPS = 100
_CLOSE = 1e-9
_PLAYED = 300


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Pictures sorted into bins by confidence; empty bins are left out. Means are 0..1."""

    lower: Floats
    upper: Floats
    pictures: Indices
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap between the two, weighted by pictures."""
        gaps = np.abs(self.confidence - self.accuracy) * self.pictures
        return float(gaps.sum() / self.pictures.sum())


def fit_temperature(logits: Logits, truth: Indices) -> float:
    """Return the temperature (0.05..20) under which the truth is most likely, or nearly so.

    Found by safeguarded Newton steps in b = 1 / temperature, in which the mean negative log
    likelihood is convex. (b - 1 - ln b) / N is added to it, the weight of one picture, so that a
    validation split without a mistake does not ask for endless confidence. It is least at b = 1,
    so the result never is less likely than a temperature of 1. 1.0 of no pictures.
    Raises ScoresNotFinite.
    """
    if len(truth) == 0:
        return 1.0
    if not np.isfinite(logits).all():
        raise ScoresNotFinite
    low, high, b = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(_STEPS):
        slope, bend = _slope(logits, truth, b)
        if slope > 0:
            high = b
        else:
            low = b
        following = b - slope / bend
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - b) < _CLOSE * b:
            break
        b = following
    temperature = float(np.clip(1 / b, COLDEST, HOTTEST))
    better = negative_log_likelihood(logits, truth, temperature)
    return temperature if better <= negative_log_likelihood(logits, truth, 1.0) else 1.0


def negative_log_likelihood(logits: Logits, truth: Indices, temperature: float) -> float:
    """Return the mean of -ln of the true label's probability, in nats."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    own = scaled[np.arange(len(truth)), truth]
    return float((np.log(np.exp(scaled).sum(axis=1)) - own).mean())


def equal_width(confidence: Floats, correct: Flags, bins: int = BINS) -> Bins:
    """Sort pictures into bins of equal width; one at an edge belongs to the lower bin."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    where = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    full = np.unique(where)
    return _bins(where, full, edges[full], edges[full + 1], confidence, correct)


def equal_count(confidence: Floats, correct: Flags, bins: int = BINS) -> Bins:
    """Sort pictures into bins of as many pictures each, or one more."""
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(confidence)))
    where = np.empty(len(confidence), np.int64)
    for number, part in enumerate(parts):
        where[part] = number
    lower = np.array([confidence[part].min() for part in parts])
    upper = np.array([confidence[part].max() for part in parts])
    return _bins(where, np.arange(len(parts)), lower, upper, confidence, correct)


def error_by_chance(confidence: Floats, *, seed: int) -> float:
    """Return the error that one in twenty perfectly calibrated models would show on so many
    pictures: how much the number of pictures alone explains.

    Played 300 times: each picture is right with the chance that its confidence names.
    """
    random = np.random.default_rng(seed)
    errors = [
        equal_width(confidence, random.random(len(confidence)) < confidence).error
        for _ in range(_PLAYED)
    ]
    return float(np.quantile(errors, 0.95))


def _slope(logits: Logits, truth: Indices, b: float) -> tuple[float, float]:
    """First and second derivative, by b, of the mean negative log likelihood with its prior."""
    shares = probabilities(logits, 1 / b)
    exact = logits.astype(np.float64)
    mean = (shares * exact).sum(axis=1)
    spread = (shares * (exact - mean[:, None]) ** 2).sum(axis=1).mean()
    pull = 1 / len(truth)
    slope = (mean - exact[np.arange(len(truth)), truth]).mean() + pull * (1 - 1 / b)
    return float(slope), float(spread + pull / b**2)


def _bins(
    where: Indices, full: Indices, lower: Floats, upper: Floats, confidence: Floats, correct: Flags
) -> Bins:
    pictures = np.bincount(where)[full]
    return Bins(
        lower=lower,
        upper=upper,
        pictures=pictures,
        confidence=np.bincount(where, confidence)[full] / pictures,
        accuracy=np.bincount(where, correct.astype(np.float64))[full] / pictures,
    )
