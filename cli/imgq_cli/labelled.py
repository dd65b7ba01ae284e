"""From the PATH of a labelled folder, or of a manifest, to what a training is asked for."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from imgq_cli.errors import UsageFault
from imgq_cli.sources import ROOT_SCHEME, absolute, check_folder

MANIFEST_ENDS = (".csv", ".jsonl", ".ndjson")
#: What people call the folder of the training split.
TRAIN_NAMES = ("train", "training")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Labelled:
    """folder: as a source is typed. manifest: a file in it; None: the folders are the labels."""

    folder: str
    manifest: str | None = None


def find_labelled(path: str) -> Labelled:
    """Return what a PATH means. Raises UsageFault for a file that is no manifest."""
    is_manifest = path.lower().endswith(MANIFEST_ENDS)
    if path.startswith(ROOT_SCHEME):
        folder, slash, name = path.rpartition("/")
        return Labelled(folder, name) if is_manifest and slash else Labelled(path)
    place = absolute(path)
    if not place.is_file():
        return Labelled(path)
    if not is_manifest:
        raise UsageFault(
            f"This is a file, and no manifest: {place}",
            hint="name the folder that holds a folder for each class, or a manifest that ends in"
            " .csv or .jsonl",
        )
    return Labelled(str(Path(path).parent), place.name)


def check_labelled(found: Labelled, *, command: Sequence[str], least: int) -> None:
    """Raise NotFound or UsageFault for a local folder that surely holds no labelled pictures.

    command: what was called, for the hint, PATH as {}. least: so many classes there must be.
    """
    if found.folder.startswith(ROOT_SCHEME):
        return
    folder = absolute(found.folder)
    check_folder(folder)
    if found.manifest is not None:
        return
    classes = list(islice(_class_folders(folder), least))
    if not classes:
        raise UsageFault(
            f"There are no class folders in {folder}: the pictures of each class belong into a"
            " folder of their own, which is named like the class.",
            hint=_manifest_hint(folder, command)
            or "mkdir one folder for each class, or write a"
            " labels.csv with the columns path and label",
        )
    if len(classes) < least:
        raise UsageFault(
            f"There is one class folder only, {classes[0]!r}, in {folder}: a model that tells"
            " classes apart needs two or more.",
            hint="put the pictures of another class beside it, in a folder of their own",
        )


def model_name(found: Labelled, given: str | None) -> str:
    """Return the name of the model to train: the given one, or that of the folder.

    Raises UsageFault if the folder's name cannot be a model's.
    """
    if given is not None:
        return given
    if found.folder.startswith(ROOT_SCHEME):
        folder = PurePosixPath(found.folder.removeprefix(ROOT_SCHEME)).name
    else:
        folder = absolute(found.folder).resolve().name
    name = re.sub(r"\s+", "-", folder.strip()).lower()
    if NAME.fullmatch(name) is None:
        raise UsageFault(
            f"The folder's name, {folder!r}, cannot be the model's name.",
            hint=f"imgq train {shlex.quote(found.folder)} --name birds",
        )
    return name


def _class_folders(folder: Path) -> Iterator[str]:
    """Give the names of class folders, those of the training split where there are splits."""
    names = list(islice(_folders(folder), 100))
    split = next((name for name in names if name.casefold() in TRAIN_NAMES), None)
    yield from (names if split is None else _folders(folder / split))


def _folders(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    yield entry.name
    except OSError as error:
        raise UsageFault(
            f"The folder cannot be read: {error.strerror}: {folder}",
            hint=f"ls -ld {shlex.quote(str(folder))}",
        ) from error


def _manifest_hint(folder: Path, command: Sequence[str]) -> str | None:
    with os.scandir(folder) as entries:
        found = sorted(entry.name for entry in entries if entry.name.endswith(MANIFEST_ENDS))
    if not found:
        return None
    return shlex.join(str(folder / found[0]) if word == "{}" else word for word in command)
