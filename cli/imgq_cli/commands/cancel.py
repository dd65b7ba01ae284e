"""`imgq cancel`: end a job early."""

from __future__ import annotations

import rich_click as click

from imgq_cli.calls import cancel_job
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.shapes import trains
from imgq_cli.terminal import emit_json, err, next_steps

NO_FURTHER = "No further picture is labelled."


@click.command("cancel")
@click.argument("job")
@pass_invocation
def command(invocation: Invocation, /, job: str) -> int:
    """Cancel a job; what is labelled already stays.

    A job that has ended is left as it is. A training that is cancelled registers nothing.
    """
    client = connect(invocation)
    found, was_running = cancel_job(client, resolve_job(client, job))
    if invocation.json:
        emit_json(found)
        return Exit.OK
    uid = short_id(found["id"])
    if was_running:
        word = "cancelled" if found["state"] == "cancelled" else "being cancelled"
        effect = "Its process ends within seconds." if trains(found) else NO_FURTHER
        err().print(f"Job {uid} is {word}. {effect}")
        next_steps(("watch it end", f"imgq watch {uid}"), ("run again", f"imgq retry {uid}"))
    else:
        err().print(f"Job {uid} has ended already ({found['state']}); nothing was changed.")
    return Exit.OK
