"""For how long nothing at all has moved in a process that holds chunks and renews their leases."""

import time
from dataclasses import dataclass, field

from imgq_db.settings import Settings
from imgq_workers.trails import Trail


@dataclass(slots=True)
class Stall:
    """Watches one process.

    Time counts only while the database answers the process' lease keepers: it is them that would
    keep the chunks from others, and a database that is away holds up everybody. What has a deadline
    of its own, such as a picture that is decoded, is left to that.
    """

    settings: Settings
    _seconds: float = 0.0
    _moved: bytes = b""
    _heard: int = -1
    _heard_at: float = field(default_factory=time.monotonic)

    def look(self, trail: Trail) -> bool:
        """Look at the process once more; return whether it has stood still for too long."""
        now = time.monotonic()
        if not trail.held or trail.flights or trail.chores or trail.moved != self._moved:
            self._seconds = 0.0
        elif trail.heard != self._heard:
            # A longer pause means that somebody was stopped, or the database away.
            self._seconds += min(now - self._heard_at, 2 * max(self.settings.poll_seconds, 1))
        if trail.heard != self._heard:
            self._heard_at = now
        self._moved, self._heard = trail.moved, trail.heard
        return self._seconds >= self.settings.stall_seconds
