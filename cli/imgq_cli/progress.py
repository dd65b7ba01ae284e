"""How following a job looks: a live line for a person, plain lines for a log, JSON for a script."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from imgq_cli.following import Silence
from imgq_cli.formats import clock_time, count, number
from imgq_cli.shapes import Job, is_dry_run, train_progress, trains
from imgq_cli.terminal import ACCENT, BAD, emit_json, err, interactive, note
from imgq_cli.train_lines import stage_word, train_figures

if TYPE_CHECKING:
    from rich.progress import Progress

#: A log gets a line when the state changes, and else so often.
LOG_SECONDS = 30.0
WIDEST_BAR = 28


class View(Protocol):
    """Shows what following a job gives."""

    def show(self, event: Job | Silence) -> None: ...

    def tell(self, line: str) -> None: ...


@contextmanager
def open_view(*, as_json: bool) -> Iterator[View]:
    """Give the view that fits: JSON Lines, a live line on a terminal, or a plain log."""
    if as_json:
        yield JsonLines()
    elif interactive(sys.stderr):
        with live_line() as line:
            yield line
    else:
        yield PlainLog()


def phase(job: Job) -> str:
    """Return what the job does now, in a word."""
    state = job["state"]
    if state == "running":
        if trains(job):
            return stage_word(train_progress(job)["stage"])
        if job["progress"]["total"] is None:
            return "Listing"
        return "Estimating" if is_dry_run(job) else "Classifying"
    return {"queued": "Waiting", "cancelling": "Cancelling"}.get(state, state.capitalize())


def figures(job: Job) -> str:
    """Return the numbers of the progress line: `41 210/100 000 · 1 240 img/s · …`."""
    progress = job["progress"]
    if job["state"] == "queued":
        ahead = job.get("queue_position")
        taker = "trainer" if trains(job) else "worker"
        return f"{count(ahead, 'job')} ahead" if ahead else f"for a {taker}"
    if trains(job):
        return train_figures(job)
    total = progress["total"]
    done = number(progress["done"])
    parts = [f"{done}/{number(total)}" if total is not None else f"{done} so far"]
    if progress["images_per_second"]:
        parts.append(f"{number(progress['images_per_second'])} img/s")
    if progress["eta_seconds"] is not None and job["state"] == "running":
        parts.append(f"ETA {clock_time(progress['eta_seconds'])}")
    if progress["failed"]:
        parts.append(f"{number(progress['failed'])} failed")
    return " · ".join(parts)


def extent(job: Job) -> tuple[float, float | None]:
    """Return what is done and of how much, for a bar; None: that is not known yet."""
    if not trains(job):
        return job["progress"]["done"], job["progress"]["total"]
    fraction = train_progress(job)["fraction"]
    return (0.0, None) if fraction is None else (fraction, 1.0)


class JsonLines:
    """One line of JSON for each change of the job."""

    def show(self, event: Job | Silence) -> None:
        """Print the job; a silent server goes to stderr."""
        if isinstance(event, Silence):
            note(silence_text(event))
        else:
            emit_json(event, line=True)

    def tell(self, line: str) -> None:
        """Print nothing: only the job is a document."""


class PlainLog:
    """A line on stderr when the state changes, and every LOG_SECONDS."""

    def __init__(self) -> None:
        self._phase = ""
        self._printed = 0.0

    def show(self, event: Job | Silence) -> None:
        """Print the event if it is news."""
        now = time.monotonic()
        name = "Silence" if isinstance(event, Silence) else phase(event)
        if name == self._phase and now - self._printed < LOG_SECONDS:
            return
        self._phase, self._printed = name, now
        if isinstance(event, Silence):
            err().print(silence_text(event))
        else:
            err().print(f"{name} {figures(event)}".rstrip())

    def tell(self, line: str) -> None:
        """Print the line."""
        err().print(line, soft_wrap=True)


class LiveLine:
    """One line on a terminal that is drawn over and over."""

    def __init__(self, progress: Progress) -> None:
        from rich.progress import BarColumn, TextColumn

        self._bar = BarColumn(WIDEST_BAR, pulse_style=ACCENT)
        self._progress = progress
        label = TextColumn("{task.description}", style=f"bold {ACCENT}", markup=False)
        tail = TextColumn("{task.fields[figures]}", markup=False)
        progress.columns = (label, self._bar, tail)
        self._task = progress.add_task("Waiting", total=None, figures="")

    def show(self, event: Job | Silence) -> None:
        """Draw the event."""
        if isinstance(event, Silence):
            self._draw("Waiting", silence_text(event))
            self._progress.refresh()
            return
        done, total = extent(event)
        self._draw(phase(event), figures(event))
        # Updated in this order: a total of None makes the bar pulse.
        self._progress.update(self._task, completed=done)
        self._progress.tasks[0].total = total
        self._progress.refresh()

    def tell(self, line: str) -> None:
        """Print a line above the one that is drawn over and over."""
        self._progress.console.print(line)

    def _draw(self, label: str, text: str) -> None:
        free = self._progress.console.width - len(label) - len(text) - 3
        self._bar.bar_width = max(4, min(WIDEST_BAR, free))
        self._progress.update(self._task, description=label, figures=text)


@contextmanager
def live_line() -> Iterator[LiveLine]:
    """Give a live line, which is wiped at the end."""
    from rich.progress import Progress

    with Progress(console=err(), transient=True, refresh_per_second=8) as progress:
        yield LiveLine(progress)


def silence_text(silence: Silence) -> str:
    """Say that the server is silent, and that the job does not care."""
    left = clock_time(silence.give_up_seconds - silence.seconds)
    return f"for the server: it does not answer. The job goes on; giving up in {left}"


STYLE_OF_STATE = {
    "succeeded": "green",
    "failed": BAD,
    "cancelled": "yellow",
    "cancelling": "yellow",
    "running": ACCENT,
    "queued": "default",
}
