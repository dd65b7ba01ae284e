"""Knowing a process again, and stopping it: never a stranger that got its number."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from imgq_cli.stack.waiting import wait_until

#: Linux derives start times from the clock, which may be set meanwhile.
START_TOLERANCE_SECONDS = 2.0
KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process as it was started."""

    name: str
    pid: int
    #: Start time in seconds since the epoch.
    created: float
    #: A word that its command line holds.
    command: str


def record_process(name: str, pid: int, command: str) -> ProcessRecord:
    """Return the record of a process that was just started."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        created = 0.0  # gone already: this record matches nothing
    return ProcessRecord(name, pid, created, command)


def live_process(record: ProcessRecord) -> psutil.Process | None:
    """Return the recorded process if it still runs; another one of that number is not it."""
    try:
        process = psutil.Process(record.pid)
        same = (
            abs(process.create_time() - record.created) < START_TOLERANCE_SECONDS
            and _lives(process)
            and any(record.command in part for part in (process.name(), *process.cmdline()))
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if same else None


def stop_processes(
    records: Sequence[ProcessRecord], *, stop_signal: int = signal.SIGTERM, grace_seconds: float
) -> None:
    """Ask the recorded processes to end, and kill them with their children when they do not."""
    found = [process for record in records if (process := live_process(record))]
    families = found + [child for process in found for child in _children(process)]
    for process in found:
        _send(process, stop_signal)
    wait_until(lambda: not any(map(_lives, families)), timeout_seconds=grace_seconds)
    left = [process for process in families if _lives(process)]
    for process in left:
        _send(process, signal.SIGKILL)
    wait_until(lambda: not any(map(_lives, left)), timeout_seconds=KILL_SECONDS)


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process runs; a dead one that nobody has reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # it ended by itself: what was wanted
