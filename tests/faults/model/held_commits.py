"""Transactions that are stopped just before their commit, with all their locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, Engine


@dataclass(slots=True)
class HeldCommit:
    """An engine whose one transaction is left open: its process was stopped there.

    To everybody else it is a lock on rows, and nothing yet written.
    """

    engine: Engine
    _connection: Connection | None = None

    def as_engine(self) -> Engine:
        return cast(Engine, self)

    def connect(self) -> Connection:
        """Lend a connection for what is committed at once."""
        return self.engine.connect()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        connection = self.engine.connect()
        try:
            connection.begin()
            yield connection
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def commit(self) -> None:
        """Let the process go on."""
        assert self._connection is not None
        self._connection.commit()
        self.drop()

    def drop(self) -> None:
        """Let the process die instead."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
