"""`imgq diff`: which labels changed between two jobs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import rich_click as click

from imgq_cli.calls import get_job, stream_results
from imgq_cli.client import connect
from imgq_cli.completeness import exit_of_rows, standing, warn_if_incomplete
from imgq_cli.diffing import Change, Comparison, Totals, compare
from imgq_cli.formats import number, percent
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.shapes import Job
from imgq_cli.terminal import QUIET, emit_json, err, note, out, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

FIELDS = ("path", "label_a", "label_b", "confidence_a", "confidence_b")


@click.command("diff")
@click.argument("job_a", metavar="JOB_A")
@click.argument("job_b", metavar="JOB_B")
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N",
              help="Show at most N changes. Default: 50 on a terminal, else all.")  # fmt: skip
@pass_invocation
def command(invocation: Invocation, /, job_a: str, job_b: str, limit: int | None) -> int:
    """Show which labels changed between two jobs.

    Pictures are matched by their path below the jobs' folders. A picture without a label is
    shown as its error code in brackets. Off a terminal the changes are CSV.

    Of a job that still runs, was cancelled or failed the rows that there are take part. Unless
    every file of an ended job has its row all the same, stderr says how many, and the exit code is
    8, 9 or 7.
    """
    client = connect(invocation)
    jobs = [get_job(client, resolve_job(client, job)) for job in (job_a, job_b)]
    first, second = (stream_results(client, job["id"]) for job in jobs)
    with compare(first, second) as comparison:
        _show(invocation, comparison, jobs, limit)
    if not invocation.json:
        for job in jobs:
            warn_if_incomplete(job)
    return exit_of_rows(*jobs)


def _show(
    invocation: Invocation, comparison: Comparison, jobs: list[Job], limit: int | None
) -> None:
    totals = comparison.totals()
    if invocation.json:
        changes = [
            {name: getattr(change, name) for name in FIELDS} for change in comparison.changes(limit)
        ]
        counts = {name: getattr(totals, name) for name in ("same", "changed", "only_a", "only_b")}
        standings = dict(zip(("job_a", "job_b"), map(standing, jobs), strict=True))
        emit_json({**counts, **standings, "changes": changes})
        return
    if sys.stdout.isatty():
        limit = limit or 50
        if totals.changed:
            out().print(_table(comparison.changes(limit)))
        if totals.changed > limit:
            note(f"The first {number(limit)}; imgq diff … > changes.csv gives all of them.")
    else:
        writer = csv.writer(sys.stdout)
        writer.writerow(FIELDS)
        writer.writerows(map(_cells, comparison.changes(limit)))
    err().print(_sentence(totals))


def _cells(change: Change) -> tuple[str | float | None, ...]:
    """Return a change as the cells of FIELDS, none of which is a formula."""
    from imgq_db.spreadsheets import label_cell, path_cell

    labels = label_cell(change.label_a), label_cell(change.label_b)
    return (path_cell(change.path), *labels, change.confidence_a, change.confidence_b)


def _sentence(totals: Totals) -> str:
    parts = [f"{number(totals.changed)} changed", f"{number(totals.same)} the same"]
    for images, job in ((totals.only_a, "first"), (totals.only_b, "second")):
        if images:
            parts.append(f"{number(images)} in the {job} job only")
    return ", ".join(parts) + "."


def _table(changes: Iterable[Change]) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("path", "first job", "second job"):
        table.add_column(title, overflow="fold")
    for change in changes:
        table.add_row(
            printable(change.path),
            _guess(change.label_a, change.confidence_a),
            _guess(change.label_b, change.confidence_b),
        )
    return table


def _guess(label: str, confidence: float | None) -> str:
    sure = f" {percent(confidence)}" if confidence is not None else ""
    return printable(label) + sure
