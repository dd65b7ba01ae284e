"""Durations, tags and budgets as people type them."""

import pytest
import rich_click as click

from imgq_cli.params import Duration, FailureBudget, Tag


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5d", 129_600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "2 h", "h", "-5", "5x", "1h!"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_a_duration_out_of_its_range_is_told_in_seconds() -> None:
    with pytest.raises(click.BadParameter, match="at least 1 second\\."):
        Duration(least=1).convert("0", None, None)
    with pytest.raises(click.BadParameter, match="at most 60 seconds\\."):
        Duration(most=60).convert("2m", None, None)


def test_a_tag_keeps_the_equals_signs_of_its_value() -> None:
    assert Tag().convert("a=b=c", None, None) == ("a", "b=c")


@pytest.mark.parametrize("key", ["a", "a/b.c_d-e", "0" * 63])
def test_keys_of_tags(key: str) -> None:
    assert Tag().convert(f"{key}=ключ", None, None) == (key, "ключ")


@pytest.mark.parametrize("key", ["ключ", "a b", "-a", "a:b", "a\n", "0" * 64])
def test_what_cannot_be_the_key_of_a_tag(key: str) -> None:
    with pytest.raises(click.BadParameter, match="cannot be a tag's key"):
        Tag().convert(f"{key}=x", None, None)


@pytest.mark.parametrize("text", ["0", "12", "5%", "0.5%", "100%"])
def test_budgets(text: str) -> None:
    assert FailureBudget().convert(text, None, None) == text


@pytest.mark.parametrize("text", ["", "-1", "101%", "5.5", "x%", "%"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(click.BadParameter):
        FailureBudget().convert(text, None, None)
