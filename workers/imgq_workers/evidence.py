"""What says why a process died, so that a picture is suspected only if one can have done it."""

from pathlib import Path
from uuid import UUID

from imgq_db.crashes import ALONE, DECODE_TIMEOUT, OUT_OF_MEMORY, READ_TIMEOUT, WORKER_CRASH, Cause
from imgq_workers.trails import Doing, Flight, OomKills, Trail

NO_BOOT = UUID(int=0)

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MACHINE = Path("/proc/vmstat")
_GROUP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
#: as faulthandler names them
_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating point exception": "SIGFPE",
}


def oom_kills() -> OomKills:
    """Read the kernel's counters for this control group and for the machine."""
    return OomKills(_counter(_events_file()), _counter(_MACHINE))


def boot_id() -> UUID | None:
    """Return what is another number after each start of the machine; None: it cannot be known."""
    try:
        return UUID(_BOOT.read_text().strip())
    except (OSError, ValueError):
        return None


def cause_of(trail: Trail, fault: str, *, decode_seconds: float) -> Cause | None:
    """Return why a process died if a picture can have been the cause; None: nothing says so.

    fault: what it wrote when a signal of its own making ended it.
    """
    if boot_differs(trail):
        return None
    if fault:
        name = next((name for words, name in _SIGNALS.items() if words in fault), "a signal")
        return Cause(WORKER_CRASH, f"{ALONE}, ended a worker by {name}")
    if trail.late is not None:
        return _too_slow(trail.late, decode_seconds)
    if _grew(trail.oom, oom_kills()):
        return Cause(OUT_OF_MEMORY, f"{ALONE}, left a worker without memory")
    return None


def _too_slow(late: Flight, seconds: float) -> Cause | None:
    if not late.doing.picture:
        return None
    if late.doing is Doing.READING:
        return Cause(READ_TIMEOUT, f"reading it took longer than {seconds:g} s")
    return Cause(DECODE_TIMEOUT, f"decoding it took longer than {seconds:g} s")


def boot_differs(trail: Trail) -> bool:
    """Tell whether the machine was started anew since: that ended the process, and no picture."""
    return (boot_id() or NO_BOOT) != trail.boot


def _grew(before: OomKills, now: OomKills) -> bool:
    return any(0 <= was < count for was, count in zip(before, now, strict=True))


def _events_file() -> Path:
    try:
        lines = _GROUP.read_text().splitlines()
    except OSError:
        return _GROUPS / "memory.events"
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    return _GROUPS / path / "memory.events"


def _counter(file: Path) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return -1
    found = (line.removeprefix("oom_kill ") for line in lines if line.startswith("oom_kill "))
    return int(next(found, -1))
