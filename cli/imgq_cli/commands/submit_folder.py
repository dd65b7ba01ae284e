"""`imgq submit-folder`: one folder becomes one classify job."""

from __future__ import annotations

from functools import partial
from typing import Any

import rich_click as click

from imgq_cli.calls import create_job, get_summary
from imgq_cli.client import Client, connect
from imgq_cli.dry_runs import Typed
from imgq_cli.exits import Exit
from imgq_cli.exports import check_outputs, export
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.params import FailureBudget, Place
from imgq_cli.reports import exit_of, show_report
from imgq_cli.shapes import Job, is_dry_run
from imgq_cli.sources import check_source, source_uri
from imgq_cli.submitting import (
    Waiting,
    check_text,
    job_options,
    read_waiting,
    show_accepted,
    waiting_options,
)
from imgq_cli.terminal import emit_json, warn
from imgq_cli.tracking import track

JOB_OPTIONS = (
    "recursive",
    "include",
    "exclude",
    "top_k",
    "min_confidence",
    "max_failures",
    "precision",
    "dry_run",
)


@click.command("submit-folder")
@click.argument("path")
@click.option("--model", default="imagenet", show_default=True, metavar="NAME[:V|@ALIAS]",
              help="The model that labels.", panel="What to label")  # fmt: skip
@click.option("--include", multiple=True, metavar="GLOB", panel="What to label",
              help="Only files whose path fits, such as '*.jpg'. Repeatable.")  # fmt: skip
@click.option("--exclude", multiple=True, metavar="GLOB", panel="What to label",
              help="No file whose path fits. Repeatable.")  # fmt: skip
@click.option("--recursive/--no-recursive", default=True, panel="What to label",
              help="Enter folders inside the folder, or not.")  # fmt: skip
@click.option("--by-reference", is_flag=True, panel="What to label",
              help="The server reads PATH itself; it sees the same path.")  # fmt: skip
@click.option("--top-k", type=click.IntRange(1, 100), default=5, show_default=True, metavar="N",
              help="Labels to keep for each picture.", panel="How to label")  # fmt: skip
@click.option("--min-confidence", type=click.FloatRange(0, 1), metavar="X", panel="How to label",
              help="Below it a picture's label is left empty; its top labels stay.")  # fmt: skip
@click.option("--precision", type=click.Choice(["exact", "auto", "int8"]), default="auto",
              show_default=True, panel="How to label",
              help="Arithmetic of the model: fp32, the fastest that keeps the labels, or 8 bits, "
              "which some of your pictures are then compared in.")  # fmt: skip
@click.option("--no-cache", is_flag=True, panel="How to label",
              help="Compute every picture, also those that are known from earlier jobs; "
              "what comes out is remembered all the same.")  # fmt: skip
@click.option("--dry-run", is_flag=True, panel="How to label",
              help="Label nothing: tell what is known already, what there is to do, and how long "
              "it would take. Implies --wait, unless -d.")  # fmt: skip
@click.option("--max-failures", type=FailureBudget(), metavar="N|P%", panel="How to label",
              help="Fail the job once more pictures than this have failed.")  # fmt: skip
@click.option("--name", help="A name to recognise the job by.", panel="How to label")
@job_options("How to label")
@waiting_options
@click.option("--output", "-o", "outputs", type=Place(), multiple=True,
              metavar="FILE", help="Write the results to FILE.csv, .jsonl or .parquet at the end. "
              "Repeatable. Implies --wait.", panel="Waiting")  # fmt: skip
@pass_invocation
def command(invocation: Invocation, /, path: str, **options: Any) -> int:
    """Label every picture of a folder.

    PATH is a folder on this machine, or root:NAME/relative/path for a folder under a root that
    the server knows. On a terminal the job is followed; elsewhere its id is printed.
    Links to folders are not followed.

    Pictures that were labelled before with the same model, engine and precision are known by their
    content: they cost nothing. --dry-run tells how many those are. It opens every file, reads
    those that are new or changed, and labels a few to measure the speed; those few are known
    from then on. Copies of a new picture count once where they lie near each other, else each.

    Exit codes: 0 all labelled, 3 some pictures failed, 7 the job failed, 8 still running at
    --timeout, 9 cancelled, 130 Ctrl-C (which detaches and never cancels).
    """
    waiting = read_waiting(
        invocation, options, outputs=options["outputs"], follows=options["dry_run"]
    )
    check_outputs(waiting.outputs)
    check_source(path)
    client = connect(invocation)
    shares_disk = client.target.local or options["by_reference"]
    uri = source_uri(path, shares_disk=shares_disk)
    job = create_job(client, _body(uri, options))
    show_accepted(invocation, job, waiting)
    if not waiting.follows:
        return Exit.OK
    typed = Typed(path, options["model"], by_reference=options["by_reference"])
    return _finish(client, invocation, job, waiting, typed)


def _body(uri: str, options: dict[str, Any]) -> dict[str, Any]:
    body = {
        "kind": "classify",
        "source": {"uri": uri},
        "model": options["model"],
        "options": {name: options[name] for name in JOB_OPTIONS}
        | {"cache": not options["no_cache"]},
        "name": options["name"],
        "tags": dict(options["tags"]),
        "priority": options["priority"],
    }
    check_text(body, "A name, tag, glob, model or root")
    return body


def _finish(
    client: Client, invocation: Invocation, job: Job, waiting: Waiting, typed: Typed
) -> int:
    dry = is_dry_run(job)
    limit = waiting.timeout_seconds
    last = track(client, invocation, job["id"], timeout_seconds=limit, one_document=dry)
    written = []
    if last["state"] == "succeeded":
        for path in waiting.outputs:
            export(client, last["id"], path)
            written.append(path)
    elif waiting.outputs:
        warn("No file was written, as the job has not succeeded.")
    if not invocation.json:
        show_report(last, partial(get_summary, client, last["id"]), written, typed)
    elif dry:
        emit_json(last)
    return exit_of(last)
