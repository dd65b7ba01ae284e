"""`imgq workers`: who works, and on what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import rich_click as click

from imgq_cli.calls import list_workers
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.formats import SHORT_ID, age, number, short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.shapes import Worker
from imgq_cli.terminal import ACCENT, QUIET, emit_json, next_steps, note, out

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLE_OF_STATE = {"busy": "green", "draining": "yellow"}


@click.command("workers")
@pass_invocation
def command(invocation: Invocation, /) -> int:
    """Show the workers and what they do.

    A worker that has not been heard of for a minute is not shown.
    """
    found = list_workers(connect(invocation))
    if invocation.json:
        emit_json({"items": found})
    elif found:
        out().print(worker_table(found))
    else:
        note("No worker has been heard of in the last minute.")
        next_steps(("start one", "imgq worker"))
    return Exit.OK


def worker_table(workers: Iterable[Worker]) -> RenderableType:
    """Return workers as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("host", overflow="fold")
    for name in ("device", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("job", no_wrap=True, min_width=SHORT_ID)
    table.add_column("img/s", justify="right", no_wrap=True)
    table.add_column("heartbeat", no_wrap=True)
    for worker in workers:
        speed = worker["images_per_second"]
        table.add_row(
            f"{worker['host']}:{worker['pid']}",
            worker["device"],
            Text(worker["state"], style=STYLE_OF_STATE.get(worker["state"], QUIET)),
            Text(short_id(worker["job"]), style=ACCENT) if worker["job"] else "–",
            number(speed) if speed else "–",
            age(worker["seen_at"]),
        )
    return table
