"""Locks on things outside the database, each held by a connection that does nothing else."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that ends with its connection, whatever ends that."""

    name: str
    connection: Connection

    def is_held(self) -> bool:
        """Ask the server; if the connection is lost, so is the lock."""
        try:
            self.connection.execute(text("SELECT 1"))
        except DBAPIError:
            return False
        return True

    def release(self) -> None:
        """Give the lock up and close its connection, also one that is lost."""
        self.connection.close()


def hold_first_free(engine: Engine, names: Sequence[str]) -> HeldLock | None:
    """Take the first lock that nobody holds, at once; None: all are taken.

    All processes that use one database agree on who holds what. The connection must last: a pooler
    that lends connections for a transaction only cannot stand between.
    """
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        connection.detach()  # no pool may close it, or lend it to others
        for name in names:
            if connection.execute(
                text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(name)}
            ).scalar_one():
                return HeldLock(name, connection)
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _key(name: str) -> int:
    digest = hashlib.sha256(b"imgq lock " + name.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
