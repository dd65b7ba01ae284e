"""Which side each picture is on: by the hash of what it belongs to, so that growth moves nobody."""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from imgq_trainer.datasets.errors import FractionsInvalid
from imgq_trainer.datasets.values import Split

#: a label with fewer different pictures cannot be on all three sides
SIDES = 3
#: who wins where one picture was given to several sides: what judges a model stays as it is
_STRONGEST = (Split.TEST, Split.VAL, Split.TRAIN)
#: which side a label gets first if it has too few pictures for all
_REPAIRED = (Split.TRAIN, Split.TEST, Split.VAL)


class Fractions(NamedTuple):
    train: float
    val: float
    test: float


class Member(NamedTuple):
    """A picture to be split. unit: the number of what must stay together; key: of this picture."""

    label: int
    given: Split | None
    unit: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Sides:
    """splits[i] is that of members[i]. moved: (label, side) to the indices that it was lent."""

    splits: tuple[Split, ...]
    moved: Mapping[tuple[int, Split], tuple[int, ...]]
    #: the sides that the source gave to nobody, and that were taken from its training pictures
    carved: tuple[Split, ...]


def check_fractions(fractions: Sequence[float]) -> Fractions:
    """Raises FractionsInvalid."""
    if len(fractions) != SIDES or not abs(sum(fractions) - 1) < 1e-6:
        raise FractionsInvalid(fractions)
    if not all(0 <= fraction <= 1 for fraction in fractions) or fractions[0] == 0:
        raise FractionsInvalid(fractions)
    return Fractions(*fractions)


def split_members(members: Sequence[Member], fractions: Fractions) -> Sides:
    """Put each unit on a side: the given one, or by its ticket; then repair labels.

    A unit's ticket is a number in 0..1 from the sha256 of its smallest key. The lowest tickets are
    the test split's, the next the validation split's, whatever other units there are. All given
    members of a unit have one side.
    """
    units: dict[int, list[int]] = defaultdict(list)
    for index, member in enumerate(members):
        units[member.unit].append(index)
    carved = _carved(members)
    tickets = {unit: _ticket(min(members[i].key for i in units[unit])) for unit in units}
    free: set[int] = set()
    sides: dict[int, Split] = {}
    for unit, indices in units.items():
        given = next((members[i].given for i in indices if members[i].given), None)
        if given is None or (given is Split.TRAIN and carved):
            free.add(unit)
            sides[unit] = _side(tickets[unit], fractions, carved if given else _STRONGEST)
        else:
            sides[unit] = given
    labels = {unit: {members[i].label for i in units[unit]} for unit in units}
    lent = _repair(labels, sides, sorted(free, key=tickets.__getitem__), fractions)
    moved = {
        (label, side): tuple(i for i in units[unit] if members[i].label == label)
        for (label, side), unit in lent.items()
    }
    return Sides(tuple(sides[member.unit] for member in members), moved, carved)


def strongest(given: Sequence[Split]) -> Split:
    """Return the side that a picture stays on if copies of it were given to several."""
    return next(side for side in _STRONGEST if side in given)


def _carved(members: Sequence[Member]) -> tuple[Split, ...]:
    """Tell which sides are missing if the source gave each picture one."""
    given = {member.given for member in members}
    if None in given:
        return ()
    return tuple(side for side in (Split.TEST, Split.VAL) if side not in given)


def _ticket(key: bytes) -> float:
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") / 2**64


def _side(ticket: float, fractions: Fractions, offered: Sequence[Split]) -> Split:
    """Return the side a ticket leads to, of the offered ones and the training side."""
    share = {Split.TEST: fractions.test, Split.VAL: fractions.val}
    whole = fractions.train + sum(share[side] for side in offered if side in share)
    reached = 0.0
    for side in (Split.TEST, Split.VAL):
        reached += share[side] / whole if side in offered else 0.0
        if ticket < reached:
            return side
    return Split.TRAIN


def _repair(
    labels: Mapping[int, set[int]],
    sides: dict[int, Split],
    free: Sequence[int],
    fractions: Fractions,
) -> dict[tuple[int, Split], int]:
    """Lend each label that lacks a side the free unit of the lowest ticket that can be spared.

    free: by ticket. Changes sides; returns which unit a label got for which side.
    """
    counts: dict[tuple[int, Split], int] = defaultdict(int)
    units_of: dict[int, list[int]] = defaultdict(list)
    for unit, side in sides.items():
        for label in labels[unit]:
            counts[label, side] += 1
    for unit in free:
        for label in labels[unit]:
            units_of[label].append(unit)
    lent = {}
    every = sorted({label for each in labels.values() for label in each})
    for side, label in itertools.product(_REPAIRED, every):
        if counts[label, side] or not getattr(fractions, side):
            continue
        spare = _spare(units_of[label], side, labels, sides, counts)
        if spare is not None:
            for each in labels[spare]:
                counts[each, sides[spare]] -= 1
                counts[each, side] += 1
            sides[spare] = side
            lent[label, side] = spare
    return lent


def _spare(
    units: Sequence[int],
    side: Split,
    labels: Mapping[int, set[int]],
    sides: Mapping[int, Split],
    counts: Mapping[tuple[int, Split], int],
) -> int | None:
    """Return the unit that is missed least: no label's last one of a side, or else None.

    The training side gets one all the same: a label that nobody learns is worse than one that
    nobody is asked about. Units of one label go first, the training side's before others.
    """

    def price(unit: int) -> tuple[bool, bool, int]:
        last = any(counts[each, sides[unit]] == 1 for each in labels[unit])
        return last, len(labels[unit]) > 1, -_STRONGEST.index(sides[unit])

    if not units:
        return None
    unit = min(units, key=price)
    return None if price(unit)[0] and side is not Split.TRAIN else unit
