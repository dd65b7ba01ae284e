"""The threads that keep leases alive outlive a database, and a pool, that has nothing for them."""

import threading
import time
from collections.abc import Callable
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
LEASE: Any = SimpleNamespace(chunk_id=1)


def replace_settings(**changes: float) -> Any:
    settings = SimpleNamespace(**{**vars(CONTEXT.settings), **changes})
    return SimpleNamespace(**{**vars(CONTEXT), "settings": settings})


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
    with keep_lease(CONTEXT, LEASE, threading.Event()) as keeper:
        assert second.wait(30)
        assert not keeper.should_stop()


@pytest.mark.parametrize("away", [True, False])
def test_a_chunk_is_dropped_when_its_lease_is_over_unless_it_was_renewed(
    away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, context = threading.Semaphore(0), replace_settings(lease_seconds=1.5)

    def look(*_: object, **__: object) -> bool:
        rounds.release()
        if away:
            raise OperationalError("", None, Exception("away"))
        return True

    monkeypatch.setattr(leasekeeper, "_look", look)
    with keep_lease(context, LEASE, threading.Event()) as keeper:
        ends = time.monotonic() + 1.6
        while time.monotonic() < ends:
            assert rounds.acquire(timeout=30)
        assert (keeper.should_stop(), keeper.lost.is_set()) == (away, False)


def test_a_listing_is_kept_although_no_connection_was_free(
    ask: Callable[..., bool], second: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasekeeper, "renew_listing", ask)
    with keep_listing(CONTEXT, LEASE):
        assert second.wait(30)


def test_a_worker_is_shown_as_alive_although_no_connection_was_free(
    ask: Callable[..., bool], second: threading.Event
) -> None:
    for _ in range(2):
        worker._tell(ask)  # type: ignore[arg-type]
    assert second.is_set()
