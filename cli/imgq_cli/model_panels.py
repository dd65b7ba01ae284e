"""Models as a table, one version as a card, and what became of a promotion in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgq_cli.formats import age, count, local_time, number, percent
from imgq_cli.model_figures import metric_rows, preprocessing_rows, provenance_rows
from imgq_cli.standings import HEADINGS, HEADINGS_ALONE, STYLE_OF_STANDING, standing_of
from imgq_cli.terminal import ACCENT, QUIET, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_LABELS = 12
SHOWN_CHANGES = 5
#: Of an artifact only the figures come along.
NO_VERDICT = "not imported: the report has it, where the model was trained"


def models_table(models: list[dict[str, Any]]) -> RenderableType:
    """Return one row for each version."""
    from rich.table import Table

    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model", style=ACCENT, no_wrap=True)
    table.add_column("aliases")
    table.add_column("architecture", overflow="fold")
    table.add_column("labels", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("standing", no_wrap=True)
    table.add_column("source", overflow="fold")
    table.add_column("created", no_wrap=True)
    for model in models:
        accuracy = model["metrics"].get("accuracy")
        table.add_row(
            model["ref"],
            ", ".join(model["aliases"]) or "–",
            model["architecture"],
            number(model["classes"]),
            percent(accuracy) if isinstance(accuracy, int | float) else "–",
            _standing(model["metrics"]),
            printable(model["source"]),
            age(model["created_at"]),
        )
    return table


def _standing(metrics: Mapping[str, Any]) -> RenderableType:
    from rich.text import Text

    standing = standing_of(metrics)
    return Text(standing, style=STYLE_OF_STANDING[standing]) if standing else "–"


def model_card(model: Mapping[str, Any], history: list[dict[str, Any]]) -> RenderableType:
    """Return all that is known of a version. history: of its name's champion, newest first."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _rows(model, history):
        grid.add_row(printable(name), printable(text))
    return grid


def _rows(model: Mapping[str, Any], history: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    yield "model", model["ref"]
    yield "aliases", ", ".join(model["aliases"]) or "–"
    yield from _judged(model)
    yield "architecture", model["architecture"]
    yield "labels", _labels(model["labels"]) or _unnamed(model)
    yield from preprocessing_rows(model["preprocessing"])
    yield from metric_rows(model["metrics"])
    yield "source", model["source"]
    yield "lineage", " ← ".join([model["ref"], *model.get("lineage", ())])
    yield from _dataset(model.get("dataset"))
    if model["source"] != "train":  # of which the rows above tell all that is in there
        yield from _made_elsewhere(model.get("provenance") or {})
    links = model.get("links", {})
    if links.get("report"):
        yield "report", f"imgq models report {model['ref']} -o DIR"
    yield "digest", model["digest"] or "– (made by the first worker that needs it)"
    yield "created", local_time(model["created_at"])
    for change in history[:SHOWN_CHANGES]:
        yield "champion", f"{local_time(change['changed_at'])}: {change_sentence(model, change)}"


def _judged(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    standing, verdict = standing_of(model["metrics"]), model.get("verdict") or ()
    if standing:
        yield "standing", HEADINGS[standing] if verdict else HEADINGS_ALONE[standing]
    if standing and not verdict:
        yield "verdict", NO_VERDICT
    yield from _sentences("verdict", verdict)


def _made_elsewhere(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    parent = provenance.get("parent")
    if isinstance(parent, str):
        yield "trained from", f"{parent}, as it was called where that was done"
    yield from provenance_rows(provenance)


def _labels(labels: list[str]) -> str:
    more = f", … ({number(len(labels))} in all)" if len(labels) > SHOWN_LABELS else ""
    return ", ".join(labels[:SHOWN_LABELS]) + more


def _unnamed(model: Mapping[str, Any]) -> str:
    return f"{number(model['classes'])}; their names come with its first use"


def _dataset(dataset: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if dataset is None:
        return
    splits = {
        split: sum(counts.get(split, 0) for counts in dataset["counts"].values())
        for split in ("train", "val", "test")
    }
    sides = ", ".join(f"{number(pictures)} {split}" for split, pictures in splits.items())
    yield "dataset", f"{dataset['digest']}: {count(dataset['images'], 'picture')} ({sides})"
    yield from _sentences("findings", dataset["notes"])


def _sentences(name: str, sentences: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each sentence a row, of which the first one says what they are."""
    for place, sentence in enumerate(sentences):
        yield "" if place else name, sentence


def change_sentence(model: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """Return what became of a request to move an alias."""
    name = model["name"]
    new, old = f"{name}:{change['to_version']}", change["from_version"]
    place = f" in place of {name}:{old}" if old else ""
    verb = "is champion" if change["moved"] else "was refused"
    how = {"forced": ", by force", "rollback": ", rolled back"}.get(change["decision"], "")
    return f"{new} {verb}{place}{how}.{comparison_sentence(change)}"


def comparison_sentence(change: Mapping[str, Any]) -> str:
    """Return what two models were compared by, with a blank before it; nothing if they were not."""
    counts = change["counts"] or {}
    if "champion_right" not in counts:
        return ""
    return (
        f" Of {count(counts['pictures'], 'picture')} it has {number(counts['challenger_right'])}"
        f" right, the one before {number(counts['champion_right'])}."
    )
