"""A dataset: which pictures, with which labels, on which side, and what was found on the way."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from imgq_trainer.datasets.paths import FilePath


class Split(StrEnum):
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Example:
    """One picture of a dataset."""

    #: relative to the source, raw bytes, '/'-separated
    path: bytes
    #: index into the dataset's labels
    label: int
    split: Split
    #: sha256 of the file
    digest: bytes
    #: what the source says belongs together: a patient, a camera, a film; None if nothing
    group: str | None
    #: the same number: duplicates or near duplicates of each other
    cluster: int


class Counts(NamedTuple):
    """How many pictures of one label are on each side."""

    train: int
    val: int
    test: int


class Fault(NamedTuple):
    """A file that could not be used. code: one of imgq_trainer.outcomes.Code."""

    path: FilePath
    code: str
    detail: str


class Conflict(NamedTuple):
    """One picture under several labels; labels[i] is that of paths[i]."""

    paths: tuple[FilePath, ...]
    labels: tuple[str, ...]
    #: the same bytes: left out; otherwise only alike: kept, all on one side
    exact: bool


class Move(NamedTuple):
    """Pictures that were put on a side which their label would have been without."""

    label: str
    split: Split
    paths: tuple[FilePath, ...]


class Leak(NamedTuple):
    """A picture left out, since a duplicate of it was given to a side that must not know it."""

    path: FilePath
    #: None if it was given to none
    split: Split | None
    duplicate: FilePath
    duplicate_split: Split


class Ignored(NamedTuple):
    path: FilePath
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scan found. Every tuple is sorted; paths are as in Example."""

    #: by label, in the order of the dataset's labels
    counts: tuple[Counts, ...] = ()
    corrupt: tuple[Fault, ...] = ()
    #: paths of pictures with the same bytes and the same label
    duplicates: tuple[tuple[FilePath, ...], ...] = ()
    #: paths of pictures that look the same; of exact duplicates among them, the first
    near_duplicates: tuple[tuple[FilePath, ...], ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    leaks: tuple[Leak, ...] = ()
    #: labels with too few different pictures for three sides
    too_small: tuple[str, ...] = ()
    moved: tuple[Move, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    #: plain sentences, for people
    notes: tuple[str, ...] = ()

    @property
    def imbalance(self) -> float:
        """How many times as many training pictures the largest label has as the smallest."""
        sizes = [counts.train for counts in self.counts]
        return max(sizes, default=1) / max(min(sizes, default=1), 1)


@dataclass(frozen=True, slots=True)
class Dataset:
    #: sorted, NFC
    labels: tuple[str, ...]
    #: sorted by path
    examples: tuple[Example, ...]
    findings: Findings = field(repr=False)
    #: sha256 of the canonical JSONL, in hex
    digest: str

    @property
    def test_digest(self) -> str:
        """sha256 of the test split's digests and labels, in hex: what the files' names are is
        nothing to it, nor what the other splits hold."""
        return content_digest(
            (example.digest, self.labels[example.label])
            for example in self.examples
            if example.split is Split.TEST
        )


def content_digest(pictures: Iterable[tuple[bytes, str]]) -> str:
    """Return the sha256 of pictures' digests and labels, whatever their order, in hex."""
    lines = sorted(f"{digest.hex()} {label}\n" for digest, label in pictures)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
