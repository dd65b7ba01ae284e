"""`imgq retry`: run a job again, as a new job."""

from __future__ import annotations

import rich_click as click

from imgq_cli.calls import retry_job
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.reports import show_next_steps
from imgq_cli.terminal import emit_json, err, warn


@click.command("retry")
@click.argument("job")
@click.option("--failed", is_flag=True, help="Only the pictures that failed.")
@pass_invocation
def command(invocation: Invocation, /, job: str, failed: bool) -> int:
    """Run a job again, as a new job.

    The old job and its results stay as they are. The new job's id is printed.
    """
    client = connect(invocation)
    uid = resolve_job(client, job)
    new = retry_job(client, uid, only_failed=failed)
    if new.get("notice"):
        warn(str(new.get("notice")))
    if invocation.json:
        emit_json(new)
        return Exit.OK
    click.echo(new["id"])
    what = "the failed pictures of " if failed else ""
    err().print(f"Job {short_id(new['id'])} runs {what}{short_id(uid)} again.")
    show_next_steps(new)
    return Exit.OK
