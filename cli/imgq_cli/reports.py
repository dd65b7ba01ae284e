"""What a person reads when a job has ended: outcome, labels, failures, next steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgq_cli.codes import MEANING
from imgq_cli.exits import Exit
from imgq_cli.formats import count, duration, number, short_id
from imgq_cli.progress import STYLE_OF_STATE
from imgq_cli.shapes import TERMINAL, Job
from imgq_cli.terminal import BAD, QUIET, err, next_steps, printable, tried

TOP_LABELS = 10


def exit_of(job: Job) -> Exit:
    """Return the exit code that a job's state stands for."""
    if job["state"] not in TERMINAL:
        return Exit.STILL_RUNNING
    if job["state"] == "failed":
        return Exit.JOB_FAILED
    if job["state"] == "cancelled":
        return Exit.CANCELLED
    return Exit.SOME_FAILED if job["progress"]["failed"] else Exit.OK


def show_report(job: Job, summary: dict[str, Any], outputs: Sequence[Path] = ()) -> None:
    """Print how a job ended on stderr."""
    console = err()
    console.print(_headline(job))
    show_job_error(job)
    if summary.get("labels"):
        console.print(_labels(summary))
    if summary.get("errors"):
        console.print(_errors(summary))
    for path in outputs:
        console.print(f"Written to {printable(str(path))}")
    show_next_steps(job, outputs)


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
    if problem.get("hint"):
        console.print(tried(str(problem["hint"])), soft_wrap=True)


def show_next_steps(job: Job, outputs: Sequence[Path] = ()) -> None:
    """Print what one can do with the job now, ready to copy."""
    uid = short_id(job["id"])
    if job["state"] not in TERMINAL:
        next_steps(
            ("follow", f"imgq watch {uid}"),
            ("cancel", f"imgq cancel {uid}"),
        )
        return
    steps = [("look", f"imgq results {uid}")]
    if not outputs:
        steps.append(("save", f"imgq results {uid} -o labels.csv"))
    if job["progress"]["failed"] and job["state"] == "succeeded":
        steps.append(("see what failed", f"imgq results {uid} --status failed"))
        steps.append(("retry what failed", f"imgq retry {uid} --failed"))
    elif job["state"] != "succeeded":
        steps.append(("run again", f"imgq retry {uid}"))
    next_steps(*steps)


def _headline(job: Job) -> Any:
    from rich.text import Text

    counts = job["progress"]
    state = (job["state"].capitalize(), f"bold {STYLE_OF_STATE[job['state']]}")
    parts = [f": {count(counts['ok'], 'image')} labelled"]
    for name in ("failed", "skipped"):
        if counts[name]:
            parts.append(f"{number(counts[name])} {name}")
    if counts["cached"]:
        parts.append(f"{number(counts['cached'])} known already")
    took = duration(job["started_at"], job["finished_at"])
    tail = f" · {took} · {job['model']} · {short_id(job['id'])}"
    return Text.assemble(state, ", ".join(parts), (tail, QUIET))


def _labels(summary: dict[str, Any]) -> Any:
    from rich.bar import Bar
    from rich.table import Table

    rows = [(row["label"], row["images"]) for row in summary["labels"]]
    most = max(images for _, images in rows)
    table = Table(box=None, padding=(0, 2), header_style=QUIET)
    table.add_column("label", max_width=40, overflow="ellipsis", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("", width=16)
    for label, images in rows[:TOP_LABELS]:
        table.add_row(printable(label), number(images), Bar(most, 0, images, color="cyan"))
    rest = rows[TOP_LABELS:]
    if rest:
        images = sum(images for _, images in rest)
        table.add_row(f"{count(len(rest), 'more label')}", number(images), "", style=QUIET)
    return table


def _errors(summary: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style=QUIET)
    table.add_column("not labelled", style=BAD, no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("meaning", style=QUIET)
    for code, images in sorted(summary["errors"].items(), key=lambda item: -item[1]):
        table.add_row(code, number(images), MEANING.get(code, ""))
    return table
