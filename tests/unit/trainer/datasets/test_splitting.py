"""Sides by hash: growth moves nobody, what belongs together stays together."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_trainer.datasets.errors import FractionsInvalid
from imgq_trainer.datasets.splitting import Fractions, Member, check_fractions, split_members
from imgq_trainer.datasets.values import Split

FRACTIONS = Fractions(0.7, 0.15, 0.15)


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def members(count: int, label: int = 0, start: int = 0) -> list[Member]:
    return [Member(label, None, start + i, key(start + i)) for i in range(count)]


def test_large_classes_are_split_by_the_fractions() -> None:
    sides = split_members(members(4000), FRACTIONS)
    assert sides.moved == {}
    shares = [sides.splits.count(side) / 4000 for side in Split]
    assert shares == pytest.approx(FRACTIONS, abs=0.02)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60))
def test_pictures_that_come_later_move_nobody(start: int, before: int, after: int) -> None:
    old = members(200, 0, start) + members(before, 1, start + 1000)
    new = members(after, 1, start + 2000)
    was, now = split_members(old, FRACTIONS), split_members(new + old, FRACTIONS)
    lent = {i for sides in (was, now) for label, _ in sides.moved for i in (label,)}
    for member, side, later in zip(old, was.splits, now.splits[len(new) :], strict=True):
        assert member.label in lent or side == later


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60))
def test_a_unit_is_on_one_side_also_across_classes(pairs: list[tuple[int, int]]) -> None:
    made = [Member(label, None, unit, key(i)) for i, (label, unit) in enumerate(pairs)]
    splits = split_members(made, FRACTIONS).splits
    sides = {(member.unit, side) for member, side in zip(made, splits, strict=True)}
    assert len(sides) == len({unit for _, unit in pairs})


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 10**6))
def test_every_class_is_learned_and_with_three_pictures_also_judged(
    sizes: list[int], start: int
) -> None:
    made = [m for label, size in enumerate(sizes) for m in members(size, label, start + 99 * label)]
    splits = split_members(made, FRACTIONS).splits
    for label, size in enumerate(sizes):
        has = {side for m, side in zip(made, splits, strict=True) if m.label == label}
        assert Split.TRAIN in has
        assert size < 3 or has == set(Split)


def test_a_given_side_is_kept_and_the_missing_one_is_taken_from_training() -> None:
    made = [m._replace(given=Split.TEST if m.unit % 2 else Split.TRAIN) for m in members(2000)]
    sides = split_members(made, FRACTIONS)
    pairs = list(zip((m.given for m in made), sides.splits, strict=True))
    assert sides.carved == (Split.VAL,)
    assert pairs.count((Split.TEST, Split.TEST)) == 1000
    assert pairs.count((Split.TRAIN, Split.VAL)) == pytest.approx(1000 * 0.15 / 0.85, abs=40)


@pytest.mark.parametrize(
    "fractions",
    [(0.7, 0.2, 0.2), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (0.5, 0.5), (float("nan"),) * 3],
)
def test_fractions_that_are_none_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(FractionsInvalid):
        check_fractions(fractions)


def test_a_side_without_a_fraction_gets_nobody() -> None:
    sides = split_members(members(50), Fractions(0.8, 0.2, 0.0))
    assert set(sides.splits) == {Split.TRAIN, Split.VAL}
