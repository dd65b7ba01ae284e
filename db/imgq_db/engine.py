"""How each kind of process connects to Postgres."""

from dataclasses import dataclass

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from imgq_db.settings import Settings


@dataclass(frozen=True, slots=True)
class SessionTimeouts:
    """Limits that Postgres itself holds a session to, in seconds."""

    statement_seconds: float
    lock_seconds: float = 5
    # A stopped worker must not hold a row lock for ever.
    idle_in_transaction_seconds: float = 15


TIMEOUTS = {
    "api": SessionTimeouts(statement_seconds=5),
    "worker": SessionTimeouts(statement_seconds=60),
    "reconciler": SessionTimeouts(statement_seconds=600),
    "migrate": SessionTimeouts(0, 0, 0),
}


def make_engine(settings: Settings, *, role: str = "api") -> Engine:
    """Make the connection pool of one process.

    role: a key of TIMEOUTS.
    """
    timeouts = TIMEOUTS[role]
    options = (
        f"-c statement_timeout={int(timeouts.statement_seconds * 1000)}"
        f" -c lock_timeout={int(timeouts.lock_seconds * 1000)}"
        f" -c idle_in_transaction_session_timeout="
        f"{int(timeouts.idle_in_transaction_seconds * 1000)}"
        " -c timezone=UTC"
    )
    engine = create_engine(
        settings.database_url,
        pool_pre_ping=True,
        pool_size=5,
        # More than the API has threads, so that no request waits for a connection.
        max_overflow=40,
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
    return engine


def _use_utf8(connection: DBAPIConnection, _record: object) -> None:
    connection.set_client_encoding("UTF8")


def is_outage(error: BaseException) -> bool:
    """Tell a database that is away, full or slow from a statement that it will always refuse."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
