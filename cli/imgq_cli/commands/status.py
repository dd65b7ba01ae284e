"""`imgq status`: one job on one panel."""

from __future__ import annotations

import rich_click as click

from imgq_cli.calls import get_job
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.panels import job_panel
from imgq_cli.reports import show_next_steps
from imgq_cli.terminal import emit_json, out


@click.command("status")
@click.argument("job")
@pass_invocation
def command(invocation: Invocation, /, job: str) -> int:
    """Show one job.

    JOB is an id, six or more characters of its start or end, or last.
    """
    client = connect(invocation)
    found = get_job(client, resolve_job(client, job))
    if invocation.json:
        emit_json(found)
    else:
        out().print(job_panel(found))
        show_next_steps(found)
    return Exit.OK
