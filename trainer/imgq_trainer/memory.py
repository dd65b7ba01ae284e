"""Memory: a budget that threads draw from, so that very large pictures go one at a time; and the
want of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

#: how torch on a CPU, CUDA, its libraries, and what is written in C++, word it
_NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "STATUS_ALLOC_FAILED",
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell want of memory, on whatever device, from all else."""
    import torch  # not before: crews and budgets are also for those who have none

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


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
