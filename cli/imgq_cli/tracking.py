"""Following a job on the terminal to its end, to a timeout, or to Ctrl-C."""

from __future__ import annotations

from imgq_cli.calls import get_job
from imgq_cli.chronicle import Chronicle
from imgq_cli.client import Client
from imgq_cli.errors import ServerUnreachable
from imgq_cli.exits import Exit
from imgq_cli.following import Silence, follow
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation
from imgq_cli.progress import open_view
from imgq_cli.shapes import TERMINAL, Job, trains
from imgq_cli.terminal import err, next_steps, warn


def track(
    client: Client,
    invocation: Invocation,
    uid: str,
    *,
    timeout_seconds: float | None = None,
    one_document: bool = False,
) -> Job:
    """Show a job until it ends or the timeout is over, and return it as it then is.

    one_document: the caller prints the job at its end, so --json gives no line for each change.
    Ctrl-C leaves the job alone and the program with 130.
    """
    last: Job | None = None
    chronicle = Chronicle(client, uid)
    try:
        with open_view(as_json=invocation.json and not one_document) as view:
            for event in follow(
                client, uid, timeout_seconds=timeout_seconds, clock=invocation.clock
            ):
                if not isinstance(event, Silence):
                    last = event
                    for line in chronicle.news(event) if _is_told(event, invocation) else ():
                        view.tell(line)
                view.show(event)
    except KeyboardInterrupt:
        _say_detached(uid)
        raise SystemExit(Exit.INTERRUPTED) from None
    except ServerUnreachable as error:
        error.hint = f"imgq watch {short_id(uid)}, once the server is back; the job is kept"
        raise
    last = last or get_job(client, uid)
    if last["state"] not in TERMINAL:
        warn("The time to wait is over; the job goes on.")
    return last


def _is_told(job: Job, invocation: Invocation) -> bool:
    return trains(job) and not invocation.json


def _say_detached(uid: str) -> None:
    err().print("Detached. The job goes on.")
    next_steps(
        ("follow", f"imgq watch {short_id(uid)}"),
        ("cancel", f"imgq cancel {short_id(uid)}"),
    )
