"""A budget of memory that threads draw from, so that very large pictures go one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class MemoryBudget:
    """Grants bytes up to a limit; a request above the limit waits until it is alone."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._granted_bytes = 0
        self._changed = Condition()

    @contextmanager
    def reserve(self, size_bytes: int) -> Iterator[None]:
        """Hold memory for a with block, waiting for it if need be."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(size_bytes))
            self._granted_bytes += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._granted_bytes -= size_bytes
                self._changed.notify_all()

    def _fits(self, size_bytes: int) -> bool:
        return self._granted_bytes == 0 or self._granted_bytes + size_bytes <= self._limit_bytes
