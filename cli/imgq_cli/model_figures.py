"""What a version's card tells in rows of a name and a value: figures, and where it was made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from imgq_cli.formats import count, percent

Row = tuple[str, str]

INTERVAL = "_interval"
#: Figures that are shares of pictures. ECE and F1 are not: everywhere they are told as 0.126.
SHARES = frozenset({"accuracy", "balanced_accuracy", "accuracy_of_others"})
FIRST_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece")
FIRST_OF_PREPROCESSING = ("resize", "crop", "fit", "interpolation", "mean", "std")
#: Of provenance: what a reader asks first, and what a row of its own tells.
FIRST_OF_PROVENANCE = ("title", "license", "source", "dataset", "test_split")
TOLD_ELSEWHERE = frozenset({"parent"})


def metric_rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Give each figure with its 95 % interval, and first of how many pictures they are."""
    pictures = metrics.get("pictures")
    if isinstance(pictures, int):
        yield "judged on", count(pictures, "picture")
    for name in _ordered(metrics, FIRST_METRICS):
        if name.endswith(INTERVAL) or name == "standing":
            continue
        if name == "pictures" and isinstance(pictures, int):
            continue
        text = _figure(name, metrics[name])
        interval = metrics.get(name + INTERVAL)
        if isinstance(interval, list) and len(interval) == 2:
            low, high = (_figure(name, end) for end in interval)
            text += f" (95 %: {low} to {high})"
        yield f"metric: {name}", text


def preprocessing_rows(preprocessing: Mapping[str, Any]) -> Iterator[Row]:
    """Give how pictures are prepared."""
    for name in _ordered(preprocessing, FIRST_OF_PREPROCESSING):
        yield f"preprocessing: {name}", _text(preprocessing[name])


def provenance_rows(provenance: Mapping[str, Any]) -> Iterator[Row]:
    """Give what model.json says of a model's making."""
    for name in _ordered(provenance, FIRST_OF_PROVENANCE):
        if name not in TOLD_ELSEWHERE and provenance[name] not in (None, "", {}, []):
            yield f"provenance: {name}", _text(provenance[name])


def _ordered(names: Iterable[str], first: tuple[str, ...]) -> list[str]:
    """Return the names: those that people look for, then the others by the alphabet."""
    known = set(names)
    return [name for name in first if name in known] + sorted(known - set(first))


def _figure(name: str, value: object) -> str:
    if isinstance(value, float) and name in SHARES:
        return percent(value)
    return f"{value:.3f}" if isinstance(value, float) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return value if isinstance(value, str) else json.dumps(value)
