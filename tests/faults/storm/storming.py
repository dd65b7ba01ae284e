"""The storm itself: faults one after the other, while what died is started again."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

import psutil
from sqlalchemy.exc import SQLAlchemyError
from tests.faults.storm.faults import DEEDS, reached
from tests.faults.storm.plan import DISRUPTIVE, Fault
from tests.faults.storm.points import Point
from tests.faults.storm.scene import Armed, Hit, Scene

TICK_SECONDS = 0.02
#: A fault that finds nothing to be done to is tried for so long; then it does not count.
TRY_SECONDS = 30.0
#: How often it is looked whether something was committed.
LOOK_SECONDS = 0.1
#: A point that nobody reaches for so long is taken back; then it does not count.
ARMED_SECONDS = 20.0
#: So many faults may wait for their chance before the plan waits for them.
MOST_WAITING = 12


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was done. at: in seconds since the epoch, which is Postgres' clock here."""

    fault: Fault
    at: float
    hit: Hit


@dataclass(slots=True)
class _Waiting:
    fault: Fault
    until: float
    point: Point | None = None


@dataclass(slots=True)
class Storm:
    """Works through a plan. events: a line of JSON for each thing that happens."""

    scene: Scene
    plan: Iterator[Fault]
    events: TextIO
    struck: list[Struck] = field(default_factory=list)
    _waiting: list[_Waiting] = field(default_factory=list)
    _disrupted_at: float = 0.0
    _worked_at: float = 0.0
    _look_at: float = 0.0

    def rage(self, faults: int, *, most_seconds: float) -> None:
        """Do so many faults, or as many as the time allows."""
        ends = time.monotonic() + most_seconds
        following = self._next()
        due_at = time.monotonic() + following.pause_seconds
        while len(self.struck) < faults and time.monotonic() < ends:
            self._tick()
            room = len(self._waiting) < min(MOST_WAITING, faults - len(self.struck))
            if time.monotonic() >= due_at and room:
                self._begin(following)
                following = self._next()
                due_at = time.monotonic() + following.pause_seconds
        self.note("faults over", struck=len(self.struck))

    def _next(self) -> Fault:
        """Return the next fault that this machine lets us make."""
        lacks = self.scene.stack.lacks
        return next(fault for fault in self.plan if fault.kind not in lacks)

    def note(self, event: str, **values: object) -> None:
        """Write a line to the log of events."""
        line = {"at": round(time.time(), 3), "event": event, **values}
        self.events.write(json.dumps(line, default=str) + "\n")
        self.events.flush()

    def _tick(self) -> None:
        time.sleep(TICK_SECONDS)
        self.scene.stack.tend()
        self.scene.undo_due()
        if time.monotonic() >= self._look_at:
            self._worked_at = self.scene.last_commit()
            self._look_at = time.monotonic() + LOOK_SECONDS
        self._waiting = [each for each in self._waiting if not self._settle(each)]

    def _begin(self, fault: Fault) -> None:
        waiting = _Waiting(fault, time.monotonic() + TRY_SECONDS)
        if not self._settle(waiting):
            self._waiting.append(waiting)

    def _settle(self, waiting: _Waiting) -> bool:
        """Do a fault if it can be done now. True: it was, or it is given up."""
        if waiting.point is not None:
            return self._settle_point(waiting, waiting.point)
        at = time.time()
        if waiting.fault.waits_for_work and self._worked_at <= self._disrupted_at:
            return self._given_up(waiting)
        hit = self._do(waiting.fault)
        match hit:
            case Hit():
                self._strike(waiting.fault, at, hit)
                return True
            case Armed():
                self.note("armed", fault=waiting.fault.number, point=hit.point.marker.name)
                self._disrupted_at = at
                waiting.point, waiting.until = hit.point, time.monotonic() + ARMED_SECONDS
                return False
        return self._given_up(waiting)

    def _do(self, fault: Fault) -> Hit | Armed | None:
        """Do a fault. What goes wrong in the doing ends no storm: the fault was not done."""
        try:
            return DEEDS[fault.kind](self.scene, fault)
        except (OSError, psutil.Error, subprocess.SubprocessError, SQLAlchemyError) as error:
            self.note("not done", fault=fault.number, kind=fault.kind.name, why=repr(error))
            return None

    def _settle_point(self, waiting: _Waiting, point: Point) -> bool:
        if time.monotonic() >= waiting.until and point.disarm():
            return self._given_up(waiting)
        if not point.is_spent:
            return False
        at = point.marker.stat().st_mtime
        self._strike(waiting.fault, at, reached(self.scene, waiting.fault, point))
        return True

    def _given_up(self, waiting: _Waiting) -> bool:
        over = time.monotonic() >= waiting.until
        if over:
            self.note("no chance", fault=waiting.fault.number, kind=waiting.fault.kind.name)
        return over

    def _strike(self, fault: Fault, at: float, hit: Hit) -> None:
        self.struck.append(Struck(fault, at, hit))
        if fault.kind in DISRUPTIVE:
            self._disrupted_at = max(at, self._disrupted_at)
        self.note(
            "struck",
            fault=fault.number,
            kind=fault.kind.name,
            target=hit.target,
            taken=hit.taken,
            took=round(time.time() - at, 3),
        )
