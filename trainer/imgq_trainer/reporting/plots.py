"""The plots of a report."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imgq_trainer.evaluating.values import ClassCurves, Evaluation
from imgq_trainer.evaluating.wording import number_of
from imgq_trainer.reporting.text import decimal, share, shortened, visible
from imgq_trainer.reporting.values import EpochRow
from imgq_trainer.reporting.vega import (
    PALE,
    SERIES,
    Row,
    Spec,
    diagonal,
    draw,
    lines,
    nominal,
    reliability_panel,
    to_png,
)

PAPER: Final = "#ffffff"
MOST_MATRIX: Final = 50
MOST_CURVES: Final = 5
_PNG_SCALE = 2.0
_MOST_NAME = 28


@dataclass(frozen=True, slots=True)
class Plot:
    """alt: what a reader who sees no picture should know. svg: on a clear background."""

    name: str
    title: str
    alt: str
    svg: str

    def opaque_svg(self) -> str:
        """Return the plot on white, for a file of its own."""
        rest = self.svg.index(">") + 1
        ground = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
        return self.svg[:rest] + ground + self.svg[rest:]

    def png(self) -> bytes:
        """Return the plot on white, in twice its size for sharp screens."""
        return to_png(self.opaque_svg(), scale=_PNG_SCALE)


def draw_plots(evaluation: Evaluation, epochs: Sequence[EpochRow]) -> tuple[Plot, ...]:
    """Draw all plots for which there is something to show.

    Names: loss, macro-f1, confusion, reliability, precision-recall, roc.
    """
    return (
        *_learning(epochs),
        *_confusion(evaluation),
        _reliability(evaluation),
        *_curves(evaluation),
    )


def _learning(epochs: Sequence[EpochRow]) -> Iterator[Plot]:
    names = _run_names(epochs)
    losses, scores = _losses(epochs, names), list[Row]()
    for row in epochs:
        name = names[row.stage, row.run]
        scores.append({"x": row.epoch, "y": row.macro_f1, "series": name})
    scores = [row for row in scores if row["y"] is not None]
    if losses:
        chosen = sum(row.chosen for row in epochs)
        alt = f"Training and validation loss over {number_of(chosen or len(epochs), 'epoch')}."
        spec = lines(losses, "epoch", "loss (nats)", _series(losses), whole_x=True)
        yield _plot("loss", "Loss", alt, spec)
    if scores:
        best = max(float(row["y"] or 0) for row in scores)
        alt = (
            f"Macro F1 on the validation split over {number_of(len(epochs), 'epoch')};"
            f" the best is {best:.3f}."
        )
        title = "macro F1 (validation)"
        spec = lines(scores, "epoch", title, _series(scores), whole_x=True, share_y=True)
        yield _plot("macro-f1", "Macro F1", alt, spec)


def _losses(epochs: Sequence[EpochRow], names: Mapping[tuple[str, int], str]) -> list[Row]:
    """Return both losses of what was chosen, one stage after the other, and those of the others."""
    losses: list[Row] = []
    for number, row in enumerate([row for row in epochs if row.chosen], 1):
        losses.append({"x": number, "y": row.train_loss, "series": "training"})
        losses.append({"x": number, "y": row.val_loss, "series": "validation"})
    for row in epochs:
        if not row.chosen:
            name = names[row.stage, row.run]
            losses.append({"x": row.epoch, "y": row.train_loss, "series": f"{name}, training"})
            losses.append({"x": row.epoch, "y": row.val_loss, "series": f"{name}, validation"})
    return [row for row in losses if row["y"] is not None]


def _series(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row["series"]) for row in rows))


def _run_names(epochs: Sequence[EpochRow]) -> dict[tuple[str, int], str]:
    """Return what each run is called: by its stage, with a number where there are several."""
    runs = sorted({(row.stage, row.run) for row in epochs})
    chosen = {(row.stage, row.run) for row in epochs if row.chosen}
    stages = Counter(stage for stage, _ in runs)
    names = {}
    for stage, run in runs:
        name = f"{stage} {run}" if stages[stage] > 1 else stage
        mark = ", chosen" if (stage, run) in chosen else ", not chosen"
        names[stage, run] = visible(name + (mark if len(chosen) < len(runs) else ""))
    return names


def _confusion(evaluation: Evaluation) -> Iterator[Plot]:
    names = _unique_names(evaluation.labels)
    if len(names) > MOST_MATRIX:
        return
    rows: list[Row] = [
        {
            "truth": names[cell.truth],
            "predicted": names[cell.predicted],
            "share": cell.pictures / evaluation.classes[cell.truth].support,
        }
        for cell in evaluation.confusion
    ]
    side = max(16 * len(names), 160)
    axis: Spec = {"labelLimit": 200, "domain": False, "ticks": False, "labelOverlap": False}
    colour = {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [PALE, SERIES[0]]},
        "legend": {"title": "share of the true class", "format": ".0%"},
    }
    spec: Spec = {
        "width": side,
        "height": side,
        "view": {"fill": PALE},
        "data": {"values": rows},
        "mark": {"type": "rect"},
        "encoding": {
            "y": nominal("truth", "true class", names, axis),
            "x": nominal("predicted", "predicted class", names, {**axis, "labelAngle": -60}),
            "color": colour,
        },
    }
    right = share(evaluation.figures.accuracy)
    alt = f"Confusion matrix of {len(names)} classes; {right} of all pictures are on the diagonal."
    yield _plot("confusion", "Confusion matrix", alt, spec)


def _reliability(evaluation: Evaluation) -> Plot:
    calibration = evaluation.calibration
    before, after = calibration.before, calibration.after
    temperature = f"{calibration.temperature:.2f}"
    spec = {
        "hconcat": [
            reliability_panel(before, f"before: ECE {before.ece:.3f}", SERIES[1]),
            reliability_panel(
                after, f"after (temperature {temperature}): ECE {after.ece:.3f}", SERIES[0]
            ),
        ]
    }
    alt = (
        "How often the model is right, by its confidence; on the dashed line both agree. Expected"
        f" calibration error {before.ece:.3f} before and {after.ece:.3f} after calibration."
    )
    return _plot("reliability", "Reliability", alt, spec)


def _curves(evaluation: Evaluation) -> Iterator[Plot]:
    shown, classes = _shown_classes(evaluation), evaluation.classes
    if not shown:
        return
    which = "all classes" if len(shown) == len(classes) else f"the {len(shown)} hardest classes"
    names = _unique_names(evaluation.labels)
    series = [f"{names[i]} (AP {decimal(classes[i].average_precision, 2)})" for i in shown]
    rows = _curve_rows(evaluation.curves, shown, series, "precision_recall")
    spec = lines(rows, "recall", "precision", series, share_x=True, share_y=True)
    alt = f"Precision over recall of {which}, with the average precision: {', '.join(series)}."
    yield _plot("precision-recall", f"Precision and recall, {which}", alt, spec)

    shown = [i for i in shown if evaluation.curves[i].roc]
    series = [f"{names[i]} (AUC {decimal(classes[i].auc, 2)})" for i in shown]
    rows = _curve_rows(evaluation.curves, shown, series, "roc")
    if rows:
        x, y = "share of other pictures that are called so", "share of the class that is found"
        spec = lines(rows, x, y, series, share_x=True, share_y=True)
        spec["layer"].insert(0, diagonal("x", "y"))
        alt = f"ROC curves of {which}, with the area under the curve: {', '.join(series)}."
        yield _plot("roc", f"ROC, {which}", alt, spec)


def _shown_classes(evaluation: Evaluation) -> list[int]:
    """Return the classes whose curves are drawn: of too many, those of least area."""
    areas = {
        index: one.average_precision
        for index, one in enumerate(evaluation.classes)
        if one.average_precision is not None
    }
    return sorted(areas, key=lambda index: areas[index])[:MOST_CURVES]


def _curve_rows(
    curves: Sequence[ClassCurves], shown: Sequence[int], series: Sequence[str], which: str
) -> list[Row]:
    return [
        {"x": point.x, "y": point.y, "series": name, "order": order}
        for index, name in zip(shown, series, strict=True)
        for order, point in enumerate(getattr(curves[index], which) or ())
    ]


def _unique_names(labels: Sequence[str]) -> list[str]:
    """Return names short enough for an axis; those that become the same get a number."""
    names: dict[str, None] = {}
    for label in labels:
        name, count = shortened(visible(label), _MOST_NAME), 2
        while name in names:
            name, count = f"{shortened(visible(label), _MOST_NAME - 5)} #{count}", count + 1
        names[name] = None
    return list(names)


def _plot(name: str, title: str, alt: str, spec: Spec) -> Plot:
    return Plot(name, title, alt, draw(spec, prefix=name))
