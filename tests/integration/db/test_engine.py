"""Connections: what Postgres holds each kind of process to, and which errors mean it is away."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg2
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from imgq_db.engine import MOST_KEPT, TIMEOUTS, is_away, is_outage, make_engine, single_statements
from imgq_db.settings import Settings


@pytest.mark.parametrize("role", TIMEOUTS)
def test_each_role_has_its_limits_and_reads_utc_in_utf8(role: str, settings: Settings) -> None:
    names = (
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "timezone",
        "client_encoding",
        "application_name",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_keepalives_count",
        "tcp_user_timeout",
    )
    engine, wanted = make_engine(settings, role=role), TIMEOUTS[role]
    with engine.connect() as connection:
        found = [
            connection.execute(
                text("SELECT setting FROM pg_settings WHERE name ILIKE :n"), {"n": n}
            )
            for n in names
        ]
        values = [row.scalar_one() for row in found]
    engine.dispose()
    seconds = (
        wanted.statement_seconds,
        wanted.lock_seconds,
        wanted.idle_in_transaction_seconds,
    )
    limits, lost = (str(int(s * 1000)) for s in seconds), ("10", "5", "3", "20000")
    assert values == [*limits, "UTC", "UTF8", f"imgq-{role}", *lost]


@pytest.mark.parametrize("role", sorted(TIMEOUTS.keys() - {"migrate"}))
def test_nobody_may_hold_a_rows_lock_for_longer_than_half_a_lease(role: str) -> None:
    assert 0 < TIMEOUTS[role].idle_in_transaction_seconds <= Settings().lease_seconds / 2


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", "away"),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)", "for now"),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", "for now"),  # the disk is full
        ("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$", "for now"),  # waited for a lock
        ("SELECT 1 / 0", "refused"),
        ("SELECT 99999::smallint", "refused"),
        ("SELECT nothing FROM nowhere", "refused"),
        (
            "INSERT INTO chunk (job_id, first_image, images, manifest) VALUES (0, 0, 1, '')",
            "refused",
        ),
    ],
)
def test_an_outage_is_told_from_a_refusal(statement: str, expected: str, engine: Engine) -> None:
    with pytest.raises(DBAPIError) as raised, engine.begin() as connection:
        connection.execute(text(statement))
    found = is_outage(raised.value), is_away(raised.value)
    words = {(True, True): "away", (True, False): "for now", (False, False): "refused"}
    assert words[found] == expected


def test_a_server_that_is_not_there_and_a_lost_connection_are_outages() -> None:
    away = make_engine(Settings(database_url="postgresql://imgq@127.0.0.1:1/imgq"))
    with pytest.raises(OperationalError) as raised:
        away.connect()
    lost = DBAPIError("", None, psycopg2.DatabaseError("gone"), connection_invalidated=True)
    assert is_outage(raised.value) and is_outage(lost)
    assert is_away(raised.value) and is_away(lost)
    assert not is_outage(RuntimeError()) and not is_outage(OSError())


def test_a_connection_that_died_while_nobody_used_it_is_replaced(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_db.engine.IDLE_SECONDS", 0)
    query, kill = text("SELECT pg_backend_pid()"), text("SELECT pg_terminate_backend(:pid, 5000)")
    other = make_engine(settings)
    with engine.connect() as connection:
        old = connection.execute(query).scalar_one()
    with other.connect() as connection:
        assert connection.execute(kill, {"pid": old}).scalar_one()
    other.dispose()
    with engine.connect() as connection:
        assert connection.execute(query).scalar_one() != old


def test_single_statements_are_kept_at_once_and_the_next_transaction_is_one(engine: Engine) -> None:
    with single_statements(engine) as connection:
        connection.execute(text("UPDATE model_version SET metrics = '{\"kept\": 1}'"))
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        connection.execute(text("UPDATE model_version SET metrics = '{}'"))
        raise ZeroDivisionError
    with engine.connect() as connection:
        found = connection.execute(text("SELECT metrics FROM model_version")).scalar_one()
    assert found == {"kept": 1}


def test_a_connection_that_breaks_in_a_single_statement_is_an_outage(engine: Engine) -> None:
    with pytest.raises(DBAPIError) as raised, single_statements(engine) as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert is_outage(raised.value)
    with single_statements(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_thread_that_looks_up_often_keeps_its_connection(settings: Settings) -> None:
    engine, opened = make_engine(settings, role="worker", threads=12), []
    event.listen(engine, "connect", lambda *_: opened.append(1))

    def look_up(together: Barrier) -> None:
        with engine.connect() as connection:
            together.wait(10)
            connection.execute(text("SELECT 1"))

    with ThreadPoolExecutor(12) as pool:
        for _ in range(3):
            list(pool.map(look_up, [Barrier(12)] * 12))
    engine.dispose()
    assert len(opened) == 12


def test_a_worker_of_many_threads_leaves_connections_to_others(settings: Settings) -> None:
    engine = make_engine(settings, role="worker", threads=200)
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.size() == MOST_KEPT
