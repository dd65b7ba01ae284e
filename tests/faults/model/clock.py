"""A clock of the database that stands still unless it is moved, so that a model can know it."""

import datetime
from dataclasses import dataclass

from sqlalchemy import Engine, text

_START = datetime.datetime(2031, 5, 4, 3, 2, 1, tzinfo=datetime.UTC)
_SET = "CREATE OR REPLACE FUNCTION imgq_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "


@dataclass(slots=True)
class StillClock:
    """What imgq_now() says, in the database and here."""

    engine: Engine
    now: datetime.datetime = _START

    def start(self) -> None:
        self.now = _START
        self._set()

    def move(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)
        self._set()

    def after(self, seconds: float) -> datetime.datetime:
        return self.now + datetime.timedelta(seconds=seconds)

    def _set(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(f"{_SET} $$ SELECT timestamptz '{self.now.isoformat()}' $$"))
