"""The threads that keep leases alive outlive a database, and a pool, that has nothing for them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from imgq_workers import leasekeeper, worker
from imgq_workers.leasekeeper import keep_lease, keep_listing

CONTEXT: Any = SimpleNamespace(
    engine=None,
    breadcrumbs=SimpleNamespace(hear=lambda: None),
    settings=SimpleNamespace(poll_seconds=0.01, beat_seconds=0.01, lease_seconds=3),
)
LISTING: Any = None


def lease(asked_at: float) -> Any:
    return SimpleNamespace(chunk_id=1, asked_at=asked_at)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(leasekeeper, "time", clock)
    return clock


@pytest.fixture
def second() -> threading.Event:
    """Set when somebody asked a second time, though at the first no connection was free."""
    return threading.Event()


@pytest.fixture
def ask(second: threading.Event) -> Callable[..., bool]:
    answers = iter([PoolTimeout("no connection was free in time")])

    def answer(*_: object, **__: object) -> bool:
        for error in answers:
            raise error
        second.set()
        return True

    return answer


def test_a_lease_is_kept_although_no_connection_was_free(
    ask: Callable[..., bool], second: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasekeeper, "_look", ask)
    with keep_lease(CONTEXT, lease(time.monotonic()), threading.Event()) as keeper:
        assert second.wait(30)
        assert not keeper.should_stop()


def await_a_round(rounds: threading.Semaphore) -> None:
    """Wait until a whole round of the keeper was made that began after this."""
    while rounds.acquire(blocking=False):
        pass
    for _ in range(3):  # the end of one, one, and the beginning of another
        assert rounds.acquire(timeout=30)


@pytest.mark.parametrize("away", [True, False])
def test_a_chunk_is_dropped_when_its_lease_is_over_unless_it_was_renewed(
    away: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = threading.Semaphore(0)

    def look(*_: object, **__: object) -> bool:
        rounds.release()
        if away:
            raise OperationalError("", None, Exception("away"))
        return True

    monkeypatch.setattr(leasekeeper, "_look", look)
    with keep_lease(CONTEXT, lease(clock.now), threading.Event()) as keeper:
        for _ in range(CONTEXT.settings.lease_seconds):
            assert not keeper.should_stop()
            clock.now += 1
            await_a_round(rounds)
        assert (keeper.should_stop(), keeper.lost.is_set()) == (away, False)


def test_a_lease_that_waited_for_its_turn_is_not_kept_for_longer(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasekeeper, "_look", lambda *_, **__: True)
    asked_at = clock.now - CONTEXT.settings.lease_seconds
    with keep_lease(CONTEXT, lease(asked_at), threading.Event()) as keeper:
        assert keeper.should_stop()


def test_a_lease_that_waited_for_a_beat_is_renewed_at_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals, looked = list[bool](), threading.Event()

    def look(*_: object, renew: bool) -> bool:
        renewals.append(renew)
        looked.set()
        return True

    monkeypatch.setattr(leasekeeper, "_look", look)
    with keep_lease(CONTEXT, lease(clock.now - CONTEXT.settings.beat_seconds), threading.Event()):
        assert looked.wait(30)
    assert renewals[0]


def test_a_listing_is_kept_although_no_connection_was_free(
    ask: Callable[..., bool], second: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasekeeper, "renew_listing", ask)
    with keep_listing(CONTEXT, LISTING):
        assert second.wait(30)


def test_a_worker_is_shown_as_alive_although_no_connection_was_free(
    ask: Callable[..., bool], second: threading.Event
) -> None:
    for _ in range(2):
        worker._tell(ask)  # type: ignore[arg-type]
    assert second.is_set()
