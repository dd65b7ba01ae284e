"""Connections: what Postgres holds each kind of process to, and which errors mean it is away."""

import psycopg2
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from imgq_db.engine import TIMEOUTS, is_outage, make_engine
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
    assert values == [*(str(int(s * 1000)) for s in seconds), "UTC", "UTF8", f"imgq-{role}"]


@pytest.mark.parametrize(
    ("statement", "outage"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)", True),
        ("SELECT 1 / 0", False),
        ("SELECT 99999::smallint", False),
        ("SELECT nothing FROM nowhere", False),
        ("INSERT INTO chunk (job_id, first_image, images, manifest) VALUES (0, 0, 1, '')", False),
    ],
)
def test_an_outage_is_told_from_a_refusal(statement: str, outage: bool, engine: Engine) -> None:
    with pytest.raises(DBAPIError) as raised, engine.begin() as connection:
        connection.execute(text(statement))
    assert is_outage(raised.value) is outage


def test_a_server_that_is_not_there_and_a_lost_connection_are_outages() -> None:
    away = make_engine(Settings(database_url="postgresql://imgq@127.0.0.1:1/imgq"))
    with pytest.raises(OperationalError) as raised:
        away.connect()
    lost = DBAPIError("", None, psycopg2.DatabaseError("gone"), connection_invalidated=True)
    assert is_outage(raised.value) and is_outage(lost)
    assert not is_outage(RuntimeError()) and not is_outage(OSError())
