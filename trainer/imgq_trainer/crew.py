"""The threads of one process, and the memory that they may use. Imports no torch."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from imgq_trainer.memory import MemoryBudget

#: what the files' bytes, and their decoded pictures, may take at a time
FILES_BUDGET_BYTES = 256 << 20
PICTURES_BUDGET_BYTES = 768 << 20
#: how many runs of files are underway for each thread: one that it works on, one that waits
RUNS_AHEAD = 2


class Crew:
    """Threads that read, decode and compute side by side; calls share them.

    A thread holds files of `share_bytes` in all without asking. For a larger one it asks the
    budget, holding no other; and whoever holds a file may ask for the memory of one picture. So
    threads never wait for each other in a circle.
    """

    def __init__(self, count: int | None = None) -> None:
        """Start no thread yet. count: None for as many as the process has cores."""
        self.count = count or usable_cores()
        self.threads = ThreadPoolExecutor(self.count, "classify")
        self.share_bytes = FILES_BUDGET_BYTES // 2 // self.count
        self.large_files = MemoryBudget(FILES_BUDGET_BYTES // 2)
        self.pictures = MemoryBudget(PICTURES_BUDGET_BYTES)

    @property
    def runs_underway(self) -> int:
        """How many runs of files keep every thread busy."""
        return RUNS_AHEAD * self.count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.threads.shutdown()


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
