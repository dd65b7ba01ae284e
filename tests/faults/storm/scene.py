"""What faults are done to, and what they leave to be undone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.faults.storm.load import Load, Submitted
from tests.faults.storm.members import Member
from tests.faults.storm.pictures import POISONED
from tests.faults.storm.points import Point
from tests.faults.storm.stack import Stack

from imgq_db.engine import is_outage

#: Chunks with a picture that ends processes take as long as that takes: see `Kind.POISON`.
_CLAIMS = """
SELECT c.id || ' ' || c.token FROM chunk c JOIN job j ON j.id = c.job_id
WHERE c.state = 'leased' AND c.owner = ANY(CAST(:owners AS uuid[])) AND NOT j.source ~ :poisoned
"""
_LAST_COMMIT = "SELECT extract(epoch FROM max(at))::float8 FROM storm_seen WHERE what = 'chunk'"


class Taken(NamedTuple):
    """A claim: a chunk under a token, which grows with each claim."""

    chunk: int
    token: int


@dataclass(frozen=True, slots=True)
class Hit:
    """What a fault was done to. taken: the claims that it took; job: the one it was about."""

    target: str
    taken: tuple[Taken, ...] = ()
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
    undo: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    clock_is_off: bool = False

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        self.undo.append((time.monotonic() + seconds, what))

    def undo_due(self) -> None:
        now = time.monotonic()
        due = [what for at, what in self.undo if at <= now]
        self.undo = [(at, what) for at, what in self.undo if at > now]
        for what in due:
            what()

    def claims_of(self, member: Member) -> tuple[Taken, ...]:
        """Return the claims of a worker's processes; none while Postgres is away."""
        if member.role != "worker":
            return ()
        owners = self.stack.owners_of(member.name)
        found = self.ask(_CLAIMS, owners=owners, poisoned=POISONED)
        return tuple(Taken(*map(int, claim.split())) for claim in found)

    def last_commit(self) -> float:
        """Return when a chunk was last committed, 0 if that cannot be told; since the epoch."""
        found = self.ask(_LAST_COMMIT)
        return float(found[0]) if found and found[0] != "None" else 0.0

    def ask(self, query: str, **values: object) -> Sequence[str]:
        try:
            with self.stack.engine.connect() as connection:
                return [str(found) for found in connection.execute(text(query), values).scalars()]
        except DBAPIError as error:
            if not is_outage(error):
                raise
            return []
