"""`imgq watch`: follow a job that is under way."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import rich_click as click

from imgq_cli.calls import get_job, get_summary
from imgq_cli.client import connect
from imgq_cli.errors import UsageFault
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.params import Duration, Place
from imgq_cli.report_files import check_report_folder, save_reports
from imgq_cli.reports import exit_of, show_report
from imgq_cli.shapes import Job, trains
from imgq_cli.tracking import track


@click.command("watch")
@click.argument("job")
@click.option("--output", "-o", type=Place(), metavar="DIR",
              help="Of a train or evaluate job: write the report into DIR at the end: a page, its "
              "figures, and every plot.")  # fmt: skip
@click.option("--timeout", type=Duration(), metavar="2h",
              help="Stop watching after so long; the job goes on.")  # fmt: skip
@pass_invocation
def command(invocation: Invocation, /, job: str, timeout: float | None, output: Path | None) -> int:
    """Follow a job until it ends.

    Of a training every epoch is shown as it ends, also those before. A job that has ended is told
    of at once. Ctrl-C stops watching and never cancels. Exit codes are those of submit-folder.
    """
    outputs = [output] if output else []
    for folder in outputs:
        check_report_folder(folder)
    client = connect(invocation)
    uid = resolve_job(client, job)
    if outputs:
        _check_kind(get_job(client, uid))
    last = track(client, invocation, uid, timeout_seconds=timeout)
    written = save_reports(client, last, outputs)
    if not invocation.json:
        show_report(last, partial(get_summary, client, last["id"]), written)
    return exit_of(last)


def _check_kind(job: Job) -> None:
    if not trains(job):
        raise UsageFault(
            "The job labels pictures: it has no report, but results.",
            hint=f"imgq results {short_id(job['id'])} -o labels.csv",
        )
