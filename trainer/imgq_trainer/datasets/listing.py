"""What a source says of its files before any is read."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from imgq_trainer.datasets.errors import GroupByInvalid, LabelsDifferByCase
from imgq_trainer.datasets.paths import path_to_text
from imgq_trainer.datasets.values import Ignored, Split

#: as long as a label of a model may be, in characters
MAX_LABEL = 1000
#: what people call the three sides
SPLIT_NAMES = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}

Grouping = Callable[[bytes], str | None]


class Listed(NamedTuple):
    """A file with what the source says of it. split, group: None if it does not say."""

    path: bytes
    label: str
    split: Split | None
    group: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """files: sorted by path, each path once. labels: sorted, all that were named."""

    files: tuple[Listed, ...]
    labels: tuple[str, ...]
    ignored: tuple[Ignored, ...] = ()
    notes: tuple[str, ...] = ()


def split_named(name: str) -> Split | None:
    """Return which side a folder or a cell means by its name, whatever its case."""
    return SPLIT_NAMES.get(name.strip().casefold())


def to_label(name: str) -> str:
    """Return a class's name as a label: in Unicode's form NFC, so that equal looks are equal."""
    return unicodedata.normalize("NFC", name)


def is_label(name: str) -> bool:
    """Tell whether a class may have this name."""
    controls = any(unicodedata.category(letter) == "Cc" for letter in name)
    return bool(name.strip()) and len(name) <= MAX_LABEL and not controls


def check_labels(labels: Iterable[str]) -> None:
    """Raise LabelsDifferByCase if two labels are one to a careless reader."""
    alike = defaultdict(list)
    for label in sorted(labels):
        alike[" ".join(label.split()).casefold()].append(label)
    for same in alike.values():
        if len(same) > 1:
            raise LabelsDifferByCase(same)


def grouping_by(expression: str | None) -> Grouping:
    """Return what finds a file's group in its path: the expression's first group, or its match.

    A file that the expression does not match has no group. Raises GroupByInvalid.
    """
    if expression is None:
        return lambda path: None
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise GroupByInvalid(expression, f"it is no regular expression, {error}") from error

    def group(path: bytes) -> str | None:
        match = pattern.search(path_to_text(path))
        return None if match is None else match[1 if pattern.groups else 0] or None

    return group
