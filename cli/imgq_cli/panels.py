"""A job as a panel and as a row of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imgq_cli.agreements import agreement_sentence
from imgq_cli.estimates import outlook, tally
from imgq_cli.formats import (
    age,
    clock_time,
    duration,
    local_time,
    number,
    percent,
    short_id,
)
from imgq_cli.jobrefs import job_hint
from imgq_cli.progress import STYLE_OF_STATE, extent, figures, phase
from imgq_cli.shapes import TERMINAL, Job, is_dry_run, train_result, trains
from imgq_cli.terminal import ACCENT, BAD, QUIET, WARNING, printable
from imgq_cli.train_reports import train_fields, train_name

if TYPE_CHECKING:
    from rich.console import RenderableType

    Field = tuple[str, RenderableType]

#: Below it the table of jobs leaves columns out.
WIDE = 80
OTHER_COLUMNS = 66


def job_panel(job: Job) -> RenderableType:
    """Return one job with all that a person asks about it."""
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _fields(job):
        grid.add_row(name, value)
    title = Text.assemble((printable(job["name"] or short_id(job["id"])), "bold"))
    return Panel(
        grid,
        title=title,
        title_align="left",
        box=box.ROUNDED,
        border_style=_style(job),
        padding=(0, 1),
        width=None,
        expand=False,
    )


def job_headline(job: Job) -> RenderableType:
    """Return a job's id, name and state on a line."""
    from rich.text import Text

    name = f" {printable(job['name'])}" if job["name"] else ""
    state = (job["state"], f"bold {_style(job)}")
    return Text.assemble("Job ", (short_id(job["id"]), ACCENT), name, " is ", state)


def _fields(job: Job) -> Iterator[Field]:
    from rich.text import Text

    yield "state", Text(job["state"], style=f"bold {_style(job)}")
    yield "progress", _progress(job)
    yield from train_fields(job) if trains(job) else _work_fields(job)
    yield "source", Text(printable(source_text(job)))
    if not trains(job):
        yield "model", Text(" ".join(filter(None, (job["model"], _precision(job)))))
    if agreement := job.get("agreement"):
        yield "int8", Text(agreement_sentence(agreement))
    if job["tags"]:
        yield "tags", Text(", ".join(printable(f"{k}={v}") for k, v in job["tags"].items()))
    yield "created", Text(f"{local_time(job['created_at'])}  {age(job['created_at'])}")
    yield "took", Text(_took(job))
    yield "id", Text(job["id"])
    if job.get("retry_of"):
        yield "retry of", Text(str(job.get("retry_of")))
    yield from _problem(job)


def _work_fields(job: Job) -> Iterator[Field]:
    if not job.get("result"):
        yield "images", _counts(job)
    if job["progress"]["images_per_second"] and job["state"] not in TERMINAL:
        yield "speed", _speed(job)
    if is_dry_run(job):
        yield "dry run", _dry_run(job)


def _progress(job: Job) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    done, total = extent(job)
    told = f"{phase(job)} {figures(job)}".strip() if trains(job) else figures(job)
    if total is None:
        return told
    share = job["progress"]["fraction"] or 0.0
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total or 1, done if total else 1, width=30), percent(share))
    return Group(row, told) if trains(job) and job["state"] not in TERMINAL else row


def _counts(job: Job) -> RenderableType:
    from rich.text import Text

    counts = job["progress"]
    parts = [Text(f"{number(counts['done'])} of {_total(job)}"), Text(f"{number(counts['ok'])} ok")]
    parts.append(Text(f"{number(counts['failed'])} failed", style=BAD if counts["failed"] else ""))
    parts.append(Text(f"{number(counts['skipped'])} skipped"))
    if counts["cached"]:
        parts.append(Text(f"{number(counts['cached'])} known already"))
    return Text(" · ", style=QUIET).join(parts)


def _dry_run(job: Job) -> RenderableType:
    result = job.get("result")
    return f"{tally(result)}\n{outlook(result)}" if result else "nothing is labelled"


def _total(job: Job) -> str:
    total = job["progress"]["total"]
    return "?" if total is None else number(total)


def _speed(job: Job) -> str:
    counts = job["progress"]
    eta = counts["eta_seconds"]
    left = f" · {clock_time(eta)} left" if eta is not None else ""
    return f"{number(counts['images_per_second'] or 0)} images/s{left}"


def _precision(job: Job) -> str | None:
    precision = job.get("precision")
    return f"({precision})" if precision else None


def _took(job: Job) -> str:
    if job["started_at"] is None:
        return "not started"
    if job["finished_at"] is None:
        return f"{duration(job['started_at'], datetime.now(UTC).isoformat())} so far"
    return duration(job["started_at"], job["finished_at"])


def _problem(job: Job) -> Iterator[Field]:
    from rich.text import Text

    problem = job["error"]
    if problem:
        text = str(problem.get("detail") or problem.get("title"))
        yield "error", Text(printable(text), style=BAD)
        if hint := job_hint(job):
            yield "try", Text(printable(hint), style=ACCENT)
    if job.get("notice"):
        yield "notice", Text(str(job.get("notice")), style=WARNING)


def source_text(job: Job) -> str:
    """Return where a job's pictures are, or what names them, as a person would write it."""
    from urllib.parse import unquote

    uri = job.get("source", {}).get("uri", "–")
    place = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
    manifest = job.get("options", {}).get("manifest")
    return f"{place.rstrip('/')}/{manifest}" if manifest else place


def job_table(jobs: Iterable[Job], *, width: int) -> RenderableType:
    """Return jobs as a table for a terminal of so many columns; long names lose their start."""
    from rich.table import Table
    from rich.text import Text

    wide = width >= WIDE
    room = max(16, width - OTHER_COLUMNS)
    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("job", "state", "name or source", *(["model"] if wide else [])):
        table.add_column(title, no_wrap=True)
    for title in ("done", "failed"):
        table.add_column(title, no_wrap=True, justify="right")
    if wide:
        table.add_column("created", no_wrap=True)
    for job in jobs:
        row: list[RenderableType] = [
            Text(short_id(job["id"]), style=ACCENT),
            Text(job["state"], style=_style(job)),
            _end_of(printable(job["name"] or source_text(job)), room, start=_mark(job)),
            _model(job),
            *_done_and_failed(job),
            age(job["created_at"]),
        ]
        table.add_row(*(row if wide else [*row[:3], *row[4:6]]))
    return table


def _model(job: Job) -> str:
    result = train_result(job) if trains(job) else None
    if result:
        return result["model"]
    return train_name(job) if job["kind"] == "train" else job["model"]


def _done_and_failed(job: Job) -> tuple[RenderableType, RenderableType]:
    from rich.text import Text

    if trains(job):
        fraction = job["progress"]["fraction"]
        # How near its end a training failed says nothing: all of it is to be done again.
        if fraction is None or job["state"] == "failed":
            return "", ""
        return f"{fraction * 100:.0f} %", ""
    failed = job["progress"]["failed"]
    done = f"{number(job['progress']['done'])}/{_total(job)}"
    return done, Text(number(failed), style=BAD if failed else QUIET)


def _mark(job: Job) -> str:
    if trains(job):
        return f"{job['kind']}: "
    return "dry run: " if is_dry_run(job) else ""


def _end_of(text: str, room: int, *, start: str = "") -> str:
    room -= len(start)
    return start + (text if len(text) <= room else "…" + text[1 - room :])


def _style(job: Job) -> str:
    return STYLE_OF_STATE.get(job["state"], "default")
