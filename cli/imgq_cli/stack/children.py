"""One child process of the stack that is not a server: the API, the reconciler, a worker."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imgq_cli.stack.logs import last_lines, log_size
from imgq_cli.stack.processes import ProcessRecord, record_process
from imgq_cli.stack.spawning import spawn
from imgq_cli.stack.waiting import wait_until


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one child."""

    name: str
    argv: tuple[str, ...]
    #: A word of the command line, by which the process is known again.
    command: str
    env: Mapping[str, str] = field(repr=False)
    #: Whether the child does its work; None: it is enough that it runs. It may hold the API key.
    ready: Callable[[], bool] | None = field(default=None, repr=False)
    #: After SIGTERM, the time to finish what is in hand.
    stop_seconds: float = 10.0
    #: Children of one group are stopped together.
    group: str = ""


class Child:
    """A child that can be started again and again under one name and one log."""

    def __init__(
        self, spec: ChildSpec, *, log: Path, lock_fd: int, noted: Callable[[ProcessRecord], None]
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.log = log
        self._lock_fd = lock_fd
        self._noted = noted
        self._process: subprocess.Popen[bytes] | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int | None:
        """The number of the last process."""
        return self._process.pid if self._process else None

    def exit_code(self) -> int | None:
        """Return how the process ended; None while it runs or was never started."""
        return self._process.poll() if self._process else None

    def runs(self) -> bool:
        """Return whether there is a live process."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return at once. Raises OSError."""
        self._log_offset = log_size(self.log)
        self._process = spawn(
            self.spec.argv, log=self.log, env=self.spec.env, keep_fds=(self._lock_fd,)
        )
        self._noted(record_process(self.name, self._process.pid, self.spec.command))

    def restart(self) -> None:
        """Start a process in place of the dead one. Raises OSError."""
        self.kill()
        self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM: finish what is in hand, then end."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def await_end(self, timeout_seconds: float, stop: Callable[[], bool]) -> bool:
        """Return whether the process ended within the time, and before stop() said so."""
        return wait_until(
            lambda: not self.runs(), timeout_seconds=timeout_seconds, pause_seconds=0.05, stop=stop
        )

    def kill(self) -> None:
        """Kill the process and what it started."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nothing is left of the group; macOS answers so for one that only holds zombies
        finally:
            self._process.wait(10)

    def last_lines(self) -> str:
        """Return the end of what this run has logged."""
        return last_lines(self.log, since_bytes=self._log_offset)
