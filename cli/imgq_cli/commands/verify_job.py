"""`imgq verify-job`: the ledger of a job against its promises."""

from __future__ import annotations

import rich_click as click

from imgq_cli.client import connect
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import is_full_id, resolve_job
from imgq_cli.processes import become


@click.command("verify-job")
@click.argument("job")
@pass_invocation
def command(invocation: Invocation, /, job: str) -> None:
    """Check a job's ledger against its promises, in the database.

    Every picture has one row, and the counters equal the rows. Reads DATABASE_URL; the server is
    asked only for a JOB that is not a full id.
    """
    uid = job if is_full_id(job) else resolve_job(connect(invocation), job)
    become("imgq_db", "verify", uid)
