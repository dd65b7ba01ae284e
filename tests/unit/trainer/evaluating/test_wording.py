import pytest

from imgq_trainer.evaluating.wording import listed, number_of, p_value, percent, points


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0 %"), (0.0001, "0.1 %"), (0.914, "91 %"), (0.99996, "99.9 %"), (1.0, "100 %")],
)
def test_all_and_nothing_are_not_said_too_early(share: float, said: str) -> None:
    assert percent(share) == said


def test_numbers_and_names_read_well() -> None:
    assert (number_of(1, "picture"), number_of(1200, "picture")) == ("1 picture", "1,200 pictures")
    assert (points(0.0583), points(0.01), points(0.004)) == ("6 points", "1 point", "0.4 points")
    assert (p_value(0.0312), p_value(1e-20)) == ("p = 0.031", "p < 0.001")
    assert listed(list("abcdefg")) == "“a”, “b”, “c”, “d”, “e” and 2 more"
