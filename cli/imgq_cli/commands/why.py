"""`imgq why`: in words, why a job waits or failed."""

from __future__ import annotations

import rich_click as click

from imgq_cli.calls import get_job, get_summary, list_workers
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.panels import job_headline
from imgq_cli.reasons import Surroundings, explain
from imgq_cli.terminal import emit_json, out, printable, tried


@click.command("why")
@click.argument("job")
@pass_invocation
def command(invocation: Invocation, /, job: str) -> int:
    """Tell in words why a job waits or failed, and what happens now."""
    client = connect(invocation)
    found = get_job(client, resolve_job(client, job))
    ready = client.probe("/readyz").body
    around = Surroundings(
        workers=list_workers(client),
        queue_answers=not isinstance(ready, dict) or ready.get("redis", True),
        errors=get_summary(client, found["id"])["errors"],
    )
    reasons = explain(found, around)
    if invocation.json:
        said = [{"text": reason.text, "hint": reason.hint} for reason in reasons]
        emit_json({"job": found, "reasons": said})
        return Exit.OK
    console = out()
    console.print(job_headline(found))
    for reason in reasons:
        console.print("  " + printable(reason.text))
        if reason.hint:
            console.print(tried(reason.hint, indent=2))
    return Exit.OK
