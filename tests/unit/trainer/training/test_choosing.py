import pytest

from imgq_trainer.training.choosing import at_the_edge


@pytest.mark.parametrize(
    ("l2", "words"),
    [
        (0.1, " No stronger L2 than 0.1 was tried: the key probe.l2 widens the choice."),
        (0.01, ""),
        (0.001, " No weaker L2 than 0.001 was tried: the key probe.l2 widens the choice."),
    ],
)
def test_a_choice_at_the_edge_of_what_was_tried_is_told(l2: float, words: str) -> None:
    assert at_the_edge(l2, (0.1, 0.01, 0.001)) == words


def test_a_single_strength_is_no_choice() -> None:
    assert at_the_edge(0.1, (0.1,)) == ""
