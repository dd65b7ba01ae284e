"""Long polls: `Prefer: wait=N` holds a request until something changes, for a bounded crowd."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

LONGEST_SECONDS = 60
# Each look is one indexed row.
LOOK_SECONDS = 0.25
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


def preferred_wait(header: str | None) -> int:
    """Return the seconds that a Prefer header (RFC 7240) asks to wait, at most a minute."""
    found = _WAIT.search(header or "")
    return min(int(found[1]), LONGEST_SECONDS) if found else 0


class WaitingRoom:
    """The seats for requests that wait. Whoever finds none is answered at once."""

    def __init__(self, seats: int) -> None:
        self._seats = threading.BoundedSemaphore(seats)
        self._closed = threading.Event()

    def close(self) -> None:
        """Send everybody home: the server stops."""
        self._closed.set()

    @contextmanager
    def seat(self) -> Iterator[bool]:
        """Give one seat, or False when all are taken."""
        taken = self._seats.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._seats.release()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Look again and again until it is ready, the time is over or the room is closed."""
        deadline = time.monotonic() + seconds
        with self.seat() as seated:
            while seated and not ready():
                left = deadline - time.monotonic()
                if left <= 0 or self._closed.wait(min(LOOK_SECONDS, left)):
                    return
