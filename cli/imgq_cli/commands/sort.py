"""`imgq sort`: the pictures of a job into one folder for each label."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import rich_click as click

from imgq_cli.calls import get_job, stream_results
from imgq_cli.client import connect
from imgq_cli.completeness import exit_of_rows, standing, warn_if_incomplete
from imgq_cli.dry_runs import labelling_command
from imgq_cli.errors import CliError, NotFound, UsageFault
from imgq_cli.formats import count, number, short_id
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.jobrefs import resolve_job
from imgq_cli.panels import source_text
from imgq_cli.shapes import TERMINAL, Job, Result, is_dry_run, trains
from imgq_cli.sorting import Outcome, Way, check_target, group_of, place
from imgq_cli.sources import absolute, local_folder
from imgq_cli.target import read_settings
from imgq_cli.terminal import QUIET, emit_json, err, printable


@click.command("sort")
@click.argument("job")
@click.option("--into", required=True, metavar="DIR",
              help="Where the folders go; made if it is not there.")  # fmt: skip
@click.option("--copy", is_flag=True, help="Copy the pictures. This is the default.")
@click.option("--link", is_flag=True, help="Make symbolic links to the pictures.")
@click.option("--move", is_flag=True,
              help="Move the pictures; a link becomes a copy of what it leads to.")  # fmt: skip
@pass_invocation
def command(invocation: Invocation, /, job: str, into: str, **ways: bool) -> int:
    """Put the pictures of a job into one folder for each label.

    What failed goes to _failed, what was below --min-confidence to _unsure; what was skipped
    stays. A file that is there already is never overwritten, so it can be run again. The
    pictures must be on this machine's disk.

    Of a job that was cancelled or failed the pictures that it labelled are sorted. Unless every
    file has its row all the same, stderr says how many, and the exit code is 9 or 7.
    """
    target, way = absolute(into), _way(ways)
    client = connect(invocation)
    found = get_job(client, resolve_job(client, job))
    source = _source(found)
    check_target(source, target)
    outcomes: Counter[Outcome] = Counter()
    groups: Counter[str] = Counter()
    for row in stream_results(client, found["id"]):
        outcome = _place(row, source, target, way)
        outcomes[outcome] += 1
        if outcome is Outcome.PLACED:
            groups[group_of(row) or ""] += 1
    _report(invocation, found, target, outcomes, groups)
    _check_outcomes(source, outcomes)
    return exit_of_rows(found)


def _way(ways: dict[str, bool]) -> Way:
    asked = [way for way in Way if ways[way.value]]
    if len(asked) > 1:
        flags = " and ".join(f"--{way.value}" for way in asked)
        raise UsageFault(f"{flags} do not go together.", hint=f"leave all but --{asked[0]} out")
    return asked[0] if asked else Way.COPY


def _source(job: Job) -> Path:
    if trains(job):
        raise UsageFault(
            f"It is a job of the kind {job['kind']}: there is nothing to sort.",
            hint=f"imgq status {short_id(job['id'])}",
        )
    if job["state"] not in TERMINAL:
        raise UsageFault(
            "The job has not ended, so not every picture has its label yet.",
            hint=f"imgq watch {short_id(job['id'])}",
        )
    if is_dry_run(job):
        raise UsageFault(
            "The job was a dry run, so its pictures have no labels to sort them by.",
            hint=labelling_command(job),
        )
    folder = local_folder(job.get("source", {}).get("uri", ""), read_settings().roots)
    if folder is None or not folder.is_dir():
        raise NotFound(
            f"The job's pictures ({printable(source_text(job))}) are not on this machine's disk.",
            hint="run imgq sort where they are, or set IMGQ_ROOTS",
        )
    return folder


def _check_outcomes(source: Path, outcomes: Counter[Outcome]) -> None:
    missing = outcomes[Outcome.GONE] + outcomes[Outcome.UNREADABLE]
    if missing and not outcomes[Outcome.PLACED] + outcomes[Outcome.THERE_ALREADY]:
        raise CliError(
            f"None of the job's pictures could be read in {source} ({number(missing)}).",
            hint="put the pictures back to where the job found them, or let yourself read them",
        )


def _place(row: Result, source: Path, target: Path, way: Way) -> Outcome:
    try:
        return place(row, source, target, way)
    except OSError as error:
        raise CliError(
            f"{printable(row['path'])} could not be put into {target}: {error.strerror}. "
            "What was placed before stays; nothing is half-written.",
            hint="the same command again, once that is mended: it goes on where it stopped",
        ) from error


def _report(
    invocation: Invocation,
    job: Job,
    target: Path,
    outcomes: Counter[Outcome],
    groups: Counter[str],
) -> None:
    if invocation.json:
        counts = {outcome.value: outcomes[outcome] for outcome in Outcome}
        about = {"into": str(target), "job": standing(job)}
        emit_json({**about, **counts, "folders": dict(groups)})
        return
    console = err()
    for name, images in groups.most_common():
        console.print(f"  {number(images):>9}  {printable(name)}")
    console.print(f"{count(outcomes[Outcome.PLACED], 'picture')} put into {printable(str(target))}")
    told = {
        Outcome.THERE_ALREADY: "there already, left as they were",
        Outcome.GONE: "gone from the source",
        Outcome.UNREADABLE: "may not be read, left where they are",
        Outcome.SKIPPED: "skipped by the job, left where they are",
    }
    for outcome, words in told.items():
        if outcomes[outcome]:
            console.print(f"{number(outcomes[outcome])} {words}", style=QUIET)
    warn_if_incomplete(job)
