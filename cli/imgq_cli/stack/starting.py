"""The one-off steps before the children run, and waiting until they work."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imgq_cli.stack.children import Child
from imgq_cli.stack.errors import ServerNotStarted, StartInterrupted
from imgq_cli.stack.home import Home, write_private
from imgq_cli.stack.logs import last_lines, log_size
from imgq_cli.stack.spawning import spawn
from imgq_cli.stack.supervisor import how_it_ended
from imgq_cli.stack.waiting import wait_until

STEP_SECONDS = 120.0
READY_SECONDS = 180.0


def python(*arguments: str) -> tuple[str, ...]:
    """Return the command line of one of our modules in this installation."""
    return (sys.executable, "-m", *arguments)


def run_step(
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    stop: Callable[[], bool],
) -> None:
    """Run a program to its end. Raises ServerNotStarted, StartInterrupted."""
    offset = log_size(log)
    process = spawn(argv, log=log, env=env)
    try:
        ended = wait_until(
            lambda: process.poll() is not None, timeout_seconds=STEP_SECONDS, stop=stop
        )
    finally:
        _end(process)
    if stop():
        raise StartInterrupted
    if not ended or process.returncode != 0:
        what = f"failed ({how_it_ended(process.returncode)})" if ended else "took too long"
        raise ServerNotStarted(name, what, log, last_lines(log, since_bytes=offset))


def ensure_api_key(home: Home) -> str:
    """Return the key of this stack, made on the first call."""
    try:
        return home.api_key.read_text().strip()
    except FileNotFoundError:
        from imgq_db.keys import new_key_text

        text: str = new_key_text()
        write_private(home.api_key, text + "\n")
        return text


def await_children(children: Sequence[Child], *, stop: Callable[[], bool]) -> None:
    """Return when every child does its work. Raises ServerNotStarted, StartInterrupted."""
    for child in children:
        ready = child.spec.ready
        if ready is None:
            continue

        def settled(child: Child = child, ready: Callable[[], bool] = ready) -> bool:
            return any(not other.runs() for other in children) or ready()

        in_time = wait_until(settled, timeout_seconds=READY_SECONDS, pause_seconds=0.1, stop=stop)
        if stop():
            raise StartInterrupted
        dead = next((other for other in children if not other.runs()), None)
        if dead:
            what = f"stopped while starting ({how_it_ended(dead.exit_code() or 0)})"
            raise ServerNotStarted(dead.name, what, dead.log, dead.last_lines())
        if not in_time:
            what = f"was not ready after {READY_SECONDS:.0f} s"
            raise ServerNotStarted(child.name, what, child.log, child.last_lines())


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(10)
