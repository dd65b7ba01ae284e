"""A report as one HTML file that needs nothing else: no network, no script, no other file."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

from imgq_trainer.evaluating.values import Evaluation, Standing
from imgq_trainer.reporting import tables
from imgq_trainer.reporting.plots import Plot
from imgq_trainer.reporting.text import decimal, share, visible
from imgq_trainer.reporting.values import ReportData

_STANDINGS: Final[dict[Standing, str]] = {
    "sound": "Nothing speaks against this model",
    "weak": "Usable, with the limits below",
    "failed": "Do not use this model",
}
_WEAKEST = 20
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class _Tile:
    name: str
    value: str
    note: str


def render(report: ReportData, plots: Sequence[Plot]) -> str:
    """Return the page. Raises ValueError if a thumbnail is neither PNG nor JPEG."""
    evaluation, findings = report.evaluation, report.findings
    many = len(evaluation.labels) > tables.MOST_OPEN_ROWS
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            evaluation=evaluation,
            css=Markup(_resource("report.css")),  # noqa: S704  (a file of this package)
            standing=_STANDINGS[evaluation.standing],
            tiles=_tiles(evaluation),
            baselines=tables.baseline_table(evaluation),
            plots={plot.name: plot for plot in plots},
            matrix=tables.matrix(evaluation),
            confused=tables.confused_pairs(evaluation),
            classes=tables.class_table(evaluation.classes),
            weakest=tables.class_table(
                tables.weakest(evaluation.classes, _WEAKEST) if many else ()
            ),
            split=tables.split_table(findings, evaluation.labels),
            findings=tuple(tables.finding_tables(findings)),
            finding_notes=_sentences(findings.get("notes")),
            settings=tuple(tables.pairs_of(report.settings)),
            most_open_rows=tables.MOST_OPEN_ROWS,
        )
    )


def _tiles(evaluation: Evaluation) -> tuple[_Tile, ...]:
    figures, intervals = evaluation.figures, evaluation.intervals
    after, before = evaluation.calibration.after, evaluation.calibration.before

    best = figures.top_k[-1]
    tiles = [
        _Tile("Accuracy", share(figures.accuracy), _range(intervals.accuracy_widest, share)),
        _Tile("Macro F1", decimal(figures.macro_f1), _range(intervals.macro_f1, decimal)),
        _Tile(
            "Balanced accuracy",
            share(figures.balanced_accuracy),
            _range(intervals.balanced_accuracy, share),
        ),
        _Tile("Calibration error (ECE)", decimal(after.ece), f"{before.ece:.3f} uncalibrated"),
        _Tile("Pictures", f"{evaluation.pictures:,}", f"{len(evaluation.labels):,} classes"),
    ]
    if best.k > 1:
        tiles.insert(3, _Tile(f"Top {best.k}", share(best.share), "truth among the best labels"))
    return tuple(tiles)


def _range(ends: tuple[float, float], worded: Callable[[float], str]) -> str:
    """Return "0.81 to 0.92". Drawn again, pictures that are all right are always all right: a
    range of no width is no knowledge."""
    low, high = ends
    return "its range is unknown" if low == high else f"{worded(low)} to {worded(high)}"


def _sentences(notes: Any) -> tuple[str, ...]:
    return tuple(map(str, notes)) if isinstance(notes, list) else ()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("imgq_trainer.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "svg": _svg, "share": share}
    return environment


def _finalize(value: object) -> object:
    return visible(value) if type(value) is str else value


def _data_uri(picture: bytes) -> str:
    if picture.startswith(_PNG):
        kind = "png"
    elif picture.startswith(_JPEG):
        kind = "jpeg"
    else:
        raise ValueError("a thumbnail is neither PNG nor JPEG")
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"


def _svg(plot: Plot) -> Markup:
    """Return a plot for use inside the page; the drawing library has escaped every name in it."""
    rest = plot.svg.index("<svg") + len("<svg")
    label = Markup(' role="img" aria-label="{}"').format(visible(plot.alt))
    return Markup(plot.svg[:rest]) + label + Markup(plot.svg[rest:])  # noqa: S704


def _resource(name: str) -> str:
    return (files("imgq_trainer.reporting") / "templates" / name).read_text("utf-8")
