"""What faults are done to, and what they leave to be undone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from tests.faults.storm.load import Load, Submitted
from tests.faults.storm.members import Member
from tests.faults.storm.points import Point
from tests.faults.storm.stack import Stack

_CLAIMS = "SELECT id FROM chunk WHERE state = 'leased' AND owner = ANY(CAST(:owners AS uuid[]))"
_LAST_COMMIT = """
SELECT extract(epoch FROM max(done_at))::float8
FROM (SELECT done_at FROM chunk ORDER BY id DESC LIMIT 500) latest
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """What a fault was done to. chunks: those whose claims it took; job: the one it was about."""

    target: str
    chunks: tuple[int, ...] = ()
    job: Submitted | None = None


@dataclass(frozen=True, slots=True)
class Armed:
    """A failpoint that nobody has reached yet."""

    point: Point


@dataclass(slots=True)
class Scene:
    """What faults are done to, and what they leave to be undone."""

    stack: Stack
    load: Load
    #: (when, by the monotonic clock; what)
    undo: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.undo.append((time.monotonic() + seconds, what))

    def undo_due(self) -> None:
        now = time.monotonic()
        due = [what for at, what in self.undo if at <= now]
        self.undo = [(at, what) for at, what in self.undo if at > now]
        for what in due:
            what()

    def claims_of(self, member: Member) -> tuple[int, ...]:
        """Return the chunks that a worker's processes have claimed; none while Postgres is away."""
        if member.role != "worker":
            return ()
        return tuple(map(int, self.ask(_CLAIMS, owners=self.stack.owners_of(member.name))))

    def last_commit(self) -> float:
        """Return when a chunk was last committed, 0 if that cannot be told; since the epoch."""
        found = self.ask(_LAST_COMMIT)
        return float(found[0]) if found and found[0] != "None" else 0.0

    def ask(self, query: str, **values: object) -> Sequence[str]:
        try:
            with self.stack.engine.connect() as connection:
                return [str(found) for found in connection.execute(text(query), values).scalars()]
        except SQLAlchemyError:
            return []
