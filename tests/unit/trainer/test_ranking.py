import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_trainer.ranking import best_first


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_of_equal_scores_the_lower_index_comes_first(count: int) -> None:
    scores = np.array([0.1, 0.4, 0.1, 0.4], np.float32)

    top, values = best_first(scores, count)
    assert top == (1, 3, 0, 2)[:count]
    assert values == tuple(scores[list(top)].tolist())


@given(
    scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40),
    count=st.integers(1, 45),
)
def test_the_best_are_those_of_a_whole_sort(scores: list[float], count: int) -> None:
    whole = sorted(range(len(scores)), key=lambda index: -scores[index])

    assert best_first(np.array(scores, np.float32), count)[0] == tuple(whole[:count])
