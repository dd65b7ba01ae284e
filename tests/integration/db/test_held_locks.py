"""Locks that end with their connection, whatever ends that."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from imgq_db.engine import make_engine
from imgq_db.held_locks import HeldLock, hold_first_free
from imgq_db.settings import Settings

NAMES = ("first", "second")
Hold = Callable[[], HeldLock | None]


@pytest.fixture
def hold(engine: Engine) -> Iterator[Hold]:
    """Take the first free lock of two, and give all back at the end."""
    held: list[HeldLock] = []

    def take() -> HeldLock | None:
        lock = hold_first_free(engine, NAMES)
        held.extend([lock] if lock else [])
        return lock

    yield take
    for lock in held:
        lock.release()


def end_connection(engine: Engine, lock: HeldLock) -> None:
    """End it from the server's side, and wait until the server has let go of its locks."""
    pid = lock.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with engine.begin() as connection:
        ended = text("SELECT pg_terminate_backend(:pid, 10000)")
        assert connection.execute(ended, {"pid": pid}).scalar_one()


def test_each_lock_is_held_once(hold: Hold) -> None:
    locks = [hold(), hold(), hold()]

    assert [lock and lock.name for lock in locks] == ["first", "second", None]


def test_a_lock_that_was_given_back_is_free(hold: Hold) -> None:
    lock = hold()
    assert lock
    lock.release()

    assert (again := hold()) and again.name == "first"


def test_a_lock_whose_connection_is_lost_is_free_and_says_so(engine: Engine, hold: Hold) -> None:
    lock = hold()
    assert lock and lock.is_held()
    end_connection(engine, lock)

    assert not lock.is_held()
    assert (again := hold()) and again.name == "first"


def test_a_lock_outlasts_the_pool_that_its_connection_came_from(
    settings: Settings, hold: Hold
) -> None:
    other = make_engine(settings, role="worker")
    lock = hold_first_free(other, NAMES)
    assert lock
    other.dispose()

    assert (second := hold()) and second.name == "second"
    lock.release()


def test_the_server_soon_notices_a_holder_whose_machine_is_gone(hold: Hold) -> None:
    lock = hold()
    assert lock
    shown = [
        lock.connection.execute(text(f"SHOW tcp_keepalives_{name}")).scalar_one()
        for name in ("idle", "interval", "count")
    ]

    assert shown == ["10", "5", "3"]


def test_a_database_that_is_away_raises(settings: Settings) -> None:
    gone = make_engine(
        settings.model_copy(update={"database_url": "postgresql+psycopg2:///?host=/none"})
    )
    with pytest.raises(OperationalError):
        hold_first_free(gone, NAMES)
