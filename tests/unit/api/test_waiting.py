"""Long polls: bounded in time and in number."""

import itertools
import threading
import time

import pytest

from imgq_api.waiting import WaitingRoom, preferred_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=20", 20),
        ("respond-async, wait=5", 5),
        ("WAIT = 7", 7),
        ('wait="3"', 3),
        ("wait=600", 60),
        ("wait=9999999999", 0),
        ("await=5", 0),
        ("wait=-1", 0),
        ("wait=soon", 0),
    ],
)
def test_wait_is_read_from_prefer(header: str | None, seconds: int) -> None:
    assert preferred_wait(header) == seconds


def test_wait_ends_when_it_is_ready() -> None:
    answers = iter([False, False, True])
    started = time.monotonic()

    WaitingRoom(1).wait_until(lambda: next(answers), seconds=30)

    assert time.monotonic() - started < 5


def test_wait_ends_with_its_time() -> None:
    started = time.monotonic()

    WaitingRoom(1).wait_until(lambda: False, seconds=0.3)

    assert 0.3 <= time.monotonic() - started < 5


def test_who_finds_no_seat_is_answered_at_once() -> None:
    room = WaitingRoom(1)
    looks = itertools.count()

    with room.seat() as seated:
        room.wait_until(lambda: next(looks) < 0, seconds=30)

    assert (seated, next(looks)) == (True, 0)


def test_seat_is_free_again_after_the_wait() -> None:
    room = WaitingRoom(1)
    room.wait_until(lambda: True, seconds=30)

    with room.seat() as seated:
        assert seated


def test_closing_the_room_sends_waiters_home() -> None:
    room = WaitingRoom(1)
    waiter = threading.Thread(target=room.wait_until, args=(lambda: False,), kwargs={"seconds": 60})
    waiter.start()

    room.close()
    waiter.join(10)

    assert not waiter.is_alive()
