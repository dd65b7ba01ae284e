"""Keeping the children alive, and ending them in order."""

import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from imgq_cli.errors import CliError
from imgq_cli.stack.backoff import Backoff
from imgq_cli.stack.children import Child
from imgq_cli.stack.events import Say
from imgq_cli.stack.logs import rotate

TICK_SECONDS = 0.1
CARE_EVERY_SECONDS = 2.0
#: From this many deaths in a row on, the log's last lines are shown too.
SHOW_LINES_FROM = 3


class Supervised(Protocol):
    """What the supervisor needs of a child or a server."""

    name: str
    log: Path

    def exit_code(self) -> int | None:
        """Return how the process ended; None while it runs."""

    def restart(self) -> None:
        """Start it again."""

    def last_lines(self) -> str:
        """Return the end of what it logged."""


class Watch:
    """One child under observation."""

    def __init__(self, child: Supervised, say: Say, now: Callable[[], float] = time.monotonic):
        self.child = child
        self._say = say
        self._now = now
        self._backoff = Backoff()
        self._started_at = now()
        self._next_try_at: float | None = None

    def look(self) -> None:
        """Note a death, or start the dead child again once its pause is over."""
        if self._next_try_at is None:
            code = self.child.exit_code()
            if code is not None:
                self._died(f"stopped ({how_it_ended(code)})", show_lines=True)
        elif self._now() >= self._next_try_at:
            self._try_again()

    def _try_again(self) -> None:
        self._next_try_at = None
        self._started_at = self._now()
        try:
            self.child.restart()
        except (CliError, OSError) as error:
            self._died(f"could not be started again: {error}", show_lines=False)
        else:
            self._say(f"{self.child.name} was started again.")

    def _died(self, what: str, *, show_lines: bool) -> None:
        self._backoff = self._backoff.after_death(self._now() - self._started_at)
        failures, delay = self._backoff.failures, self._backoff.delay_seconds
        self._next_try_at = self._now() + delay
        times = f" {failures} times in a row" if failures > 1 else ""
        text = f"{self.child.name} {what}{times}; next start in {delay:g} s."
        if show_lines and failures >= SHOW_LINES_FROM:
            text += f" The last lines of {self.child.log}:\n{self.child.last_lines()}"
        self._say(text)


def how_it_ended(code: int) -> str:
    """Return an exit code in words."""
    return f"exit {code}" if code >= 0 else f"signal {-code}"


class StateKeeper:
    """Writes the state file once it can be written, and says when it could not be, once."""

    def __init__(self, save: Callable[[], OSError | None], say: Say) -> None:
        self._save = save
        self._say = say
        self._refused = False

    def look(self) -> None:
        """Write what the state file lacks."""
        fault = self._save()
        if fault and not self._refused:
            self._say(
                f"The state file cannot be written: {fault.strerror or fault}. "
                "The stack goes on, and the file is tried again."
            )
        elif self._refused and not fault:
            self._say("The state file is written again.")
        self._refused = fault is not None


def supervise(
    supervised: Sequence[Supervised],
    *,
    stop: Callable[[], bool],
    say: Say,
    logs: Path,
    save: Callable[[], OSError | None],
) -> None:
    """Restart what dies, cut what grows and save what is noted, until stop() says so."""
    watches = [Watch(child, say) for child in supervised]
    keeper = StateKeeper(save, say)
    care_at = 0.0
    while not stop():
        for watch in watches:
            watch.look()
        if time.monotonic() >= care_at:
            keeper.look()
            for log in logs.glob("*.log"):
                rotate(log)
            care_at = time.monotonic() + CARE_EVERY_SECONDS
        time.sleep(TICK_SECONDS)


def stop_children(children: Sequence[Child], *, hurry: Callable[[], bool], say: Say) -> None:
    """End the children group by group, the last started first; kill who does not end in time."""
    for group, members in groupby(reversed(children), key=lambda child: child.spec.group):
        running = [child for child in members if child.runs()]
        if running:
            say(f"Stopping {group or running[0].name} …")
        for child in running:
            child.ask_to_stop()
        deadline = time.monotonic() + max((c.spec.stop_seconds for c in running), default=0.0)
        for child in running:
            if not child.await_end(max(deadline - time.monotonic(), 0.0), hurry):
                say(f"{child.name} did not stop in time and was killed.")
            child.kill()
