import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgq_trainer.errors import ScoresNotFinite
from imgq_trainer.evaluating.calibration import (
    COLDEST,
    HOTTEST,
    equal_count,
    equal_width,
    error_by_chance,
    fit_temperature,
    negative_log_likelihood,
)
from imgq_trainer.evaluating.scored import Indices, Logits, probabilities

patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def planted(count: int, *, temperature: float, seed: int) -> tuple[Logits, Indices]:
    """Pictures whose true label is drawn by the softmax of their logits / temperature."""
    random = np.random.default_rng(seed)
    logits = (random.normal(size=(count, 5)) * 2 * temperature).astype(np.float32)
    noise = random.gumbel(size=logits.shape)
    return logits, (logits / temperature + noise).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    logits, truth = planted(5000, temperature=temperature, seed=1)

    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.07)


def test_calibration_lowers_the_error_of_an_over_confident_model_on_other_pictures() -> None:
    temperature = fit_temperature(*planted(1000, temperature=3.0, seed=1))
    logits, truth = planted(1000, temperature=3.0, seed=2)
    correct = logits.argmax(axis=1) == truth
    before = equal_width(probabilities(logits, 1.0).max(axis=1), correct).error
    after = equal_width(probabilities(logits, temperature).max(axis=1), correct).error

    assert before > 0.15
    assert after < 0.05


def test_the_fit_is_as_good_as_the_best_of_a_fine_grid() -> None:
    logits, truth = planted(2000, temperature=2.5, seed=3)
    grid = [negative_log_likelihood(logits, truth, t) for t in np.geomspace(COLDEST, HOTTEST, 400)]

    fitted = fit_temperature(logits, truth)
    assert negative_log_likelihood(logits, truth, fitted) <= min(grid) + 1e-5


@patient
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.floats(-200, 200, width=32), min_size=3, max_size=3), st.integers(0, 2)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_fit_makes_the_truth_less_likely_or_leaves_the_bounds(
    rows: list[tuple[list[float], int]],
) -> None:
    logits, truth = np.array([r for r, _ in rows], np.float32), np.array([t for _, t in rows])

    fitted = fit_temperature(logits, truth)
    assert COLDEST <= fitted <= HOTTEST
    own, plain = (negative_log_likelihood(logits, truth, t) for t in (fitted, 1.0))
    assert own <= plain


def test_few_pictures_without_a_mistake_do_not_make_a_model_certain() -> None:
    truth = np.arange(20) % 4
    logits = np.eye(4, dtype=np.float32)[truth] * 3  # 87 % sure of each

    confidence = probabilities(logits, fit_temperature(logits, truth)).max(axis=1)
    assert 0.9 < confidence.min() < 0.995


def test_no_pictures_leave_the_temperature_alone_and_an_infinity_is_refused() -> None:
    assert fit_temperature(np.empty((0, 3), np.float32), np.empty(0, np.int64)) == 1.0
    with pytest.raises(ScoresNotFinite):
        fit_temperature(np.array([[np.inf, 0]], np.float32), np.array([0]))


def test_the_error_is_that_of_a_worked_example() -> None:
    """Four pictures near 0.9 of which two are right, one at 0.3 that is wrong."""
    confidence = np.array([0.90, 0.91, 0.92, 0.93, 0.3])
    bins = equal_width(confidence, np.array([True, False, True, False, False]))

    assert bins.pictures.tolist() == [1, 4]
    assert bins.accuracy.tolist() == [0.0, 0.5]
    np.testing.assert_allclose(bins.confidence, [0.3, 0.915])
    assert bins.error == pytest.approx((4 * 0.415 + 0.3) / 5)


def test_adaptive_bins_hold_as_many_pictures_each() -> None:
    confidence = np.random.default_rng(0).random(1000) ** 0.1
    bins = equal_count(confidence, np.ones(1000, np.bool_))

    assert sorted(set(bins.pictures.tolist())) == [66, 67]
    assert len(bins.pictures) == 15
    assert bins.error == pytest.approx(1 - confidence.mean())


def test_fewer_pictures_explain_a_larger_error() -> None:
    confidence = np.random.default_rng(0).uniform(0.5, 1, 5000)

    few, many = error_by_chance(confidence[:50], seed=0), error_by_chance(confidence, seed=0)
    assert few > 0.1 > 0.03 > many
