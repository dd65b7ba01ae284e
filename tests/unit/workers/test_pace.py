"""A worker's speed, with chunks side by side."""

import pytest
from tests.unit.workers.clock import Clock

from imgq_workers.pace import WINDOW_SECONDS, Pace


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def test_chunks_that_overlap_count_once_for_the_time_that_they_took_together(
    pace: Pace, clock: Clock
) -> None:
    pace.begin()
    for clock.seconds in (4, 4.5, 8, 8.5, 12, 12.5):  # two at a time, 256 images in 8 s each
        pace.begin()
        speed = pace.finished(128)
    assert speed == pytest.approx(6 * 128 / 12.5)


def test_a_speed_is_that_of_lately(pace: Pace, clock: Clock) -> None:
    pace.begin()
    for clock.seconds in range(1, 100):
        pace.finished(1)
    for clock.seconds in range(100, 100 + WINDOW_SECONDS):
        speed = pace.finished(50)
    assert speed == pytest.approx(50, rel=0.05)


def test_a_rest_slows_nothing_down(pace: Pace, clock: Clock) -> None:
    pace.begin()
    clock.seconds = 2
    before = pace.finished(20)
    pace.rest()
    clock.seconds = 100
    pace.begin()
    clock.seconds = 102
    assert (before, pace.finished(20)) == (10, 10)
