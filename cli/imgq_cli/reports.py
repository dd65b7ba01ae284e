"""What a person reads when a job has ended: outcome, labels, failures, next steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from imgq_cli.agreements import agreement_sentence
from imgq_cli.codes import MEANING
from imgq_cli.dry_runs import Typed, show_dry_run, show_dry_run_steps
from imgq_cli.errors import CliError
from imgq_cli.exits import Exit
from imgq_cli.formats import count, duration, number, short_id
from imgq_cli.jobrefs import job_hint
from imgq_cli.progress import STYLE_OF_STATE, figures, phase
from imgq_cli.shapes import TERMINAL, Job, Summary, is_dry_run, train_result, trains
from imgq_cli.terminal import (
    ACCENT,
    BAD,
    QUIET,
    WARNING,
    err,
    interactive,
    next_steps,
    printable,
    printable_lines,
    tried,
    warn,
)
from imgq_cli.train_reports import train_headline, train_outcome, train_steps

if TYPE_CHECKING:
    from rich.console import RenderableType

TOP_LABELS = 10


def exit_of(job: Job) -> Exit:
    """Return the exit code that a job's state stands for."""
    if job["state"] not in TERMINAL:
        return Exit.STILL_RUNNING
    if job["state"] == "failed":
        return Exit.JOB_FAILED
    if job["state"] == "cancelled":
        return Exit.CANCELLED
    if trains(job):
        return Exit.OK
    return Exit.SOME_FAILED if job["progress"]["failed"] else Exit.OK


def show_report(
    job: Job,
    summarize: Callable[[], Summary],
    outputs: Sequence[Path] = (),
    typed: Typed | None = None,
) -> None:
    """Print how a job ended on stderr: first what is known, then the counts, which may take long.

    summarize: asks for the counts. What it fails with is told, and changes nothing about the job.
    """
    if trains(job):
        show_training(job, outputs)
        return
    console = err()
    result = job.get("result")
    if result and job["state"] == "succeeded":
        show_dry_run(job, result)
        _show_outputs(outputs)
        show_dry_run_steps(job, typed)
        return
    console.print(_headline(job))
    show_job_error(job)
    _show_agreement(job)
    console.print()
    _show_outputs(outputs)
    if job["state"] in TERMINAL:
        _count(job, summarize)
    show_next_steps(job, outputs)


def show_training(job: Job, outputs: Sequence[Path] = ()) -> None:
    """Print on stderr how a training or an evaluation stands: figures, verdict, next steps."""
    console = err()
    console.print(_headline(job))
    show_job_error(job)
    if result := train_result(job):
        for part in train_outcome(result):
            console.print(part)
    console.print()
    _show_outputs(outputs)
    show_next_steps(job, outputs)


def _show_agreement(job: Job) -> None:
    if agreement := job.get("agreement"):
        err().print(agreement_sentence(agreement))
        if job.get("notice"):
            warn(str(job.get("notice")))


def _show_outputs(outputs: Sequence[Path]) -> None:
    for path in outputs:
        err().print(f"Written to {printable(str(path))}")


def _count(job: Job, summarize: Callable[[], Summary]) -> None:
    try:
        with _counting():
            summary = summarize()
    except CliError as error:
        warn(f"The counts by label are not shown: {printable_lines(error.message)}")
        again = f"imgq watch {short_id(job['id'])}"
        next_steps(("ask again; a very large job takes minutes", again))
    else:
        _show_counts(summary)


def _counting() -> AbstractContextManager[object]:
    if interactive(sys.stderr):
        return err().status("Counting the labels …")
    return nullcontext()


def _show_counts(summary: Summary) -> None:
    console = err()
    if summary["labels"] or summary["unsure"]:
        console.print(_labels(summary))
        console.print()
    if summary["errors"] or summary["skipped"]:
        console.print(_unlabelled(summary))
        console.print()


