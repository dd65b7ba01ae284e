"""What the commands that make a job share: whether to wait, and what is said at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from imgq_cli.errors import UsageFault
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation
from imgq_cli.params import Duration, Tag
from imgq_cli.reports import show_next_steps
from imgq_cli.shapes import Job
from imgq_cli.terminal import emit_json, err, interactive, warn

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whether and how long to follow, and where the results go at the end."""

    follows: bool
    timeout_seconds: float | None
    outputs: tuple[Path, ...]


def job_options(panel: str) -> Callable[[Command], Command]:
    """Give a command --priority and --tag, under a panel of its help."""

    def add(command: Command) -> Command:
        for option in (
            click.option("--tag", "tags", type=Tag(), multiple=True, metavar="K=V", panel=panel,
                         help="A tag to find the job by. Repeatable."),
            click.option("--priority", type=click.Choice(["high", "normal", "low"]),
                         default="normal", show_default=True, help="High goes first.",
                         panel=panel),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def waiting_options(command: Command) -> Command:
    """Give a command --detach, --wait and --timeout."""
    for option in (
        click.option("--timeout", type=Duration(), metavar="2h", panel="Waiting",
                     help="Stop waiting after so long; the job goes on. Implies --wait."),
        click.option("--wait", is_flag=True, panel="Waiting",
                     help="Follow the job to its end, off a terminal too."),
        click.option("--detach", "-d", is_flag=True, panel="Waiting",
                     help="Print the job's id and return at once."),
    ):  # fmt: skip
        command = option(command)
    return command


def read_waiting(
    invocation: Invocation,
    options: dict[str, Any],
    *,
    outputs: tuple[Path, ...],
    follows: bool = False,
) -> Waiting:
    """Return whether to wait. follows: the command does of itself, unless it is detached."""
    asked = options["wait"] or options["timeout"] is not None or bool(outputs)
    if options["detach"] and asked:
        raise UsageFault(
            "--detach does not go with --wait, --timeout or --output.",
            hint="leave --detach out, or follow later with imgq watch",
        )
    watched = interactive(sys.stdout) and not invocation.json
    return Waiting(
        not options["detach"] and (asked or follows or watched), options["timeout"], outputs
    )


def check_text(body: dict[str, Any], names: str) -> None:
    """Raise UsageFault if a body cannot be sent. names: what of it may be at fault."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UsageFault(
            f"{names} is not UTF-8 text.",
            hint="write it in plain letters; only PATH may hold any bytes",
        ) from error


def show_accepted(invocation: Invocation, job: Job, waiting: Waiting) -> None:
    """Tell that the server has the job: its id for a script, next steps for a person."""
    if job.get("notice"):
        warn(str(job["notice"]))
    if invocation.json:
        if not waiting.follows:
            emit_json(job)
        return
    if not sys.stdout.isatty():
        click.echo(job["id"])
    if waiting.follows:
        err().print(f"Job {short_id(job['id'])} accepted ({job['id']})", style="dim")
        return
    if sys.stdout.isatty():
        click.echo(job["id"])
    show_next_steps(job)
