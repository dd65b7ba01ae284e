import numpy as np
import pytest

from imgq_trainer.training.probing import Logits
from imgq_trainer.training.refitting import distrust

TRUTH = np.arange(40) % 2


def right_about(count: int) -> Logits:
    """Return logits that are right about the first so many pictures."""
    said = np.where(np.arange(40) < count, TRUTH, 1 - TRUTH)
    return np.eye(2, dtype=np.float32)[said]


@pytest.mark.parametrize(("before", "again"), [(30, 40), (30, 30), (30, 26), (0, 1)])
def test_a_last_fit_that_knows_validation_about_as_well_is_taken(before: int, again: int) -> None:
    assert distrust(right_about(before), right_about(again), TRUTH) is None


def test_a_last_fit_that_is_surely_worse_on_what_it_learned_is_refused() -> None:
    assert distrust(right_about(30), right_about(20), TRUTH) == (
        "The model was trained on the training split alone. Fitted again, on validation's pictures"
        " too, it was right about 20 of these 40, and before, when they were new to it, about 30:"
        " that fit is not to be trusted."
    )


def test_a_last_fit_that_gives_no_numbers_is_refused() -> None:
    reason = distrust(right_about(30), np.full((40, 2), np.nan, np.float32), TRUTH)

    assert reason is not None and reason.endswith("it gave no numbers.")
