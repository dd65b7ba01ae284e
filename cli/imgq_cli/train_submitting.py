"""What `imgq train` and `imgq evaluate` do with their job: send it, follow it, save its report."""

from __future__ import annotations

from typing import Any

import rich_click as click

from imgq_cli.calls import create_job
from imgq_cli.client import connect
from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation
from imgq_cli.labelled import Labelled
from imgq_cli.params import Place
from imgq_cli.report_files import check_report_folder, save_reports
from imgq_cli.reports import exit_of, show_training
from imgq_cli.sources import source_uri
from imgq_cli.submitting import Command, read_waiting, show_accepted
from imgq_cli.tracking import track


def report_option(command: Command) -> Command:
    """Give a command --output, which saves the report."""
    option = click.option(
        "--output", "-o", type=Place(), metavar="DIR", panel="Waiting",
        help="Write the report into DIR at the end: a page, its figures, and every plot. "
        "Implies --wait.",
    )  # fmt: skip
    return option(command)


def submit_training(
    invocation: Invocation, found: Labelled, body: dict[str, Any], options: dict[str, Any]
) -> int:
    """Submit a train or evaluate job, follow it if that is wanted, and return the exit code.

    body: kind, model and options.
    """
    outputs = (options["output"],) if options["output"] else ()
    waiting = read_waiting(invocation, options, outputs=outputs)
    for folder in outputs:
        check_report_folder(folder)
    client = connect(invocation)
    shares_disk = client.target.local or options["by_reference"]
    source = {"uri": source_uri(found.folder, shares_disk=shares_disk)}
    asked = {"tags": dict(options["tags"]), "priority": options["priority"]}
    job = create_job(client, {**body, "source": source, **asked})
    show_accepted(invocation, job, waiting)
    if not waiting.follows:
        return Exit.OK
    last = track(client, invocation, job["id"], timeout_seconds=waiting.timeout_seconds)
    written = save_reports(client, last, outputs)
    if not invocation.json:
        show_training(last, written)
    return exit_of(last)
