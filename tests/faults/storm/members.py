"""The processes of a storm: each under one name, started again whenever it has died."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.faults.storm.memory import MemoryGroup

from imgq_cli.stack.spawning import spawn

#: As a supervisor would, it waits a moment before it starts a dead process again.
RESTART_SECONDS = 0.2
END_SECONDS = 30.0
#: In the command line of a pool child, but not in that of Celery's other helper.
_POOL_CHILD = "spawn_main"


@dataclass(slots=True)
class Member:
    """One process in a session of its own. role: worker, reconciler, api or trainer."""

    name: str
    role: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    #: what it and its children may take; None: whatever there is
    group: MemoryGroup | None = None
    starts: int = 0
    #: when it, or a child of it, was last started or ended; seconds since the epoch
    disturbed_at: float = 0.0
    #: stopped on purpose: not to be started again
    leaving: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _dead_since: float | None = None

    def start(self) -> None:
        """Start the process. Call it from the main thread only: see `spawn`."""
        self._dead_since = None
        self.starts += 1
        self.disturbed_at = time.time()
        self._process = spawn(self.argv, log=self.log, env=self.env, death_signal=signal.SIGKILL)
        if self.group is not None:
            self.group.take(self._process.pid)

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def tend(self) -> None:
        """Start it again if it has been dead for a moment."""
        if self.leaving or self.runs():
            return
        now = time.monotonic()
        if self._dead_since is None:
            self._dead_since = now
        elif now - self._dead_since >= RESTART_SECONDS:
            self.kill()  # what its parent left behind
            self.start()

    def signal_all(self, number: int) -> None:
        """Send a signal to the process and all that it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        if self._process is not None and self.runs():
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL the process with all that it started."""
        self.signal_all(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(END_SECONDS)

    def leave(self) -> None:
        """Ask the process to end for good."""
        self.leaving = True
        self.signal_all(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def pool_children(self) -> list[psutil.Process]:
        """Return the children that do the work, the trainer's excepted."""
        return [child for child in self._children() if _says(child, _POOL_CHILD)]

    def trainers(self) -> list[psutil.Process]:
        """Return the trainers below a supervisor, without their guards."""
        below = [each for each in self._children(recursive=True) if _says(each, "spec.json")]
        return [each for each in below if not _says(each, "guard.py")]

    def _children(self, *, recursive: bool = False) -> list[psutil.Process]:
        if self._process is None or not self.runs():
            return []
        try:
            return psutil.Process(self._process.pid).children(recursive=recursive)
        except psutil.NoSuchProcess:
            return []


def _says(process: psutil.Process, word: str) -> bool:
    try:
        return any(word in part for part in process.cmdline())
    except psutil.Error:
        return False


@contextlib.contextmanager
def cared_for(members: Mapping[str, Member], mark: str) -> Iterator[None]:
    """Start all; whatever happens then, leave none of their processes behind.

    mark: a value of IMGQ_HOME that no other process of the machine has.
    """
    try:
        for member in members.values():
            member.start()
        yield
    finally:
        for member in members.values():
            member.leaving = True
            member.kill()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get("IMGQ_HOME") == mark:
                    process.kill()
