"""What this process failed at lately, and leaves to others for a while."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from imgq_db.failures import FailureKind
from imgq_db.fairness import LeftAlone


@dataclass(slots=True)
class Setbacks:
    """Jobs and model versions with the times until which they are left alone; for threads, too.

    A chunk that raises takes no other with it: only from the second in a row on the job is left.
    """

    clock: Callable[[], float] = time.monotonic
    _jobs: dict[int, float] = field(default_factory=dict)
    _versions: dict[int, float] = field(default_factory=dict)
    _in_a_row: dict[int, int] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def leave(
        self, kind: FailureKind, *, job_id: int, version_id: int | None = None, seconds: float
    ) -> None:
        """Leave a job alone, or every job of a version that does not load."""
        until = self.clock() + seconds
        with self._turn:
            if kind is FailureKind.MODEL and version_id is not None:
                self._versions[version_id] = until
            elif kind is not FailureKind.CHUNK or self._again(job_id):
                self._jobs[job_id] = until

    def _again(self, job_id: int) -> bool:
        self._in_a_row[job_id] = self._in_a_row.get(job_id, 0) + 1
        return self._in_a_row[job_id] > 1

    def finished(self, job_id: int) -> None:
        """Forget a job's chunks that raised: it did another one."""
        with self._turn:
            self._in_a_row.pop(job_id, None)

    def left(self) -> LeftAlone:
        """Return what not to claim now."""
        now = self.clock()
        with self._turn:
            for kept in (self._jobs, self._versions):
                for key in [key for key, until in kept.items() if until <= now]:
                    del kept[key]
            return LeftAlone(tuple(self._jobs), tuple(self._versions))
