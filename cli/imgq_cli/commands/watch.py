"""`imgq watch`: follow a job that is under way."""

from __future__ import annotations

from functools import partial

import rich_click as click

from imgq_cli.calls import get_summary
from imgq_cli.client import connect
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.params import Duration
from imgq_cli.reports import exit_of, show_report
from imgq_cli.tracking import track


@click.command("watch")
@click.argument("job")
@click.option("--timeout", type=Duration(), metavar="2h",
              help="Stop watching after so long; the job goes on.")  # fmt: skip
@pass_invocation
def command(invocation: Invocation, /, job: str, timeout: float | None) -> int:
    """Follow a job until it ends.

    Ctrl-C stops watching and never cancels. Exit codes are those of submit-folder.
    """
    client = connect(invocation)
    last = track(client, invocation, resolve_job(client, job), timeout_seconds=timeout)
    if not invocation.json:
        show_report(last, partial(get_summary, client, last["id"]))
    return exit_of(last)
