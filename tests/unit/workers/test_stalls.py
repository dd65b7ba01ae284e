"""When a process stands still: nothing moves, though the database answers for its leases."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from uuid import UUID

import pytest

from imgq_db.crashes import HeldChunk
from imgq_db.settings import Settings
from imgq_workers.evidence import NO_BOOT
from imgq_workers.stalls import Stall
from imgq_workers.trails import Flight, OomKills, Trail

HELD = HeldChunk(1, 1, 1, UUID(int=1))
FLIGHT = Flight(slot=1, mark=5, thread=9, job_id=1, first=40, last=40)
TRAIL = Trail(
    UUID(int=1), UUID(int=2), NO_BOOT, 1, OomKills(-1, -1), False, None, (HELD,), (), (), 0, b"a"
)
#: Looks at the process once more, a second later.
Look = Callable[[Trail], bool]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    now = count(100)
    monkeypatch.setattr("imgq_workers.stalls.time.monotonic", lambda: next(now))
    return Stall(Settings(stall_seconds=10, poll_seconds=1)).look


def test_a_process_that_holds_a_chunk_and_does_nothing_stands_still_in_the_end(look: Look) -> None:
    trails = [replace(TRAIL, heard=number) for number in range(12)]
    assert [look(each) for each in trails] == [False] * 10 + [True] * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda number: {},  # the database does not answer
        lambda number: {"heard": number, "moved": b"%d" % (number // 9)},
        lambda number: {"heard": number, "held": ()},
        lambda number: {"heard": number, "flights": (FLIGHT,)},  # it has a deadline of its own
        lambda number: {"heard": number, "chores": (FLIGHT,)},
    ],
)
def test_a_process_that_moves_waits_or_is_at_something_does_not(
    look: Look, change: Callable[[int], dict[str, object]]
) -> None:
    assert not any(look(replace(TRAIL, **change(number))) for number in range(100))  # type: ignore[arg-type]


def test_an_outage_counts_for_two_seconds_however_long_it_was(look: Look) -> None:
    looks = [look(TRAIL) for _ in range(100)]
    assert not any((*looks, look(replace(TRAIL, heard=1)), look(replace(TRAIL, heard=2))))
