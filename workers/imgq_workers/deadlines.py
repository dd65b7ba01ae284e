"""For how long a process has been at the same thing, as far as it could get on with it."""

import time
from dataclasses import dataclass, field

from imgq_db.settings import Settings
from imgq_workers.running_time import Sample, ran_seconds, sample_thread
from imgq_workers.trails import Doing, Flight, Trail

#: A round of looking at the children, or a quarter of the shortest deadline if that is shorter.
ROUND_SECONDS = 1.0


def deadline(flight: Flight, settings: Settings) -> float:
    """Return for how many seconds a thread may be at a thing."""
    loads = flight.doing is Doing.LOADING
    return settings.load_seconds if loads else settings.decode_seconds


@dataclass(frozen=True, slots=True)
class _Watched:
    mark: object
    sample: Sample | None
    ran_seconds: float


@dataclass(slots=True)
class Deadlines:
    """For how long each thread of one process has been at what it is at."""

    settings: Settings
    _looked_at: float = field(default_factory=time.monotonic)
    _watched: dict[int, _Watched] = field(default_factory=dict)

    def overdue(self, trail: Trail) -> Flight | None:
        """Look at the process once more; return what it has been at for too long."""
        now = time.monotonic()
        # A longer round means that this process was stopped, and most often so was the other.
        elapsed = min(now - self._looked_at, 2 * ROUND_SECONDS)
        self._looked_at = now
        underway = (*trail.flights, *trail.chores)
        self._watched = {each.slot: self._look(trail, each, elapsed) for each in underway}
        late = (
            each
            for each in underway
            if self._watched[each.slot].ran_seconds >= deadline(each, self.settings)
        )
        return next(late, None)

    def _look(self, trail: Trail, flight: Flight, elapsed: float) -> _Watched:
        mark: object = flight.mark
        if flight.doing is Doing.LOADING:  # int8 looks at pictures first: it is not stuck
            mark = (mark, *((picture.slot, picture.mark) for picture in trail.flights))
        sample, last = sample_thread(trail.pid, flight.thread), self._watched.get(flight.slot)
        if last is None or last.mark != mark:
            return _Watched(mark, sample, 0.0)
        ran = last.ran_seconds + ran_seconds(last.sample, sample, elapsed)
        return _Watched(mark, sample, ran)
