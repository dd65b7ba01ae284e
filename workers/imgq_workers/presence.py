"""What this process says of itself in the worker table, no more often than anybody looks."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Engine

from imgq_db.workers import is_draining, set_activity
from imgq_workers.pace import Pace


@dataclass(slots=True)
class Presence:
    """This process's row of the worker table; safe to use in threads.

    A change of job or device is told at once, with the last speed; a speed alone at most once a
    poll: chunks can be many. Each telling also hears whether the worker was asked to stop.
    Raises DBAPIError if the database is away.
    """

    engine: Engine
    uid: UUID
    poll_seconds: float
    _precisions: tuple[str, ...] | None = None
    _told: tuple[UUID | None, str | None, tuple[str, ...] | None] | None = None
    _told_at: float = float("-inf")
    _device: str | None = None
    _speed: float | None = None
    _draining: bool = False
    _asked_at: float = float("-inf")
    _pace: Pace = field(default_factory=Pace)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def offers(self, precisions: Sequence[str]) -> None:
        """Note what this process can compute, for the next telling."""
        self._precisions = tuple(precisions)

    def tell(self, *, job: UUID | None, device: str | None = None, finished: int = 0) -> None:
        """Say what this process does now; job None: nothing. finished: images, just now."""
        with self._turn:
            self._device = device or self._device
            self._count(finished, rests=job is None)
            news, now = (job, self._device, self._precisions), time.monotonic()
            if news == self._told and now - self._told_at < self.poll_seconds:
                return
            self._draining = set_activity(
                self.engine,
                self.uid,
                job=job,
                device=self._device,
                images_per_second=self._speed,
                precisions=self._precisions,
            )
            self._told, self._told_at, self._asked_at = news, now, now

    def _count(self, finished: int, *, rests: bool) -> None:
        if finished:
            self._speed = self._pace.finished(finished)
        elif rests:
            self._pace.rest()
        else:
            self._pace.begin()

    def is_draining(self) -> bool:
        """Tell whether the worker was asked to stop: a poll ago, at most."""
        with self._turn:
            now = time.monotonic()
            if now - self._asked_at >= self.poll_seconds:
                self._draining = is_draining(self.engine, self.uid)
                self._asked_at = now
            return self._draining
