"""What breaks, when and how long: drawn from the seed alone, so that a seed is a plan."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

#: Pauses between two faults, in seconds, of a storm at pace 1: often short, at times long enough
#: for everything to recover.
PAUSES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0)


class Kind(StrEnum):
    """What a fault is; the words of the report."""

    WORKER_KILL = "SIGKILL of a worker with its child"
    CHILD_KILL = "SIGKILL of a pool child"
    WORKER_STOP = "SIGSTOP of a worker, SIGCONT after its lease"
    WORKER_TERM = "SIGTERM of a worker"
    POINT_KILL = "SIGKILL at a commit point"
    POINT_STOP = "SIGSTOP at a commit point, SIGCONT later"
    POISON = "a picture that crashes its decoder"
    ENDLESS = "a picture that never leaves its decoder"
    GLUTTON = "a picture that takes all memory"
    OUT_OF_MEMORY = "a worker's child that takes all memory, once"
    RECONCILER_KILL = "SIGKILL of a reconciler"
    RECONCILER_STOP = "SIGSTOP of a reconciler"
    API_KILL = "SIGKILL of the API"
    SUPERVISOR_KILL = "SIGKILL of the trainings' supervisor"
    TRAINER_KILL = "SIGKILL of a trainer"
    REDIS_FLUSH = "FLUSHALL"
    REDIS_KILL = "SIGKILL of Redis"
    REDIS_FORGED = "messages of nonsense"
    REDIS_BELLS = "bells rung ten times"
    POSTGRES_STOP = "immediate stop of Postgres"
    BACKEND_KILL = "SIGKILL of a Postgres backend"
    BACKEND_TERMINATE = "pg_terminate_backend"
    CLOCK_STEP = "a step of the database's clock by hours"
    DISK_FULL = "a full disk, of all servers and processes"
    NET_CUT = "a connection cut and refused"
    NET_RESET = "connections reset"
    NET_SLOW = "a slow connection"
    NET_SILENT = "a half-open connection"
    CANCEL = "cancel of a job"


#: How often each is drawn. What takes everything down is rare, or nothing would ever be at work.
WEIGHTS: Mapping[Kind, int] = {
    Kind.WORKER_KILL: 10,
    Kind.CHILD_KILL: 10,
    Kind.WORKER_STOP: 8,
    Kind.WORKER_TERM: 5,
    Kind.POINT_KILL: 12,
    Kind.POINT_STOP: 4,
    Kind.POISON: 1,
    Kind.ENDLESS: 1,
    Kind.GLUTTON: 1,
    Kind.OUT_OF_MEMORY: 4,
    Kind.RECONCILER_KILL: 5,
    Kind.RECONCILER_STOP: 2,
    Kind.API_KILL: 3,
    Kind.SUPERVISOR_KILL: 2,
    Kind.TRAINER_KILL: 4,
    Kind.REDIS_FLUSH: 6,
    Kind.REDIS_KILL: 3,
    Kind.REDIS_FORGED: 5,
    Kind.REDIS_BELLS: 5,
    Kind.POSTGRES_STOP: 2,
    Kind.BACKEND_KILL: 1,
    Kind.BACKEND_TERMINATE: 8,
    Kind.CLOCK_STEP: 4,
    Kind.DISK_FULL: 2,
    Kind.NET_CUT: 4,
    Kind.NET_RESET: 5,
    Kind.NET_SLOW: 3,
    Kind.NET_SILENT: 3,
    Kind.CANCEL: 8,
}


#: What keeps workers from work: most of these wait until something was committed since the last
#: one, so that they hit work on a slow machine too.
DISRUPTIVE = frozenset(
    {
        Kind.WORKER_KILL,
        Kind.CHILD_KILL,
        Kind.WORKER_STOP,
        Kind.WORKER_TERM,
        Kind.POINT_KILL,
        Kind.POINT_STOP,
        Kind.OUT_OF_MEMORY,
        Kind.REDIS_KILL,
        Kind.POSTGRES_STOP,
        Kind.BACKEND_KILL,
        Kind.CLOCK_STEP,
        Kind.DISK_FULL,
        Kind.NET_CUT,
        Kind.NET_SLOW,
        Kind.NET_SILENT,
    }
)
#: So much of them do not wait, and of those of workers so much hit one that has only just begun.
IN_A_ROW = 0.15


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault.

    pause_seconds: after the one before. target: 0..1, which of those that the kind can hit.
    extent: 0..1, how long or how much, within the range of the kind.
    """

    number: int
    kind: Kind
    pause_seconds: float
    target: float
    extent: float

    @property
    def waits_for_work(self) -> bool:
        """Whether something must have been committed since the last disruptive fault."""
        return self.kind in DISRUPTIVE and self.extent > IN_A_ROW

    def choose(self, candidates: Sequence[T]) -> T:
        """Return the candidate that is meant. There must be one."""
        return candidates[int(self.target * len(candidates))]

    def between(self, least: float, most: float) -> float:
        """Return the extent within a range."""
        return least + self.extent * (most - least)

    def __str__(self) -> str:
        return (
            f"{self.number:5} +{self.pause_seconds:.2f} s  {self.kind}"
            f"  (target {self.target:.3f}, extent {self.extent:.3f})"
        )


def make_plan(
    seed: int, *, kinds: Sequence[Kind] = tuple(Kind), pace: float = 1
) -> Iterator[Fault]:
    """Draw faults without end. pace: how much shorter the pauses are."""
    dice = random.Random(seed)
    weights = [WEIGHTS[kind] for kind in kinds]
    number = 0
    while True:
        number += 1
        (kind,) = dice.choices(kinds, weights)
        pause = dice.choice(PAUSES) / pace
        yield Fault(number, kind, pause, dice.random(), dice.random())
