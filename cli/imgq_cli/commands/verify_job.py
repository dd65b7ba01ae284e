"""`imgq verify-job`: the ledger of a job against its promises."""

from __future__ import annotations

import rich_click as click

from imgq_cli.calls import verify_job
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.terminal import BAD, GOOD, emit_json, err, out


@click.command("verify-job")
@click.argument("job")
@pass_invocation
def command(invocation: Invocation, /, job: str) -> int:
    """Check a job's ledger against its promises.

    Every file found has exactly one row, every row was written under a live claim, and the
    counters equal the rows. Exits with 1 if anything does not hold.
    """
    client = connect(invocation)
    uid = resolve_job(client, job)
    verification = verify_job(client, uid)
    if invocation.json:
        emit_json(verification)
    else:
        for check in verification["checks"]:
            broken = check["violations"]
            mark, style = ("✗", BAD) if broken else ("✓", GOOD)
            count = f" ({broken} do not)" if broken else ""
            out().print(f"{mark} {check['rule']}{count}", style=style if broken else None)
    if not verification["ok"]:
        err().print(f"Job {short_id(uid)} breaks its promises: please report this as a bug.")
        return Exit.UNEXPECTED
    return Exit.OK
