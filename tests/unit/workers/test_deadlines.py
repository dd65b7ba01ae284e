"""When a picture was decoded for too long: time in which its thread cannot run is not counted."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from imgq_db.settings import Settings
from imgq_workers import deadlines
from imgq_workers.evidence import NO_BOOT
from imgq_workers.running_time import Sample
from imgq_workers.trails import Doing, Flight, OomKills, Trail

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
    monkeypatch.setattr("imgq_workers.deadlines.time.monotonic", lambda: now[0])
    monkeypatch.setattr(deadlines, "sample_thread", lambda *_: Sample(state[0], 0.0))
    watched = deadlines.Deadlines(Settings(decode_seconds=10, load_seconds=30))

    def at(seconds: float, *underway: Flight) -> Flight | None:
        now[0] += seconds
        flights = tuple(each for each in underway if each.doing.picture)
        chores = tuple(each for each in underway if not each.doing.picture)
        return watched.overdue(replace(TRAIL, flights=flights, chores=chores))

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


def test_a_file_has_as_long_to_be_read_as_a_picture_to_be_decoded(look: Look) -> None:
    reading = replace(FLIGHT, mark=6, doing=Doing.READING)
    assert [look(1, each) for each in [FLIGHT] * 10 + [reading] * 10] == [None] * 20
    assert [look(1, reading), look(1, reading)] == [reading, reading]


@pytest.mark.parametrize(("doing", "seconds"), [(Doing.OPENING, 10), (Doing.LOADING, 30)])
def test_what_is_done_for_a_job_has_its_deadline(look: Look, doing: Doing, seconds: int) -> None:
    chore = Flight(slot=3, mark=0, thread=9, job_id=1, first=-1, last=-1, doing=doing)
    assert [look(1, chore) for _ in range(seconds + 1)] == [None] * seconds + [chore]


def test_a_model_that_looks_at_pictures_to_load_is_not_stuck(look: Look) -> None:
    chore = Flight(slot=3, mark=0, thread=9, job_id=1, first=-1, last=-1, doing=Doing.LOADING)
    looks = {look(1, chore, replace(FLIGHT, mark=mark // 8)) for mark in range(200)}
    assert looks == {None}
