"""`imgq why`: in words, why a job waits or failed."""

from __future__ import annotations

import rich_click as click

from imgq_cli.calls import get_job, get_summary, list_workers
from imgq_cli.chronicle import last_words, words_since_death
from imgq_cli.client import Client, connect
from imgq_cli.errors import CliError
from imgq_cli.exits import Exit
from imgq_cli.heartbeats import is_silent
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.panels import job_headline
from imgq_cli.reasons import Reason, Surroundings, explain
from imgq_cli.shapes import Job, trains
from imgq_cli.terminal import QUIET, emit_json, out, printable, printable_lines, tried, warn

#: What log lines are shown under, of a training that failed and of one that goes on.
LAST_LINES = "The trainer's last lines:"
SINCE_DEATH = "An attempt of it died, and it goes on; its log since then:"


@click.command("why")
@click.argument("job")
@pass_invocation
def command(invocation: Invocation, /, job: str) -> int:
    """Tell in words why a job waits or failed, and what happens now."""
    client = connect(invocation)
    found = get_job(client, resolve_job(client, job))
    ready = client.probe().body
    workers = list_workers(client)
    now = client.server_now()
    around = Surroundings(
        workers=[worker for worker in workers if not is_silent(worker, now)],
        queue_answers=not isinstance(ready, dict) or ready.get("redis", True),
        errors=_errors(client, found),
    )
    reasons = explain(found, around)
    words = _last_words(client, found)
    if invocation.json:
        said = [{"text": reason.text, "hint": reason.hint} for reason in reasons]
        emit_json({"job": found, "reasons": said, "last_words": words})
        return Exit.OK
    told = "\n".join(reason.text for reason in reasons)
    _show(found, reasons, [word for word in words if word not in told])
    return Exit.OK


def _last_words(client: Client, job: Job) -> list[str]:
    """Return what a training that failed wrote last, or what one that died once said since."""
    if not trains(job) or job["state"] in ("succeeded", "cancelled"):
        return []
    asked = last_words if job["state"] == "failed" else words_since_death
    try:
        return asked(client, job["id"])
    except CliError as error:
        warn(f"What the trainer said last is not shown: {printable_lines(error.message)}")
        return []


def _errors(client: Client, job: Job) -> dict[str, int]:
    """Return how many pictures failed by code; the rest of the answer stands without it."""
    if trains(job) or not job["progress"]["failed"]:
        return {}
    try:
        return get_summary(client, job["id"])["errors"]
    except CliError as error:
        warn(f"What the pictures failed with is not shown: {printable_lines(error.message)}")
        return {}


def _show(job: Job, reasons: list[Reason], words: list[str]) -> None:
    from rich.padding import Padding

    console = out()
    console.print(job_headline(job))
    for reason in reasons:
        console.print(Padding(printable_lines(reason.text), (0, 0, 0, 2), expand=False))
        if reason.hint:
            console.print(Padding(tried(reason.hint), (0, 0, 0, 2), expand=False))
    if words:
        heading = LAST_LINES if job["state"] == "failed" else SINCE_DEATH
        console.print(Padding(heading, (0, 0, 0, 2), expand=False))
    for word in words:
        console.print(Padding(printable(word), (0, 0, 0, 4), style=QUIET, expand=False))
