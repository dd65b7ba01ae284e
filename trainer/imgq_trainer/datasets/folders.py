"""Class folders, alone or in train, val and test: listed, without following a link to a folder."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imgq_trainer.datasets.errors import LayoutInvalid
from imgq_trainer.datasets.listing import (
    Grouping,
    Listed,
    Listing,
    check_labels,
    is_label,
    split_named,
    to_label,
)
from imgq_trainer.datasets.paths import path_to_text
from imgq_trainer.datasets.values import Ignored, Split
from imgq_trainer.errors import RootUnavailable, Stopped
from imgq_trainer.reading import is_hidden

#: how many files are listed between two looks at stop()
STOP_CHECK_FILES = 1000


def list_folders(root: Path, *, group_of: Grouping, stop: Callable[[], bool]) -> Listing:
    """List a folder of class folders, or of train, val and test with class folders in each.

    Hidden files are no files here. Raises LayoutInvalid, LabelsDifferByCase, RootUnavailable,
    Stopped.
    """
    ignored: list[Ignored] = []
    parts, notes = _parts(root, ignored)
    files: list[Listed] = []
    labels: set[str] = set()
    for part, split in parts:
        folders = _class_folders(root, part, ignored)
        labels |= set(folders.values())
        for folder, label in folders.items():
            for path in _walk(root, folder, ignored):
                files.append(Listed(path, label, split, group_of(path)))
                if len(files) % STOP_CHECK_FILES == 0 and stop():
                    raise Stopped
    check_labels(labels)
    files.sort(key=lambda file: file.path)
    return Listing(tuple(files), tuple(sorted(labels)), tuple(sorted(ignored)), notes)


def _parts(
    root: Path, ignored: list[Ignored]
) -> tuple[list[tuple[bytes, Split | None]], tuple[str, ...]]:
    """Tell the folders that hold class folders: the root, or its train, val and test."""
    names = _entries(root, b"", [])[0]
    sides = {name: split_named(path_to_text(name)) for name in names}
    named = [path_to_text(name) for name, split in sides.items() if split is not None]
    if Split.TRAIN not in sides.values():
        return [(b"", None)], ()
    if len(named) < len(names):
        taken = " and ".join(map(repr, named))
        return [(b"", None)], (
            f"Beside other folders, {taken} was taken for a class, not a split.",
        )
    for name in names:
        if not _entries(root, name, [])[0]:
            why = f"{path_to_text(name)!r} is named as a split, but has no class folder in it"
            raise LayoutInvalid(root, why)
    _entries(root, b"", ignored)
    return list(sides.items()), ()


def _class_folders(root: Path, part: bytes, ignored: list[Ignored]) -> dict[bytes, str]:
    """Return the label of each class folder. Raises LayoutInvalid if two look the same."""
    by_label = defaultdict(list)
    for name in _entries(root, part, ignored)[0]:
        text = path_to_text(name)
        if not is_label(text):
            raise LayoutInvalid(root, f"{text!r} is no name for a class")
        by_label[to_label(text)].append(name)
    for label, names in by_label.items():
        if len(names) > 1:
            why = f"two are named {label!r}, and differ only in how its letters are encoded"
            raise LayoutInvalid(root, why)
    prefix = part + b"/" if part else b""
    return {prefix + names[0]: label for label, names in by_label.items()}


def _walk(root: Path, folder: bytes, ignored: list[Ignored]) -> Iterator[bytes]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        names, files = _entries(root, folder, ignored, with_files=True)
        waiting += [folder + b"/" + name for name in names]
        yield from (folder + b"/" + name for name in files)


def _entries(
    root: Path, folder: bytes, ignored: list[Ignored], *, with_files: bool = False
) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Return the names of a folder's folders and files, sorted; without the hidden ones.

    Where no files are wanted, those that are there are ignored with a word.
    """
    folders, files = [], []
    prefix = folder + b"/" if folder else b""
    try:
        with os.scandir(root / os.fsdecode(folder)) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if is_hidden(name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_dir():
                    ignored.append(Ignored(prefix + name, "a link to a folder"))
                elif with_files:
                    files.append(name)
                else:
                    ignored.append(Ignored(prefix + name, "it lies in no class folder"))
    except OSError as error:
        at = root / os.fsdecode(folder)
        raise RootUnavailable(at, error.strerror or "unknown error") from error
    return sorted(folders), sorted(files)
