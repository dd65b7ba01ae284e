"""How much memory another process may hold, and held at its worst while a test looked."""

from pathlib import Path

import psutil


def allow_megabytes(pid: int, more: int) -> None:
    """Let the kernel refuse a process memory, once it wants so much more than it has now."""
    limit = int((_megabytes(pid, "VmData") + more) * 2**20)
    psutil.Process(pid).rlimit(psutil.RLIMIT_DATA, (limit, limit))


def forget_peak(pid: int) -> float:
    """Begin a while; return what the process holds now, in MB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM becomes VmRSS
    return _megabytes(pid, "VmRSS")


def peak_megabytes(pid: int) -> float:
    """Return the most that the process held since then, in MB. Raises OSError if it died."""
    return _megabytes(pid, "VmHWM")


def _megabytes(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    raise LookupError(f"/proc/{pid}/status has no {field}")
