"""The trainer's process group: started, listened to, ended whole, and found again if left over."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Full, Queue
from typing import BinaryIO, Self

import psutil

from imgq_db.training.leases import ProcessGroup

#: A longer line of the trainer's output is cut off; metrics of 10^3 classes take a tenth of it.
LINE_BYTES = 4 << 20
#: Lines that wait to be stored; then the trainer waits, too.
LINES_WAITING = 1_000
#: What is kept of standard error, for the error that its user reads.
TAIL_LINES, TAIL_LINE_CHARACTERS = 20, 500
#: In the environment of every process of a training: the job's id, by which it is known again.
MARK = "IMGQ_TRAINING"
#: The dead are reaped within so long.
END_SECONDS = 10.0
_GUARD = Path(__file__).with_name("guard.py")


class TrainerProcess:
    """A program in a process group of its own, whose lines are read as they come."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], folder: Path) -> None:
        """Start it. Raises OSError."""
        self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-I", str(_GUARD), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=folder,
            start_new_session=True,
        )
        self._lines: Queue[bytes | None] = Queue(LINES_WAITING)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._closed = threading.Event()
        assert self._process.stdout and self._process.stderr
        self._threads = [
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._keep_tail, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def group(self) -> ProcessGroup:
        return ProcessGroup(socket.gethostname(), self._process.pid)

    @property
    def stderr_tail(self) -> str:
        """The last lines of standard error."""
        return "\n".join(self._tail)

    def read_lines(self, seconds: float) -> tuple[list[bytes], bool]:
        """Return the lines of the next seconds, sooner if there are any; True: these are the last.

        A program that ended takes with it what it started and did not wait for.
        """
        lines: list[bytes] = []
        try:
            line = self._lines.get(timeout=seconds)
            while line is not None:
                lines.append(line)
                line = self._lines.get_nowait()
        except Empty:
            if self._process.poll() is not None:
                self.kill()
            return lines, False
        return lines, True

    def ask_to_stop(self) -> None:
        """Send SIGTERM: write a checkpoint, then end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the whole group."""
        self._send(signal.SIGKILL)

    def status(self) -> int:
        """Return how it ended, as subprocess says it: negative for a signal."""
        return self._process.wait(END_SECONDS)

    def _send(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left; macOS answers so for a group of the dead

    def _read(self, stream: BinaryIO) -> None:
        with stream:
            while line := stream.readline(LINE_BYTES):
                self._put(line.rstrip(b"\n"))
                while not line.endswith(b"\n") and (line := stream.readline(LINE_BYTES)):
                    pass  # the rest of a line that was too long
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        while not self._closed.is_set():
            try:
                self._lines.put(line, timeout=0.5)
            except Full:
                continue
            break

    def _keep_tail(self, stream: BinaryIO) -> None:
        with stream:
            while line := stream.readline(LINE_BYTES):
                text = line.decode("utf-8", "replace").rstrip()
                if text:
                    self._tail.append(text[:TAIL_LINE_CHARACTERS])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._closed.set()
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(END_SECONDS)
        for thread in self._threads:
            thread.join(END_SECONDS)


def kill_leftover(group: ProcessGroup | None, mark: str) -> int:
    """Kill what an earlier attempt on this host left running; return how many processes.

    A process is one of them if it is of that group and carries the mark of that job: numbers are
    given again, marks are not.
    """
    if group is None or group.host != socket.gethostname():
        return 0
    left = [process for process in psutil.process_iter() if _belongs(process, group.pid, mark)]
    left += [each for process in left for each in _hands_of(process, group.pid)]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(left, timeout=END_SECONDS)
    if alive:
        raise TimeoutError(f"process {alive[0].pid} of an earlier attempt cannot be killed")
    return len(left)


def _hands_of(process: psutil.Process, group: int) -> list[psutil.Process]:
    """Return the processes below one that have groups of their own: torch's launcher does that."""
    try:
        children = process.children(recursive=True)
        return [each for each in children if os.getpgid(each.pid) != group]
    except (psutil.Error, OSError):
        return []


def _belongs(process: psutil.Process, group: int, mark: str) -> bool:
    try:
        return (
            os.getpgid(process.pid) == group
            and process.status() != psutil.STATUS_ZOMBIE
            and process.environ().get(MARK) == mark
        )
    except (psutil.Error, OSError):
        return False
