"""What a caller may ask of a classify job."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_db.errors import OptionInvalid
from imgq_db.options import ClassifyOptions, FailureBudget, check_precision, parse_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("0", FailureBudget(0, None)),
        ("12", FailureBudget(12, None)),
        ("0%", FailureBudget(None, 0)),
        ("2.5%", FailureBudget(None, 2.5)),
        ("100%", FailureBudget(None, 100)),
    ],
)
def test_a_budget_is_a_number_or_a_share(text: str, budget: FailureBudget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "%", "5 %", "nan%", "٣", "5\n", "1e3"])
def test_any_other_budget_is_refused(text: str) -> None:
    with pytest.raises(OptionInvalid):
        ClassifyOptions(max_failures=text)


@pytest.mark.parametrize(
    ("text", "failed", "total", "exceeded"),
    [
        ("0", 0, 5, False),
        ("0", 1, None, True),
        ("3", 3, 5, False),
        ("3", 4, None, True),
        ("10%", 1, 10, False),
        ("10%", 2, 10, True),
        ("10%", 2, None, False),
        ("0%", 1, 10**8, True),
        ("100%", 10, 10, False),
    ],
)
def test_a_budget_is_exceeded_by_more_than_it(
    text: str, failed: int, total: int | None, exceeded: bool
) -> None:
    assert parse_budget(text).exceeded(failed, total) is exceeded


@pytest.mark.parametrize("top_k", [0, -1, 101])
def test_top_k_outside_its_range_is_refused(top_k: int) -> None:
    with pytest.raises(OptionInvalid, match="1 to 100"):
        ClassifyOptions(top_k=top_k)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_confidence_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(OptionInvalid, match="0 to 1"):
        ClassifyOptions(min_confidence=share)


@given(
    st.builds(
        ClassifyOptions,
        include=st.lists(st.text()).map(tuple),
        exclude=st.lists(st.text()).map(tuple),
        top_k=st.integers(1, 100),
        min_confidence=st.none() | st.floats(0, 1),
        max_failures=st.none() | st.sampled_from(["0", "7", "2.5%"]),
        cache=st.booleans(),
        dry_run=st.booleans(),
    )
)
def test_options_come_back_from_storage(options: ClassifyOptions) -> None:
    assert ClassifyOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_stored_options_of_another_release_are_understood() -> None:
    stored = {"top_k": 3, "added_later": True}
    assert ClassifyOptions.from_json(stored).cache
    assert ClassifyOptions.from_json(stored) == dataclasses.replace(ClassifyOptions(), top_k=3)


def test_exact_auto_and_int8_are_the_only_precisions_there_are() -> None:
    asked = ["exact", "auto", "int8"]
    assert [check_precision(each) for each in asked] == asked
    with pytest.raises(OptionInvalid, match="int4"):
        check_precision("int4")
