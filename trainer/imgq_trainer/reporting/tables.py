"""The tables of a report, as rows of text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from imgq_trainer.evaluating.values import ClassFigures, Evaluation
from imgq_trainer.evaluating.wording import p_value
from imgq_trainer.reporting.text import decimal, share

#: a matrix of more classes is not readable as one
MOST_MATRIX: Final = 50
MOST_PAIRS: Final = 30
#: more rows are folded away, but for the first
MOST_OPEN_ROWS: Final = 40
MOST_ROWS: Final = 200
#: a narrow matrix has room for the shares beside the counts
_WITH_SHARES = 12

_FINDINGS: Final[Mapping[str, str]] = {
    "corrupt": "Files that could not be read, left out",
    "conflicts": "The same picture under several labels",
    "duplicates": "Exact duplicates",
    "near_duplicates": "Pictures that look the same, kept on one side of the split",
    "leaks": "Pictures left out, since a copy is on another side of the split",
    "too_small": "Classes with too few pictures",
    "moved": "Pictures moved so that a class has some on every side",
    "ignored": "Entries that were not looked at",
}


@dataclass(frozen=True, slots=True)
class Table:
    """hidden: rows that are not shown for their number."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """weight: 0..1, how strongly the cell is coloured."""

    count: str
    share: str
    weight: float
    right: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    labels: tuple[str, ...]
    rows: tuple[tuple[MatrixCell, ...], ...]
    with_shares: bool


def matrix(evaluation: Evaluation) -> Matrix | None:
    """Return the confusion matrix, a row for each true class; None if it were too large."""
    count = len(evaluation.labels)
    if count > MOST_MATRIX:
        return None
    pictures = {(cell.truth, cell.predicted): cell.pictures for cell in evaluation.confusion}
    rows = tuple(
        tuple(
            _matrix_cell(pictures.get((truth, predicted), 0), evaluation, truth, predicted)
            for predicted in range(count)
        )
        for truth in range(count)
    )
    return Matrix(evaluation.labels, rows, with_shares=count <= _WITH_SHARES)


def confused_pairs(evaluation: Evaluation) -> Table:
    """Return the pairs of classes that are taken for each other most often."""
    wrong = [cell for cell in evaluation.confusion if cell.truth != cell.predicted]
    wrong.sort(key=lambda cell: (-cell.pictures, cell.truth, cell.predicted))
    rows = tuple(
        (
            evaluation.labels[cell.truth],
            evaluation.labels[cell.predicted],
            f"{cell.pictures:,}",
            share(cell.pictures / evaluation.classes[cell.truth].support),
        )
        for cell in wrong[:MOST_PAIRS]
    )
    columns = ("true class", "predicted class", "pictures", "share of the true class")
    return Table("Most confused pairs", columns, rows, max(len(wrong) - MOST_PAIRS, 0))


def class_table(classes: Sequence[ClassFigures]) -> Table:
    """Return the figures of each class, in the given order."""
    columns = ("class", "pictures", "predicted", "precision", "recall", "F1", "AP", "AUC")
    rows = tuple(
        (
            one.label,
            f"{one.support:,}",
            f"{one.predicted:,}",
            share(one.precision),
            share(one.recall),
            decimal(one.f1),
            decimal(one.average_precision),
            decimal(one.auc),
        )
        for one in classes
    )
    return Table("Classes", columns, rows)


def weakest(classes: Sequence[ClassFigures], count: int) -> tuple[ClassFigures, ...]:
    """Return the classes with the lowest F1; those without pictures are left out."""
    judged = [(one.f1, one) for one in classes if one.f1 is not None]
    judged.sort(key=lambda pair: pair[0])
    return tuple(one for _, one in judged[:count])


def baseline_table(evaluation: Evaluation) -> Table:
    """Return this model beside the other ways to label the same pictures."""
    figures = evaluation.figures
    own = (figures.accuracy, figures.balanced_accuracy, figures.macro_f1)
    rows = [("this model", share(own[0]), share(own[1]), decimal(own[2]), "", "")]
    for one in evaluation.baselines:
        name = "linear probe" if one.name == "probe" else f"always “{one.label}”"
        better, worse = p_value(one.p_model_better), p_value(one.p_model_worse)
        scores = (share(one.accuracy), share(one.balanced_accuracy), decimal(one.macro_f1))
        rows.append((name, *scores, better, worse))
    columns = ("", "accuracy", "balanced accuracy", "macro F1", "model better", "model worse")
    return Table("Beside the baselines", columns, tuple(rows))


def split_table(findings: Mapping[str, JsonValue], labels: Sequence[str]) -> Table | None:
    """Return how many pictures of each class are on each side; None if that is not known."""
    counts = findings.get("counts")
    if not isinstance(counts, list) or len(counts) != len(labels):
        return None
    rows = tuple(
        (label, *(_text(row.get(side)) for side in ("train", "val", "test")))
        for label, row in zip(labels, counts, strict=True)
        if isinstance(row, dict)
    )
    return Table("Pictures", ("class", "training", "validation", "test"), rows)


def finding_tables(findings: Mapping[str, JsonValue]) -> Iterator[Table]:
    """Return a table for each kind of finding that there is something of."""
    for name, title in _FINDINGS.items():
        found = findings.get(name)
        if isinstance(found, list) and found:
            rows = tuple(_finding_row(one) for one in found[:MOST_ROWS])
            width = max(map(len, rows))
            rows = tuple(row + ("",) * (width - len(row)) for row in rows)
            first = found[0]
            columns = tuple(_heading(key) for key in first) if isinstance(first, dict) else ()
            yield Table(f"{title} ({len(found):,})", columns, rows, len(found) - len(rows))


def pairs_of(values: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """Return nested settings as lines: "optimiser.name" and its value."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from ((f"{name}.{inner}", text) for inner, text in pairs_of(value))
        else:
            yield name, _text(value)


def _matrix_cell(pictures: int, evaluation: Evaluation, truth: int, predicted: int) -> MatrixCell:
    support = evaluation.classes[truth].support
    part = pictures / support if support else 0.0
    return MatrixCell(
        count=f"{pictures:,}",
        share=share(part, 0) if support else "–",
        weight=round(part, 3),
        right=truth == predicted,
    )


def _finding_row(value: JsonValue) -> tuple[str, ...]:
    if isinstance(value, dict):
        return tuple(_text(one) for one in value.values())
    return (_text(value),)


def _heading(key: str) -> str:
    return key.replace("_", " ")


def _text(value: JsonValue) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(one)}" for key, one in value.items()) or "–"
    return str(value)
