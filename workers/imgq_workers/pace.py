"""How fast a process gets through its pictures, however many chunks are underway at once."""

import time
from collections import deque
from collections.abc import Callable

#: A speed is that of the last so many seconds; of longer ago only if nothing was finished since.
WINDOW_SECONDS = 30


class Pace:
    """Counts what is finished, from the beginning of the work on; not for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When something was finished, and how many images; of the first only the time counts.
        self._ends: deque[tuple[float, int]] = deque()
        self._images = 0

    def begin(self) -> None:
        """Note that there is work, if there was none."""
        if not self._ends:
            self._ends.append((self._clock(), 0))

    def rest(self) -> None:
        """Note that there is no more work: the time until there is counts for nothing."""
        self._ends.clear()
        self._images = 0

    def finished(self, images: int) -> float:
        """Count images; return how many a second were finished lately."""
        self.begin()
        now = self._clock()
        self._ends.append((now, images))
        self._images += images
        while len(self._ends) > 2 and self._ends[1][0] <= now - WINDOW_SECONDS:
            self._ends.popleft()
            self._images -= self._ends[0][1]
        return self._images / max(now - self._ends[0][0], 1e-3)
