"""When a picture was decoded for too long: time in which its thread cannot run is not counted."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from imgq_workers import watching
from imgq_workers.breadcrumbs import Flight, Trail
from imgq_workers.evidence import NO_BOOT, OomKills
from imgq_workers.running_time import Sample
from imgq_workers.watching import Deadlines

FLIGHT = Flight(slot=1, mark=5, thread=9, job_id=1, first=40, last=40)
OTHER = Flight(slot=2, mark=5, thread=10, job_id=1, first=41, last=41)
TRAIL = Trail(
    UUID(int=1), UUID(int=2), NO_BOOT, 1, OomKills(-1, -1), False, None, (), (FLIGHT, OTHER), ()
)
#: Looks at the process once more, so many seconds later.
Look = Callable[..., Flight | None]


@pytest.fixture
def state() -> list[str]:
    """What the watched threads do: S, R or T."""
    return ["S"]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, state: list[str]) -> Look:
    now = [100.0]
    monkeypatch.setattr("imgq_workers.watching.time.monotonic", lambda: now[0])
    monkeypatch.setattr(watching, "sample_thread", lambda *_: Sample(state[0], 0.0))
    deadlines = Deadlines(10)

    def at(seconds: float, *flights: Flight) -> Flight | None:
        now[0] += seconds
        return deadlines.overdue(replace(TRAIL, flights=flights))

    return at


def test_a_picture_that_stays_is_overdue_at_the_deadline(look: Look) -> None:
    assert [look(1, FLIGHT) for _ in range(12)] == [None] * 10 + [FLIGHT] * 2


def test_a_picture_that_changes_never_is(look: Look) -> None:
    flights = [replace(FLIGHT, mark=mark // 8) for mark in range(100)]
    assert {look(1, flight) for flight in flights} == {None}


def test_each_thread_has_its_own_time(look: Look) -> None:
    for mark in range(9):
        assert look(1, replace(FLIGHT, mark=mark), OTHER) is None
    assert look(1, FLIGHT, OTHER) is None
    assert look(1, FLIGHT, OTHER) == OTHER


def test_a_stopped_process_is_never_overdue_and_goes_on_where_it_was(
    look: Look, state: list[str]
) -> None:
    assert [look(1, FLIGHT) for _ in range(10)] == [None] * 10
    state[0] = "T"
    assert {look(1, FLIGHT) for _ in range(1000)} == {None}
    state[0] = "S"
    assert look(1, FLIGHT) == FLIGHT


def test_a_watcher_that_was_stopped_too_counts_a_round_and_not_the_night(look: Look) -> None:
    look(1, FLIGHT)
    assert look(30_000, FLIGHT) is None


def test_a_starved_thread_has_ten_times_as_long(look: Look, state: list[str]) -> None:
    state[0] = "R"
    assert {look(1, FLIGHT) for _ in range(95)} == {None}
    assert FLIGHT in {look(1, FLIGHT) for _ in range(10)}
