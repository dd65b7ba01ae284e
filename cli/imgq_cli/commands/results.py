"""`imgq results`: the labels of a job, on the terminal or in a file."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from imgq_cli.calls import get_job, get_results, iterate_results
from imgq_cli.client import Client, connect
from imgq_cli.completeness import exit_of_rows, standing, warn_if_incomplete
from imgq_cli.errors import CliError, UsageFault
from imgq_cli.exits import Exit
from imgq_cli.exports import FORMATS, check_output, export, format_of, unbroken
from imgq_cli.formats import number, percent, short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.params import Place
from imgq_cli.shapes import Job, Result
from imgq_cli.terminal import BAD, QUIET, emit_json, err, note, out, printable, printable_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

TABLE = "table"
ROWS = 50


@click.command("results")
@click.argument("job")
@click.option("--format", "format_", type=click.Choice([TABLE, *FORMATS]), panel="Where to",
              metavar="FORMAT", help="table, csv, jsonl or parquet. "
              "Default: what FILE ends with; table on a terminal, else csv.")  # fmt: skip
@click.option("--output", "-o", type=Place(), metavar="FILE", panel="Where to",
              help="Write every result to a file, whole or not at all.")  # fmt: skip
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N", panel="Where to",
              help="Rows of the table, or of --json (500 at most). Default: 50.")  # fmt: skip
@click.option("--cursor", metavar="TEXT", panel="Where to",
              help="With --json: start at the next_cursor of the page before.")  # fmt: skip
@click.option("--label", metavar="L", help="Only pictures with this label.", panel="Which")
@click.option("--status", type=click.Choice(["ok", "failed", "skipped"]), panel="Which",
              help="Only pictures that ended so.")  # fmt: skip
@click.option("--min-confidence", type=click.FloatRange(0, 1), metavar="X", panel="Which",
              help="Only pictures with at least this confidence.")  # fmt: skip
@click.option("--max-confidence", type=click.FloatRange(0, 1), metavar="X", panel="Which",
              help="Only pictures with at most this confidence.")  # fmt: skip
@click.option("--sort", type=click.Choice(["path", "confidence", "-confidence"]), metavar="KEY",
              help="Order of the table: path, confidence or -confidence (surest first).",
              panel="Which")  # fmt: skip
@pass_invocation
def command(
    invocation: Invocation,
    /,
    job: str,
    format_: str | None,
    output: Path | None,
    limit: int | None,
    cursor: str | None,
    sort: str | None,
    **filters: Any,
) -> int:
    """Show or download the labels of a job.

    Of a job that still runs, was cancelled or failed these are the rows that there are. Unless
    every file of an ended job has its row all the same, stderr says how many, and with -o the exit
    code is that of the job: 8, 9 or 7.
    """
    chosen = _format(format_, output)
    _check_together(
        invocation.json and output is None,
        chosen,
        {"format": format_, "cursor": cursor, "limit": limit, "sort": sort},
    )
    client = connect(invocation)
    uid = resolve_job(client, job)
    # Asked before its rows: what comes later than this is not missed without a word.
    found = get_job(client, uid)
    with _hinted(uid, filters["label"]):
        if output is not None:
            size_bytes = export(client, uid, output, format=chosen, filters=filters)
            _show_written(invocation, found, output, size_bytes)
        elif invocation.json:
            page = {"limit": min(limit or ROWS, 500), "cursor": cursor, "sort": sort}
            rows = get_results(client, uid, {**filters, **page})
            emit_json({**rows, "job": standing(found)})
        elif chosen == TABLE:
            _show_table(client, uid, {**filters, "sort": sort}, limit or ROWS)
        else:
            _print_export(client, uid, chosen, filters)
    if not invocation.json:
        warn_if_incomplete(found)
    return Exit.OK if output is None else exit_of_rows(found)


def _check_together(paged: bool, chosen: str, given: dict[str, Any]) -> None:
    """Raise UsageFault for an option that would be left aside.

    paged: one page of the REST API is wanted.
    """
    if paged and given["format"]:
        raise UsageFault(
            "--json is a page of the REST API, and has no other format.",
            hint=f"leave out --json, or --format {given['format']}",
        )
    if given["cursor"] and not paged:
        raise UsageFault(
            "--cursor is for the pages of --json.", hint="add --json, or leave --cursor out"
        )
    for name, why in (("sort", "keep the folder's order"), ("limit", "hold every row")):
        if given[name] and chosen != TABLE and not paged:
            raise UsageFault(
                f"--{name} is for the table and for --json: csv, jsonl and parquet {why}.",
                hint=f"add --format table, or leave --{name} out",
            )


@contextmanager
def _hinted(uid: str, label: str | None) -> Iterator[None]:
    """Tell where the labels are listed, should the server refuse one without a hint."""
    try:
        yield
    except CliError as error:
        hinted = error.problem and error.problem.get("hint")
        if label is not None and error.exit_code == Exit.USAGE and not hinted:
            error.hint = (
                "imgq models show MODEL --json, which lists the labels "
                f"(imgq status {short_id(uid)} names the model)"
            )
        raise


def _show_written(invocation: Invocation, job: Job, output: Path, size_bytes: int) -> None:
    if invocation.json:
        written = {"id": job["id"], "file": str(output), "size_bytes": size_bytes}
        emit_json({**written, "job": standing(job)})
    else:
        err().print(f"Written to {printable(str(output))} ({number(size_bytes)} bytes)")


def _format(given: str | None, output: Path | None) -> str:
    if output is not None:
        if given == TABLE:
            raise UsageFault(
                "A file takes csv, jsonl or parquet, not a table.",
                hint="leave --format out: the file's name tells",
            )
        check_output(output, format=given)
        return given or format_of(output)
    chosen = given or (TABLE if sys.stdout.isatty() else "csv")
    if chosen == "parquet" and sys.stdout.isatty():
        raise UsageFault("Parquet is not for a terminal.", hint="imgq results JOB -o FILE.parquet")
    return chosen


def _print_export(client: Client, uid: str, format_: str, filters: dict[str, Any]) -> None:
    with client.download(f"/v1/jobs/{uid}/results.{format_}", filters) as pieces:
        whole = unbroken(pieces, format_)
        for piece in _shown(whole) if sys.stdout.isatty() else whole:
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def _shown(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give the pieces of a text for a person to look at: no name in it moves the cursor."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    for piece in pieces:
        yield printable_lines(decoder.decode(piece)).encode()


def _show_table(client: Client, uid: str, params: dict[str, Any], limit: int) -> None:
    rows = list(iterate_results(client, uid, params, limit=limit))
    if not rows:
        note("No result fits.")
        return
    out().print(result_table(rows))
    if len(rows) == limit:
        note(f"The first {number(limit)}; all of them: imgq results {short_id(uid)} -o labels.csv")


def result_table(rows: list[Result]) -> RenderableType:
    """Return results as a table; names are made safe for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("path", overflow="fold", ratio=3)
    table.add_column("label", overflow="fold", ratio=2)
    table.add_column("confidence", justify="right", no_wrap=True)
    for row in rows:
        error = row["error"]
        if error:
            style = BAD if row["status"] == "failed" else QUIET
            label = Text(f"{row['status']}: {error['code']}", style=style)
        elif row["label"] is None:
            label = Text(f"unsure ({_best(row)})", style="yellow")
        else:
            label = Text(printable(row["label"]))
        sure = row["confidence"]
        table.add_row(printable(row["path"]), label, percent(sure) if sure is not None else "")
    return table


def _best(row: Result) -> str:
    return printable(row["top_k"][0]["label"]) + "?" if row["top_k"] else "no guess"
