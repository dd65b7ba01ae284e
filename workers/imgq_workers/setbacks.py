"""What this process failed at lately, and leaves to others for a while."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from imgq_db.failures import FailureKind
from imgq_db.fairness import LeftAlone

#: Of so many jobs it is known that their last chunk here raised: most end without another one.
MOST_RAISED = 1000


@dataclass(slots=True)
class Setbacks:
    """Jobs and model versions with the times until which they are left alone; for threads, too.

    A chunk that raises takes no other with it: only from the second in a row on the job is left.
    """

    clock: Callable[[], float] = time.monotonic
    _jobs: dict[int, float] = field(default_factory=dict)
    _versions: dict[int, float] = field(default_factory=dict)
    _raised: dict[int, None] = field(default_factory=dict)  # longest ago first
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
        again = job_id in self._raised
        self._raised[job_id] = None
        if len(self._raised) > MOST_RAISED:
            del self._raised[next(iter(self._raised))]
        return again

    def finished(self, job_id: int) -> None:
        """Forget a job's chunks that raised: it did another one."""
        with self._turn:
            self._raised.pop(job_id, None)

    def left(self) -> LeftAlone:
        """Return what not to claim now."""
        now = self.clock()
        with self._turn:
            for kept in (self._jobs, self._versions):
                for key in [key for key, until in kept.items() if until <= now]:
                    del kept[key]
            return LeftAlone(tuple(self._jobs), tuple(self._versions))
