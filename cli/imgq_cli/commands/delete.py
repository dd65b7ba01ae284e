"""`imgq delete`: remove a job that has ended, and its results."""

from __future__ import annotations

import sys

import rich_click as click

from imgq_cli.calls import delete_job
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.terminal import emit_json, err, interactive


@click.command("delete")
@click.argument("job")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_invocation
def command(invocation: Invocation, /, job: str, yes: bool) -> int:
    """Delete a job that has ended, and its results.

    The pictures themselves are never touched, and a model that the job trained stays. On a
    terminal it asks first.
    """
    client = connect(invocation)
    uid = resolve_job(client, job)
    if not yes and not invocation.json and interactive(sys.stdin):
        click.confirm(f"Delete job {short_id(uid)} and its results?", abort=True, err=True)
    delete_job(client, uid)
    if invocation.json:
        emit_json({"id": uid, "deleted": True})
    else:
        err().print(f"Job {short_id(uid)} and its results are deleted.")
    return Exit.OK
