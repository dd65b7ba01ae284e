"""`imgq workers`: who works, and on what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import rich_click as click

from imgq_cli.calls import list_workers
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.formats import SHORT_ID, age, number, short_id
from imgq_cli.heartbeats import is_silent
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.shapes import Worker
from imgq_cli.terminal import ACCENT, QUIET, emit_json, next_steps, note, out, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

SILENT = "silent"
STYLE_OF_STATE = {"busy": "green", "draining": "yellow", SILENT: "red"}


@click.command("workers")
@pass_invocation
def command(invocation: Invocation, /) -> int:
    """Show the workers and what they do.

    One that has missed its heartbeats for 15 s is silent: it is dead or cut off. After a minute
    it is not shown any more.
    """
    client = connect(invocation)
    found = list_workers(client)
    if invocation.json:
        emit_json({"items": found})
    elif found:
        out().print(worker_table(found, now=client.server_now()))
    else:
        note("No worker has been heard of in the last minute.")
        next_steps(("start one", "imgq worker"))
    return Exit.OK


def worker_table(workers: Iterable[Worker], *, now: datetime) -> RenderableType:
    """Return workers as a table. now: the server's time."""
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
        silent = is_silent(worker, now)
        state = SILENT if silent else worker["state"]
        speed = None if silent else worker["images_per_second"]
        table.add_row(
            printable(f"{worker['host']}:{worker['pid']}"),
            printable(worker["device"]),
            Text(state, style=STYLE_OF_STATE.get(state, QUIET)),
            Text(short_id(worker["job"]), style=ACCENT) if worker["job"] else "–",
            number(speed) if speed else "–",
            age(worker["seen_at"], now=now),
        )
    return table
