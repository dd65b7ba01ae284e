"""How long after each fault the work that it hit was committed."""

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, text
from tests.faults.storm.plan import DISRUPTIVE, Kind
from tests.faults.storm.scene import Hit, Taken
from tests.faults.storm.storming import Struck

_SEEN = """
SELECT what, id, extract(epoch FROM min(at))::float8 AS at FROM storm_seen GROUP BY what, id
"""
_CHUNKS = "SELECT id, job_id FROM chunk"
_JOBS = "SELECT id, uid FROM job"


#: When a claim that followed this one was taken by another fault; infinity: never.
LostAgain = Callable[[Taken], float]


@dataclass(frozen=True, slots=True)
class Recovery:
    """seconds: from the fault on. alone: nothing else that keeps workers from work struck since."""

    kind: Kind
    seconds: float
    alone: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """When chunks were settled, jobs ended and anything was committed: seconds since the epoch.

    A chunk is settled once it was committed, or its job has ended without it.
    """

    chunks: Mapping[int, float]
    jobs: Mapping[str, float]
    commits: Sequence[float]

    def end_of(self, hit: Hit, at: float, lost_again: LostAgain) -> float | None:
        """Return when a fault of that moment was over; None: nothing was left to do."""
        if hit.job is not None:
            return self.jobs.get(str(hit.job.uid))
        if hit.taken:
            return max(
                min(self.chunks.get(claim.chunk, at), lost_again(claim)) for claim in hit.taken
            )
        following = bisect.bisect_right(self.commits, at)
        return self.commits[following] if following < len(self.commits) else None


def read_seen(engine: Engine) -> Seen:
    with engine.connect() as connection:
        seen = {(row.what, row.id): row.at for row in connection.execute(text(_SEEN))}
        chunks = connection.execute(text(_CHUNKS)).all()
        jobs = connection.execute(text(_JOBS)).all()
    never = float("inf")
    settled = {
        row.id: min(seen.get(("chunk", row.id), never), seen.get(("job", row.job_id), never))
        for row in chunks
    }
    return Seen(
        chunks={chunk: at for chunk, at in settled.items() if at < never},
        jobs={str(row.uid): seen[("job", row.id)] for row in jobs if ("job", row.id) in seen},
        commits=sorted(at for (what, _), at in seen.items() if what == "chunk"),
    )


def recoveries(seen: Seen, struck: Sequence[Struck]) -> list[Recovery | None]:
    """Return how each fault was recovered from; None where nothing was left to do."""
    disruptions = sorted(each.at for each in struck if each.fault.kind in DISRUPTIVE)
    losses: dict[int, list[tuple[int, float]]] = {}
    for each in struck:
        for claim in each.hit.taken:
            losses.setdefault(claim.chunk, []).append((claim.token, each.at))

    def lost_again(claim: Taken) -> float:
        """A chunk that another fault took had been claimed again: the rest is that one's."""
        later = [at for token, at in losses[claim.chunk] if token > claim.token]
        return min(later, default=float("inf"))

    return [_recovery(seen, each, disruptions, lost_again) for each in struck]


def _recovery(
    seen: Seen, struck: Struck, disruptions: Sequence[float], lost_again: LostAgain
) -> Recovery | None:
    end = seen.end_of(struck.hit, struck.at, lost_again)
    if end is None:
        return None
    further = bisect.bisect_right(disruptions, struck.at)
    alone = further == len(disruptions) or disruptions[further] >= end
    return Recovery(struck.fault.kind, max(0.0, end - struck.at), alone)


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the value that this share of the sorted values does not exceed."""
    return seconds[min(len(seconds) - 1, int(share * len(seconds)))]
