"""One server process: start it on a port, know when it is ready, start it again, stop it."""

import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imgq_cli.stack.errors import ServerNotStarted, StartInterrupted
from imgq_cli.stack.logs import last_lines, log_size
from imgq_cli.stack.ports import free_port
from imgq_cli.stack.processes import ProcessRecord, record_process
from imgq_cli.stack.waiting import never, wait_until

#: Recovery after a crash takes its time.
START_SECONDS = 120.0
PORT_TRIES = 5
PORT_TAKEN = re.compile(r"could not bind|could not create any TCP|Address already in use", re.I)


@dataclass(frozen=True, slots=True)
class ServerKind:
    """How one kind of server is run."""

    name: str
    log: Path
    #: A word of its command line.
    command: str
    launch: Callable[[int], subprocess.Popen[bytes]]
    #: Whether this very process, and no other on that port, takes connections.
    ready: Callable[[int, int], bool]
    #: Signals in the order they are tried, each with the seconds to wait after it.
    stops: tuple[tuple[int, float], ...]
    #: Told the last lines of a server that did not start; True means that a new try may work.
    repair: Callable[[str], bool] = lambda lines: False


class Server:
    """A server that keeps its port for life."""

    def __init__(self, kind: ServerKind, noted: Callable[[ProcessRecord], None]) -> None:
        self.kind = kind
        self.name = kind.name
        self.log = kind.log
        self.port = free_port()
        self._noted = noted
        self._process: subprocess.Popen[bytes] | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int | None:
        """The process number while it runs or was last known."""
        return self._process.pid if self._process else None

    def exit_code(self) -> int | None:
        """Return how the process ended; None while it runs."""
        return self._process.poll() if self._process else None

    def launch(self) -> None:
        """Start the process and return at once. Raises OSError."""
        self._log_offset = log_size(self.log)
        self._process = self.kind.launch(self.port)
        self._noted(record_process(self.name, self._process.pid, self.kind.command))

    def await_ready(
        self, stop: Callable[[], bool] = never, *, may_move: bool = False, timeout_seconds: float
    ) -> None:
        """Return when connections are taken. Raises ServerNotStarted, StartInterrupted.

        may_move: nobody knows the port yet, so a taken one is exchanged.
        """
        for _ in range(PORT_TRIES):
            wait_until(self._settled, timeout_seconds=timeout_seconds, stop=stop)
            if stop():
                raise StartInterrupted
            if self.exit_code() is None:
                break
            lines = self.last_lines()
            if may_move and PORT_TAKEN.search(lines):
                self.port = free_port()
            elif not self.kind.repair(lines):
                break
            self.launch()
        if not self._is_ready():
            code = self.exit_code()
            what = "was not ready in time" if code is None else f"did not start (exit {code})"
            raise ServerNotStarted(self.name, what, self.log, self.last_lines())

    def restart(self) -> None:
        """Start the dead server again on its port and return at once. Raises OSError."""
        if self.exit_code() is not None:
            self.kind.repair(self.last_lines())
            self.launch()

    def stop(self) -> None:
        """End the process, the gentle way first."""
        if self._process is None:
            return
        for number, seconds in (*self.kind.stops, (signal.SIGKILL, 10.0)):
            if self._process.poll() is not None:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue

    def last_lines(self) -> str:
        """Return the end of what this run has logged."""
        return last_lines(self.log, since_bytes=self._log_offset)

    def _settled(self) -> bool:
        return self.exit_code() is not None or self._is_ready()

    def _is_ready(self) -> bool:
        return (
            self._process is not None
            and self._process.poll() is None
            and self.kind.ready(self._process.pid, self.port)
        )
