import numpy as np
import pytest

from imgq_trainer.evaluating.confusion import (
    class_shares,
    confusion_matrix,
    macro,
    tally,
)
from imgq_trainer.evaluating.intervals import percentile_interval, resample, wilson_interval


def test_resampled_figures_spread_as_those_of_pictures_drawn_one_by_one() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 60)
    predicted = np.where(random.random(60) < 0.7, truth, random.integers(0, 3, 60))
    slow = []
    for _ in range(1000):
        drawn = random.integers(0, 60, 60)
        counts = tally(confusion_matrix(truth[drawn], predicted[drawn], 3))
        slow.append(float(macro(class_shares(counts).f1, counts.support)))

    fast = resample(confusion_matrix(truth, predicted, 3), seed=0).macro_f1
    np.testing.assert_allclose(
        percentile_interval(fast), percentile_interval(np.array(slow)), atol=0.02
    )


def test_the_interval_of_accuracy_is_that_of_a_binomial() -> None:
    """80 of 100: the standard deviation is 4 points."""
    matrix = np.array([[40, 10], [10, 40]])

    interval = percentile_interval(resample(matrix, seed=0).accuracy)
    assert interval == pytest.approx((0.72, 0.88), abs=0.011)


def test_the_same_seed_gives_the_same_resamples_and_a_class_without_pictures_is_no_fault() -> None:
    matrix = np.array([[5, 1, 0], [1, 1, 0], [0, 0, 0]])
    one, other = resample(matrix, seed=3), resample(matrix, seed=3)

    assert one.macro_f1.tolist() == other.macro_f1.tolist()
    assert np.isfinite(one.macro_f1).all() and np.isfinite(one.balanced_accuracy).all()


def test_the_wilson_interval_is_that_of_the_textbook_and_has_a_width_at_the_end() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
