import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgq_trainer.evaluating.curves import Curve, precision_recall, roc

patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCORES = np.array([0.9, 0.8, 0.7, 0.6])
IS_CLASS = np.array([True, False, True, False])
scored = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()),
    min_size=2,
    max_size=30,
).filter(lambda rows: len({positive for _, positive in rows}) == 2)


def sides(curve: Curve | None) -> list[tuple[float, float]]:
    assert curve is not None
    return list(zip(curve.x.tolist(), curve.y.tolist(), strict=True))


def test_curves_are_those_of_a_worked_example() -> None:
    first, second = precision_recall(SCORES, IS_CLASS), roc(SCORES, IS_CLASS)

    assert sides(first) == [(0, 1), (0.5, 1), (0.5, 0.5), (1, 2 / 3), (1, 0.5)]
    assert sides(second) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert first is not None and first.area == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert second is not None and second.area == 0.75


def test_equal_scores_are_one_step_whatever_their_order() -> None:
    tied = np.full(4, 0.5)

    assert sides(precision_recall(tied, IS_CLASS)) == [(0, 0.5), (1, 0.5)]
    assert sides(roc(tied, IS_CLASS)) == [(0, 0), (1, 1)]


def test_a_class_without_pictures_has_no_curves_and_one_without_others_no_roc() -> None:
    everything, nothing = np.ones(4, np.bool_), np.zeros(4, np.bool_)

    assert precision_recall(SCORES, nothing) is None
    assert roc(SCORES, nothing) is None
    assert roc(SCORES, everything) is None
    assert precision_recall(SCORES, everything) is not None


@patient
@given(scored)
def test_the_roc_area_is_the_share_of_pairs_in_the_right_order(
    rows: list[tuple[float, bool]],
) -> None:
    own = [score for score, positive in rows if positive]
    others = [score for score, positive in rows if not positive]
    wins = [(a > b) + 0.5 * (a == b) for a in own for b in others]

    scores, is_class = map(np.array, zip(*rows, strict=True))
    curve = roc(scores, is_class)
    assert curve is not None and curve.area == pytest.approx(np.mean(wins))


@patient
@given(scored)
def test_average_precision_is_the_sum_over_thresholds(rows: list[tuple[float, bool]]) -> None:
    area, before, positives = 0.0, 0.0, sum(positive for _, positive in rows)
    for threshold in sorted({score for score, _ in rows}, reverse=True):
        called = [positive for score, positive in rows if score >= threshold]
        recall = sum(called) / positives
        area, before = area + (recall - before) * sum(called) / len(called), recall

    scores, is_class = map(np.array, zip(*rows, strict=True))
    curve = precision_recall(scores, is_class)
    assert curve is not None and curve.area == pytest.approx(area)


def test_a_thinned_curve_keeps_its_ends_its_area_and_its_shape() -> None:
    random = np.random.default_rng(0)
    is_class = random.random(5000) < 0.3
    scores = random.normal(size=5000) + is_class
    whole, thin = roc(scores, is_class, 10**6), roc(scores, is_class, 200)

    assert whole is not None and thin is not None
    assert len(whole.x) > 1000 and len(thin.x) <= 200
    assert sides(thin)[0] == (0, 0) and sides(thin)[-1] == (1, 1)
    assert thin.area == whole.area
    assert np.trapezoid(thin.y, thin.x) == pytest.approx(whole.area, abs=0.01)
