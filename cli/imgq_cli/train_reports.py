"""What a person reads of a train or evaluate job: what it came to, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgq_cli.formats import count, duration, percent, short_id
from imgq_cli.model_calls import export_command
from imgq_cli.progress import STYLE_OF_STATE
from imgq_cli.shapes import TERMINAL, Job, TrainResult, train_progress, train_result
from imgq_cli.standings import FAILED, HEADINGS, STYLE_OF_STANDING, standing_of
from imgq_cli.terminal import QUIET, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    Field = tuple[str, RenderableType]


def train_headline(job: Job) -> RenderableType:
    """Return how an ended job ended, on a line."""
    from rich.text import Text

    state = (job["state"].capitalize(), f"bold {STYLE_OF_STATE[job['state']]}")
    took = duration(job["started_at"], job["finished_at"])
    tail = (f" · {took} · {short_id(job['id'])}", QUIET)
    return Text.assemble(state, _came_to(job), tail)


def _came_to(job: Job) -> str:
    result = train_result(job)
    if result is None:
        return f": nothing was registered as {train_name(job)}" if job["kind"] == "train" else ""
    if job["kind"] == "train":
        unfit = ", but is not to be used" if _unfit(result) else ""
        return f": {result['model']} is registered{unfit}"
    on = "" if job.get("options", {}).get("export") else _on(result)
    return f": {result['model']} is {_done_with(job)}{on}"


def _unfit(result: TrainResult) -> bool:
    return standing_of(result["metrics"]) == FAILED


def _done_with(job: Job) -> str:
    options = job.get("options", {})
    if options.get("export"):
        return f"written as {options['export']}"
    return f"compared with {options['against']}" if options.get("against") else "evaluated"


def _on(result: TrainResult) -> str:
    pictures = result["metrics"].get("pictures")
    return f" on {count(pictures, 'picture')}" if pictures is not None else ""


def train_outcome(result: TrainResult) -> Iterator[RenderableType]:
    """Give the figures with their 95 % intervals, and under a heading the verdict's own words."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for row in _figures(result["metrics"]):
        table.add_row(*row)
    if table.row_count:
        yield Padding(table, (0, 0, 0, 2), expand=False)
    if standing := standing_of(result["metrics"]):
        heading = Text(HEADINGS[standing], style=f"bold {STYLE_OF_STANDING[standing]}")
        yield Padding(heading, (0, 0, 0, 2), expand=False)
    for sentence in result["verdict"]:
        yield Padding(Text(printable(sentence)), (0, 0, 0, 2), expand=False)


def figures_line(result: TrainResult) -> str:
    """Return accuracy and macro-F1 on a line."""
    return " · ".join(" ".join(filter(None, row)) for row in _figures(result["metrics"]))


def _figures(metrics: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    if metrics.get("accuracy") is not None:
        between = [percent(end) for end in metrics.get("accuracy_interval") or ()]
        yield "accuracy", percent(metrics["accuracy"]), _interval(between)
    if metrics.get("macro_f1") is not None:
        between = [f"{end:.3f}" for end in metrics.get("macro_f1_interval") or ()]
        yield "macro-F1", f"{metrics['macro_f1']:.3f}", _interval(between)


def _interval(ends: Sequence[str]) -> str:
    return f"({' to '.join(ends)})" if len(ends) == 2 else ""


def train_steps(job: Job, outputs: Sequence[Path] = ()) -> Iterator[tuple[str, str]]:
    """Give what one can do with the job now: purpose and command."""
    uid = short_id(job["id"])
    result = train_result(job)
    if job["state"] not in TERMINAL:
        yield "follow", f"imgq watch {uid}"
        yield "cancel", f"imgq cancel {uid}"
    elif result is None:
        yield "see why", f"imgq why {uid}"
        yield "run again", f"imgq retry {uid}"
    elif job["kind"] == "train":
        yield from _version_steps(result, reported=bool(outputs))
    elif form := job.get("options", {}).get("export"):
        yield "save the files", export_command(result["model"], form)
    elif job["links"].get("report") and not outputs:
        yield "save the report", f"imgq watch {uid} -o report"


def _version_steps(result: TrainResult, *, reported: bool) -> Iterator[tuple[str, str]]:
    model = result["model"]
    name, _, version = model.partition(":")
    if _unfit(result):
        yield "see its card", f"imgq models show {model}"
    else:
        # The name alone means the champion where there is one, and so maybe an older version.
        first = version == "1"
        yield "label with it", f"imgq submit-folder ./new --model {name if first else model}"
        if not first:
            yield "make it the champion", f"imgq models promote {model}"
    if not reported:
        yield "save the report", f"imgq models report {model} -o {name}-report"


def train_fields(job: Job) -> Iterator[Field]:
    """Give what the panel of a job says of a training."""
    from rich.text import Text

    progress, result = train_progress(job), train_result(job)
    if progress["images"] is not None:
        yield "dataset", Text(count(progress["images"], "image"))
    if job["kind"] == "train":
        yield "trains", Text(result["model"] if result else train_name(job))
        yield "starts from", Text(job["model"])
    else:
        yield "evaluates", Text(job["model"])
    if result is not None:
        yield "figures", Text(figures_line(result))
        if standing := standing_of(result["metrics"]):
            yield "standing", Text(HEADINGS[standing], style=STYLE_OF_STANDING[standing])
        yield "verdict", Text("\n".join(map(printable, result["verdict"])))


def train_name(job: Job) -> str:
    """Return the model that a train job adds a version to."""
    return str(job.get("options", {}).get("name", "–"))
