"""All figures of a model on one set of pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from imgq_trainer.datasets.paths import path_to_text
from imgq_trainer.evaluating import calibration as calibrating
from imgq_trainer.evaluating.confusion import (
    ClassShares,
    Tally,
    accuracy,
    class_shares,
    confusion_matrix,
    macro,
    tally,
    weighted,
)
from imgq_trainer.evaluating.curves import MOST_POINTS, Curve, precision_recall, roc
from imgq_trainer.evaluating.errors import NotTheSamePictures, ScoredInvalid
from imgq_trainer.evaluating.intervals import (
    RESAMPLES,
    percentile_interval,
    resample,
    wilson_interval,
)
from imgq_trainer.evaluating.scored import (
    Flags,
    Floats,
    Indices,
    Scored,
    check,
    probabilities,
    ranks,
)
from imgq_trainer.evaluating.significance import pair
from imgq_trainer.evaluating.values import (
    FORMAT,
    Baseline,
    Bin,
    Calibration,
    Cell,
    ClassCurves,
    ClassFigures,
    Evaluation,
    Figures,
    Interval,
    Intervals,
    Learned,
    Mistake,
    OtherPictures,
    Point,
    Reliability,
    TopK,
)
from imgq_trainer.evaluating.verdict import judge

MOST_MISTAKES: Final = 48
#: fewer pictures that a model did not learn from say nothing on their own
LEAST_OTHERS: Final = 20
TOP_K: Final = (1, 2, 3, 5, 10)
#: of all curves together, so that a thousand classes do not make a report of 20 MB
_POINTS_IN_ALL, _LEAST_POINTS = 20_000, 20
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """flags: which pictures the model learned from, (N,). all_known: whether there may be more."""

    flags: Flags
    all_known: bool


_Areas = list[tuple[float | None, float | None]]


def evaluate(
    scored: Scored,
    *,
    temperature: float,
    majority: int,
    probe: Scored | None,
    seed: int,
    tested_on: str = "test split",
    learned: Known | None = None,
    chosen_on: int | None = None,
) -> Evaluation:
    """Return all figures, and what they mean in words.

    majority: the most frequent class of the training split, an index into the labels.
    probe: the linear probe on the same pictures; None if there is none to compare with.
    learned: which of the pictures are not new to the model. chosen_on: how many pictures decided
    which model it is, and calibrated it.
    Raises NothingToEvaluate, ScoredInvalid, ScoresNotFinite, NotTheSamePictures.
    """
    check(scored)
    if not 0 <= majority < len(scored.labels):
        raise ScoredInvalid("the majority class is not one of the labels")
    shares = probabilities(scored.logits, temperature)
    matrix = confusion_matrix(scored.truth, scored.predicted, len(scored.labels))
    counts = tally(matrix)
    by_class = class_shares(counts)
    curves, areas = _curves(shares, scored.truth)
    unjudged = Evaluation(
        format=FORMAT,
        tested_on=tested_on,
        labels=scored.labels,
        pictures=len(scored.truth),
        figures=_figures(scored, counts, by_class, areas),
        intervals=_intervals(matrix, seed=seed),
        classes=tuple(_classes(scored.labels, counts, by_class, areas)),
        curves=tuple(curves),
        confusion=tuple(_cells(matrix)),
        calibration=_calibration(scored, shares, temperature, seed=seed),
        baselines=tuple(_baselines(scored, majority, probe)),
        mistakes=tuple(_mistakes(scored, shares)),
        standing="sound",
        verdict=(),
        learned=None if learned is None else _learned(scored, learned),
        chosen_on=chosen_on,
    )
    standing, verdict = judge(unjudged)
    return replace(unjudged, standing=standing, verdict=verdict)


def _learned(scored: Scored, known: Known) -> Learned:
    others = np.flatnonzero(~known.flags)
    told = known.flags.any() and len(others) >= LEAST_OTHERS
    figures = _of_others(scored, others) if told else None
    return Learned(pictures=int(known.flags.sum()), others=figures, all_known=known.all_known)


def _of_others(scored: Scored, rows: Indices) -> OtherPictures:
    matrix = confusion_matrix(scored.truth[rows], scored.predicted[rows], len(scored.labels))
    counts = tally(matrix)
    shares = class_shares(counts)
    return OtherPictures(
        pictures=len(rows),
        accuracy=_share(accuracy(counts)),
        accuracy_interval=wilson_interval(int(matrix.trace()), len(rows)),
        balanced_accuracy=_share(macro(shares.recall, counts.support)),
        macro_f1=_share(macro(shares.f1, counts.support)),
    )


def _figures(scored: Scored, counts: Tally, shares: ClassShares, areas: _Areas) -> Figures:
    support = counts.support
    place = ranks(scored.logits, scored.truth)
    return Figures(
        accuracy=_share(accuracy(counts)),
        balanced_accuracy=_share(macro(shares.recall, support)),
        macro_precision=_share(macro(shares.precision, support)),
        macro_recall=_share(macro(shares.recall, support)),
        macro_f1=_share(macro(shares.f1, support)),
        weighted_precision=_share(weighted(shares.precision, support)),
        weighted_recall=_share(weighted(shares.recall, support)),
        weighted_f1=_share(weighted(shares.f1, support)),
        macro_average_precision=_mean([area for area, _ in areas]),
        macro_auc=_mean([area for _, area in areas]),
        top_k=tuple(
            TopK(k, float((place < k).mean())) for k in TOP_K if k == 1 or k < len(scored.labels)
        ),
    )


def _intervals(matrix: Indices, *, seed: int) -> Intervals:
    drawn = resample(matrix, seed=seed)
    accuracy = _ends(percentile_interval(drawn.accuracy))
    wilson = wilson_interval(int(matrix.trace()), int(matrix.sum()))
    return Intervals(
        resamples=RESAMPLES,
        accuracy=accuracy,
        accuracy_wilson=wilson,
        accuracy_widest=(min(accuracy[0], wilson[0]), max(accuracy[1], wilson[1])),
        balanced_accuracy=_ends(percentile_interval(drawn.balanced_accuracy)),
        macro_f1=_ends(percentile_interval(drawn.macro_f1)),
    )


def _classes(
    labels: tuple[str, ...], counts: Tally, shares: ClassShares, areas: _Areas
) -> Iterator[ClassFigures]:
    for index, (label, (average_precision, auc)) in enumerate(zip(labels, areas, strict=True)):
        yield ClassFigures(
            label=label,
            support=int(counts.support[index]),
            predicted=int(counts.predicted[index]),
            precision=_defined(shares.precision[index]),
            recall=_defined(shares.recall[index]),
            f1=_defined(shares.f1[index]),
            average_precision=average_precision,
            auc=auc,
        )


def _curves(shares: Floats, truth: Indices) -> tuple[list[ClassCurves], _Areas]:
    classes = shares.shape[1]
    points = int(np.clip(_POINTS_IN_ALL // classes, _LEAST_POINTS, MOST_POINTS))
    curves, areas = list[ClassCurves](), _Areas()
    for index in range(classes):
        is_class = truth == index
        first = precision_recall(shares[:, index], is_class, points)
        second = roc(shares[:, index], is_class, points)
        curves.append(ClassCurves(precision_recall=_points(first), roc=_points(second)))
        areas.append((_area(first), _area(second)))
    return curves, areas


def _area(curve: Curve | None) -> float | None:
    return None if curve is None else _share(curve.area)


def _points(curve: Curve | None) -> tuple[Point, ...] | None:
    if curve is None:
        return None
    x, y = curve.x.round(_DIGITS).tolist(), curve.y.round(_DIGITS).tolist()
    return tuple(map(Point, x, y))


def _cells(matrix: Indices) -> Iterator[Cell]:
    truth, predicted = np.nonzero(matrix)
    pictures = matrix[truth, predicted]
    return map(Cell, truth.tolist(), predicted.tolist(), pictures.tolist())


def _calibration(scored: Scored, shares: Floats, temperature: float, *, seed: int) -> Calibration:
    return Calibration(
        temperature=temperature,
        before=_reliability(scored, probabilities(scored.logits, 1.0), 1.0),
        after=_reliability(scored, shares, temperature),
        ece_by_chance=_share(calibrating.error_by_chance(shares.max(axis=1), seed=seed)),
    )


def _reliability(scored: Scored, shares: Floats, temperature: float) -> Reliability:
    confidence, correct = shares.max(axis=1), scored.correct
    bins = calibrating.equal_width(confidence, correct)
    nll = calibrating.negative_log_likelihood(scored.logits, scored.truth, temperature)
    return Reliability(
        ece=_share(bins.error),
        adaptive_ece=_share(calibrating.equal_count(confidence, correct).error),
        nll=nll,
        mean_confidence=_share(confidence.mean()),
        bins=tuple(
            Bin(
                lower=_share(bins.lower[i]),
                upper=_share(bins.upper[i]),
                pictures=int(bins.pictures[i]),
                confidence=_share(bins.confidence[i]),
                accuracy=_share(bins.accuracy[i]),
            )
            for i in range(len(bins.pictures))
        ),
    )


def _baselines(scored: Scored, majority: int, probe: Scored | None) -> Iterator[Baseline]:
    always = np.full(len(scored.truth), majority, np.int64)
    yield _baseline("majority", scored.labels[majority], scored, always)
    if probe is not None:
        check(probe)
        if probe.labels != scored.labels or probe.paths != scored.paths:
            raise NotTheSamePictures
        yield _baseline("probe", None, scored, probe.predicted)


def _baseline(
    name: Literal["majority", "probe"], label: str | None, scored: Scored, predicted: Indices
) -> Baseline:
    counts = tally(confusion_matrix(scored.truth, predicted, len(scored.labels)))
    shares = class_shares(counts)
    correct: Flags = predicted == scored.truth
    pairs = pair(scored.correct, correct)
    return Baseline(
        name=name,
        label=label,
        accuracy=_share(accuracy(counts)),
        balanced_accuracy=_share(macro(shares.recall, counts.support)),
        macro_f1=_share(macro(shares.f1, counts.support)),
        p_model_better=pairs.p_first_better,
        p_model_worse=pairs.p_second_better,
    )


def _mistakes(scored: Scored, shares: Floats) -> Iterator[Mistake]:
    confidence = shares.max(axis=1)
    wrong = np.flatnonzero(~scored.correct)
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES].tolist():
        yield Mistake(
            index=index,
            path=path_to_text(scored.paths[index]),
            truth=int(scored.truth[index]),
            predicted=int(scored.predicted[index]),
            confidence=_share(confidence[index]),
        )


def _ends(ends: tuple[float, float]) -> Interval:
    return _share(ends[0]), _share(ends[1])


def _share(value: float | Floats) -> float:
    """Return a share as a plain number; sums of floats may end a hair above 1."""
    return min(max(float(value), 0.0), 1.0)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else _share(value)


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
