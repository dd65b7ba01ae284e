"""How long a thread of another process really ran: what was stopped, or starved, did not."""

import os
from dataclasses import dataclass
from pathlib import Path

#: A thread that wants to run and gets less of a core than this counts as if it got so much: no
#: machine is so busy for long, and some do not say what a thread got.
LEAST_SHARE = 0.1
_STOPPED = frozenset("Tt")


@dataclass(frozen=True, slots=True)
class Sample:
    """A thread at one moment. state: as in /proc, R for one that runs or wants to."""

    state: str
    cpu_seconds: float


def sample_thread(pid: int, thread: int) -> Sample | None:
    """Look at a thread; None: this system does not tell, or the thread has ended."""
    try:
        line = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()  # a name may hold anything
    ticks = int(fields[11]) + int(fields[12])
    return Sample(fields[0], ticks / os.sysconf("SC_CLK_TCK"))


def ran_seconds(before: Sample | None, now: Sample | None, elapsed: float) -> float:
    """Return for how much of the time between two samples a thread could get on.

    One that waits for something is at it all the time.
    """
    if before is None or now is None:
        return elapsed
    if now.state in _STOPPED:
        return 0.0
    if now.state == "R":
        return max(now.cpu_seconds - before.cpu_seconds, LEAST_SHARE * elapsed)
    return elapsed
