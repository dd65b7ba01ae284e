"""Programs that the bench runs and that answer with a line of JSON."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.samples import PartFailed, Sample

REPOSITORY = Path(__file__).parent.parent
PATIENCE_SECONDS = 600


def run_json(command: Sequence[object], environment: Mapping[str, str] | None = None) -> Any:
    """Return the last line that a program prints, read as JSON. Raises PartFailed."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=os.environ | dict(environment or {}),
            cwd=REPOSITORY,  # where `-m bench...` is found
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PartFailed(f"it took more than {PATIENCE_SECONDS} s") from error
    if done.returncode != 0:
        raise PartFailed(last_line(done.stderr) or f"it ended with code {done.returncode}")
    try:
        return json.loads(last_line(done.stdout))
    except ValueError as error:
        raise PartFailed("it did not say what it measured") from error


def run_sample(
    what: str,
    number: int,
    command: Sequence[object],
    environment: Mapping[str, str] | None = None,
) -> Sample:
    """Return what a program has measured. Raises PartFailed."""
    said = run_json(command, environment)
    return Sample(what, number, said["images"], said["seconds"], said["cpu_seconds"])


def last_line(text: str) -> str:
    """Return the last line that is not empty, or nothing."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return how long the processes and all below them have worked, in seconds."""
    every: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            every |= {p.pid: p for p in (process, *process.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    total = 0.0
    for process in every.values():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process and those below it have held, each at its worst."""
    process = psutil.Process(pid)
    return sum(_peak_bytes(p) for p in (process, *process.children(recursive=True)))


def _peak_bytes(process: psutil.Process) -> int:
    """Return one process's peak; without Linux, what it holds now."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return int(process.memory_info().rss)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
