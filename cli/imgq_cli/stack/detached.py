"""`imgq up --detach`: the supervisor in a session of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from imgq_cli.stack.errors import AlreadyUp, ServerNotStarted, StackError
from imgq_cli.stack.home import Home, explained
from imgq_cli.stack.logs import last_lines, log_size, rotate
from imgq_cli.stack.probe import is_ready
from imgq_cli.stack.running import UpOptions
from imgq_cli.stack.state import State, Status, read_state, running_state
from imgq_cli.stack.waiting import wait_until

READY_SECONDS = 400.0
PROGRAM = "from imgq_cli.main import main; main()"


class DetachedFailed(StackError):
    """The detached supervisor ended; its own words tell why."""


def running_already(home: Home) -> State | None:
    """Return the state of a stack that runs on this home and answers, None if none runs.

    Raises AlreadyUp when one runs but is not ready.
    """
    state = running_state(home.state)
    if state is None:
        return None
    if state.status == Status.READY and state.url and is_ready(state.url):
        return state
    raise AlreadyUp(home.folder, state.url, state.supervisor.pid if state.supervisor else None)


def start_detached(options: UpOptions, home: Home) -> State:
    """Start `imgq up` in the background and return its state once it is ready.

    Raises DetachedFailed, ServerNotStarted.
    """
    log = home.logs / "up.log"
    with explained(home.folder):
        rotate(log)
        offset = log_size(log)
        process = _launch(_arguments(options), log)

    def settled() -> bool:
        return process.poll() is not None or _ready_state(home, process.pid) is not None

    wait_until(settled, timeout_seconds=READY_SECONDS, pause_seconds=0.1)
    state = _ready_state(home, process.pid)
    if state:
        # It is to outlive us: tell Popen that we do not wait for it.
        process.returncode = 0
        return state
    lines = last_lines(log, count=40, since_bytes=offset)
    if process.poll() is None:
        process.terminate()
        raise ServerNotStarted("The stack", "was not ready in time", log, lines)
    raise retold(lines, process.returncode)


def _launch(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - this very program, no shell
            [sys.executable, "-c", PROGRAM, "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            start_new_session=True,
        )
    finally:
        os.close(log_fd)


def _arguments(options: UpOptions) -> list[str]:
    port = [] if options.port is None else ["--port", str(options.port)]
    return ["--home", str(options.home), "--workers", str(options.workers), *port]


def _ready_state(home: Home, pid: int) -> State | None:
    state = read_state(home.state)
    ours = state and state.supervisor and state.supervisor.pid == pid
    return state if state and ours and state.status == Status.READY else None


def retold(lines: str, code: int) -> DetachedFailed:
    """Take the child's last "Error:" and "Try:" apart again, so that they are printed as ours."""
    _, mark, told = f"\n{lines}".rpartition("\nError: ")
    if not mark:
        return DetachedFailed(f"imgq up ended (exit {code}) and said:\n{lines}")
    message, _, hint = told.partition("\nTry: ")
    return DetachedFailed(message.strip(), hint=hint.strip() or None, exit_code=code)
