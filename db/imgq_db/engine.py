"""How each kind of process connects to Postgres."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import psycopg2.extensions
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from imgq_db.failpoints import arm_from_environment
from imgq_db.settings import Settings

#: The server, too, gives up on a client that is gone without a word, or that takes in no answer:
#: after 20 to 25 s instead of hours.
_SERVER_KEEPALIVES = (
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=20000"
)
#: A connection that was used so lately is not asked first whether it still lives.
IDLE_SECONDS = 0.1
#: SQL before a statement whose commit need not outlive a crash of the server: it waits for no disk.
LAZILY = "SET LOCAL synchronous_commit = off;"
_USED_AT = "used_at"


@dataclass(frozen=True, slots=True)
class SessionTimeouts:
    """Limits that Postgres itself holds a session to, in seconds."""

    statement_seconds: float
    lock_seconds: float = 5
    # A stopped worker must not hold a row lock for ever. This acts between statements, and while
    # a part of one was read; so no transaction may use a COPY, which waits without a limit.
    idle_in_transaction_seconds: float = 15


TIMEOUTS = {
    "api": SessionTimeouts(statement_seconds=5),
    "worker": SessionTimeouts(statement_seconds=60),
    "reconciler": SessionTimeouts(statement_seconds=600),
    "migrate": SessionTimeouts(0, 0, 0),
}


#: A process keeps so many connections open, and opens so many more while they are all in use:
#: more than the API has threads, so that no request waits for one.
KEPT, MORE = 5, 48
#: A worker keeps one for each of its threads, but no more than so many: its threads wait for
#: each other's look-ups, which take milliseconds, and not for a server that has none left.
MOST_KEPT, MORE_OF_WORKER = 20, 10


def make_engine(settings: Settings, *, role: str = "api", threads: int | None = None) -> Engine:
    """Make the connection pool of one process.

    role: a key of TIMEOUTS. threads: how many use it all the time, None for few.
    """
    arm_from_environment()  # a plan that means nothing is told at the start of a process
    timeouts = TIMEOUTS[role]
    options = (
        f"-c statement_timeout={int(timeouts.statement_seconds * 1000)}"
        f" -c lock_timeout={int(timeouts.lock_seconds * 1000)}"
        f" -c idle_in_transaction_session_timeout="
        f"{int(timeouts.idle_in_transaction_seconds * 1000)}"
        " -c timezone=UTC"
        f"{_SERVER_KEEPALIVES}"
    )
    engine = create_engine(
        settings.database_url,
        pool_size=KEPT if threads is None else min(threads, MOST_KEPT),
        max_overflow=MORE if threads is None else MORE_OF_WORKER,
        pool_timeout=5,
        connect_args={
            "options": options,
            "application_name": f"imgq-{role}",
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    event.listen(engine, "connect", _use_utf8)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", lambda lent, record, _: _ping_if_idle(engine, lent, record))
    return engine


@contextmanager
def single_statements(engine: Engine) -> Iterator[Connection]:
    """Lend a connection on which each statement is a transaction of its own.

    That saves the round trips for BEGIN and COMMIT, which small statements consist of.
    """
    with engine.connect() as connection:
        driver = cast(psycopg2.extensions.connection, connection.connection.dbapi_connection)
        driver.autocommit = True
        try:
            yield connection
        finally:
            # A broken one is closed, and never lent again.
            if not driver.closed:
                driver.autocommit = False


def _use_utf8(connection: DBAPIConnection, _record: object) -> None:
    connection.set_client_encoding("UTF8")


def _note_use(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()


def _ping_if_idle(engine: Engine, connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    """Let the pool replace its connections if this one died while nobody used it."""
    used_at = record.info.get(_USED_AT)
    if used_at is None or time.monotonic() - used_at < IDLE_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except psycopg2.Error as error:
        raise InvalidatePoolError from error


def is_outage(error: BaseException) -> bool:
    """Tell a database that is away, full or slow from a statement that it will always refuse."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def is_away(error: BaseException) -> bool:
    """Tell a database that nothing can be asked of from one that refuses a statement for now."""
    refused = (
        isinstance(error, DBAPIError)
        and not error.connection_invalidated
        and getattr(error.orig, "pgcode", None) is not None
    )
    return is_outage(error) and not refused
