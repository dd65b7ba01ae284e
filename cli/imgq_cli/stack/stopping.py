"""`imgq down`: ask the supervisor to stop, or clear up after one that is gone."""

import signal
from enum import StrEnum
from pathlib import Path

from imgq_cli.stack.errors import StackNotStopped
from imgq_cli.stack.events import Say
from imgq_cli.stack.home import Home, explained
from imgq_cli.stack.orphans import lock_owner, servers_lock, sole_holder, stop_orphans
from imgq_cli.stack.processes import ProcessRecord, live_process
from imgq_cli.stack.state import read_state
from imgq_cli.stack.waiting import wait_until

#: Workers may take 30 s to give their work back, Postgres 15 s to write its own.
STOP_SECONDS = 90.0
HURRY_SECONDS = 30.0


class Stopped(StrEnum):
    """What there was to stop."""

    STACK = "stack"
    ORPHANS = "orphans"
    NOTHING = "nothing"


def stop_stack(folder: Path, say: Say) -> Stopped:
    """Stop what runs on a home, whoever started it.

    Raises StackNotStopped, HomeUnusable, and AlreadyUp when its owner cannot be told.
    """
    home = Home(folder.resolve(), folder.resolve())
    if not home.lock.exists():
        return Stopped.NOTHING
    with explained(home.folder):
        owner = lock_owner(home.lock)
        if owner is None:
            return _clear_up(home)
    _stop_supervisor(owner, say)
    return Stopped.STACK


def _stop_supervisor(owner: ProcessRecord, say: Say) -> None:
    def gone() -> bool:
        return live_process(owner) is None

    for seconds in (STOP_SECONDS, HURRY_SECONDS):
        process = live_process(owner)
        if process is None:
            return
        say(f"Stopping the stack (process {owner.pid}) …")
        process.send_signal(signal.SIGTERM)
        if wait_until(gone, timeout_seconds=seconds, pause_seconds=0.05):
            return
    raise StackNotStopped(owner.pid, STOP_SECONDS + HURRY_SECONDS)


def _clear_up(home: Home) -> Stopped:
    with sole_holder(home):
        left = read_state(home.state)
        orphans = stop_orphans(left.processes if left else ())
        with servers_lock(home, None):
            home.state.unlink(missing_ok=True)
    return Stopped.ORPHANS if orphans else Stopped.NOTHING
