"""`imgq jobs`: the jobs, newest first."""

from __future__ import annotations

from typing import Any

import rich_click as click

from imgq_cli.calls import iterate_jobs
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.panels import job_table
from imgq_cli.params import Tag
from imgq_cli.terminal import emit_json, next_steps, note, out

STATES = ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


@click.command("jobs")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, metavar="STATE",
              help=f"Only jobs in this state: {', '.join(STATES)}. Repeatable.")  # fmt: skip
@click.option("--tag", "tags", type=Tag(), multiple=True, metavar="K=V",
              help="Only jobs with this tag. Repeatable.")  # fmt: skip
@click.option("--limit", "-n", type=click.IntRange(1), default=20, show_default=True, metavar="N",
              help="How many.")  # fmt: skip
@pass_invocation
def command(
    invocation: Invocation,
    /,
    states: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    limit: int,
) -> int:
    """List the jobs, newest first."""
    filters: dict[str, Any] = {"state": list(states), "tag": [f"{k}={v}" for k, v in tags]}
    found = list(iterate_jobs(connect(invocation), limit=limit, filters=filters))
    if invocation.json:
        emit_json({"items": found})
    elif found:
        console = out()
        console.print(job_table(found, width=console.width))
        if len(found) == limit:
            note(f"The {limit} newest; imgq jobs -n {limit * 5} shows more.")
    else:
        note("No job yet." if not (states or tags) else "No such job.")
        next_steps(("start one", "imgq submit-folder ./images"))
    return Exit.OK
