from math import comb

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgq_trainer.evaluating.significance import Pairs, at_least, pair

patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(heads=st.integers(0, 60), throws=st.integers(0, 60))
def test_the_chance_is_the_sum_of_binomial_coefficients(heads: int, throws: int) -> None:
    exact = sum(comb(throws, k) for k in range(heads, throws + 1)) / 2**throws

    assert at_least(heads, throws) == pytest.approx(exact, rel=1e-9)


def test_a_lead_of_nine_to_one_is_hardly_luck_and_one_of_many_thousands_is_computed() -> None:
    assert Pairs(50, 9, 1).p_first_better == pytest.approx(11 / 1024)
    assert Pairs(50, 9, 1).p_second_better == pytest.approx(1023 / 1024)
    assert at_least(50_500, 100_000) == pytest.approx(0.00079, rel=0.02)


def test_only_pictures_that_one_model_alone_has_right_are_counted() -> None:
    first, second = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool)

    assert pair(first, second) == Pairs(5, only_first_right=2, only_second_right=1)
