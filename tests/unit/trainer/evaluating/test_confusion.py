import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgq_trainer.evaluating.confusion import (
    accuracy,
    class_shares,
    confusion_matrix,
    macro,
    tally,
    weighted,
)

patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


def test_figures_are_those_of_a_worked_example() -> None:
    """6 pictures: classes 0 0 0 1 1 2, called 0 0 1 1 1 0."""
    matrix = confusion_matrix(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0]), 3)
    counts = tally(matrix)
    shares = class_shares(counts)

    assert matrix.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert shares.recall.tolist() == [2 / 3, 1.0, 0.0]
    np.testing.assert_equal(shares.precision, [2 / 3, 2 / 3, np.nan])
    assert shares.f1.tolist() == [2 / 3, 0.8, 0.0]
    assert accuracy(counts) == 4 / 6
    assert np.isclose(macro(shares.f1, counts.support), (2 / 3 + 0.8) / 3)
    assert np.isclose(macro(shares.precision, counts.support), (2 / 3 + 2 / 3) / 3)
    assert np.isclose(weighted(shares.f1, counts.support), (3 * 2 / 3 + 2 * 0.8) / 6)


def test_a_class_without_pictures_has_no_recall_and_does_not_count_in_means() -> None:
    counts = tally(confusion_matrix(np.array([0, 0]), np.array([0, 1]), 3))
    shares = class_shares(counts)

    np.testing.assert_equal(shares.recall, [0.5, np.nan, np.nan])
    np.testing.assert_equal(shares.precision, [1.0, 0.0, np.nan])
    np.testing.assert_equal(shares.f1, [2 / 3, np.nan, np.nan])
    assert macro(shares.f1, counts.support) == 2 / 3


@patient
@given(pairs)
def test_figures_are_those_of_counting_pictures_one_by_one(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    counts = tally(confusion_matrix(truth, predicted, 5))
    shares = class_shares(counts)

    for k in range(5):
        of_class = [p == k for t, p in pairs if t == k]
        called = [t == k for t, p in pairs if p == k]
        recall = np.mean(of_class) if of_class else np.nan
        precision = np.mean(called) if called else np.nan
        np.testing.assert_allclose(shares.recall[k], recall)
        np.testing.assert_allclose(shares.precision[k], precision)
    assert np.isclose(weighted(shares.recall, counts.support), np.mean(truth == predicted))