def show_job_error(job: Job) -> None:
    """Print why a job failed, if it did."""
    from rich.text import Text

    problem = job["error"]
    if not problem:
        return
    console = err()
    console.print(
        Text.assemble(("Error: ", f"bold {BAD}"), str(problem.get("detail") or problem["title"]))
    )
    if hint := job_hint(job):
        console.print(tried(hint), soft_wrap=True)


def show_next_steps(job: Job, outputs: Sequence[Path] = ()) -> None:
    """Print what one can do with the job now, ready to copy."""
    if trains(job):
        next_steps(*train_steps(job, outputs))
        return
    uid = short_id(job["id"])
    if job["state"] not in TERMINAL:
        next_steps(
            ("follow", f"imgq watch {uid}"),
            ("cancel", f"imgq cancel {uid}"),
        )
        return
    if is_dry_run(job) and job["state"] == "succeeded":
        show_dry_run_steps(job)
        return
    steps = [("look", f"imgq results {uid}")] if job["progress"]["done"] else []
    if steps and not outputs:
        steps.append(("save", f"imgq results {uid} -o labels.csv"))
    if job["progress"]["failed"]:
        steps.append(("see what failed", f"imgq results {uid} --status failed"))
    if job["progress"]["failed"] and job["state"] == "succeeded":
        steps.append(("retry what failed", f"imgq retry {uid} --failed"))
    elif job["state"] != "succeeded":
        steps.append(("run again", f"imgq retry {uid}"))
    next_steps(*steps)


def _headline(job: Job) -> RenderableType:
    from rich.text import Text

    if job["state"] not in TERMINAL:
        return Text(f"{phase(job)} {figures(job)}", style=QUIET)
    if trains(job):
        return train_headline(job)
    counts = job["progress"]
    state = (job["state"].capitalize(), f"bold {STYLE_OF_STATE[job['state']]}")
    if is_dry_run(job):
        looked = f": a dry run of {count(counts['done'], 'file')}"
        return Text.assemble(state, looked, (f" · {short_id(job['id'])}", QUIET))
    parts = [f": {count(counts['ok'], 'image')} labelled"]
    for name in ("failed", "skipped"):
        if counts[name]:
            parts.append(f"{number(counts[name])} {name}")
    if counts["cached"]:
        parts.append(f"{number(counts['cached'])} known already")
    took = duration(job["started_at"], job["finished_at"])
    tail = f" · {took} · {job['model']} · {short_id(job['id'])}"
    return Text.assemble(state, ", ".join(parts), (tail, QUIET))


def _labels(summary: Summary) -> RenderableType:
    from rich.bar import Bar
    from rich.table import Table

    rows = [(row["label"], row["count"]) for row in summary["labels"]]
    most = max((images for _, images in rows), default=1)
    table = Table(box=None, padding=(0, 2), header_style=QUIET)
    table.add_column("label", max_width=40, overflow="ellipsis", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("", width=16)
    for label, images in rows[:TOP_LABELS]:
        table.add_row(printable(label), number(images), Bar(most, 0, images, color=ACCENT))
    rest = rows[TOP_LABELS:]
    if rest:
        images = sum(images for _, images in rest)
        table.add_row(count(len(rest), "more label"), number(images), "", style=QUIET)
    if summary["unsure"]:
        table.add_row("unsure (below --min-confidence)", number(summary["unsure"]), style=WARNING)
    return table


def _unlabelled(summary: Summary) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2), header_style=QUIET)
    table.add_column("not labelled", no_wrap=True)
    table.add_column("files", justify="right")
    table.add_column("meaning", style=QUIET)
    kinds = (("failed", BAD, summary["errors"]), ("skipped", WARNING, summary["skipped"]))
    for status, style, codes in kinds:
        for code, files in sorted(codes.items(), key=lambda item: -item[1]):
            name = Text(f"{status}: {code}", style=style)
            table.add_row(name, number(files), MEANING.get(code, ""))
    return table
