"""What makes a labelled folder useless for training, said before any hour is spent on it.

TrainerError
└── DatasetError
    ├── DatasetChanged
    ├── DatasetInvalid
    ├── FractionsInvalid
    ├── GroupByInvalid
    ├── GroupStraddles
    ├── LabelsDifferByCase
    ├── LabelsUnknown
    ├── LayoutInvalid
    ├── ManifestInvalid
    ├── ManifestNamesMissing
    ├── NothingReadable
    ├── PicturesTooSmall
    ├── TooFewClasses
    └── TooFewPictures
"""

from collections.abc import Sequence
from pathlib import Path

from imgq_trainer.datasets.paths import path_to_text
from imgq_trainer.errors import TrainerError

#: how many paths or labels a message names
NAMED = 5


class DatasetError(TrainerError):
    """Base of everything that is wrong with a labelled folder. hint: what to do about it."""

    hint = "Look at the folder, put it right, and start again."


class TooFewClasses(DatasetError):
    hint = "Put the pictures of each class into a folder of its own, and train on two or more."

    def __init__(self, labels: Sequence[str]) -> None:
        found = f"only {labels[0]!r}" if labels else "none"
        super().__init__(f"Training needs at least two classes, but there is {found}.")
        self.labels = tuple(labels)


class TooFewPictures(DatasetError):
    hint = "Add pictures of the class, or take its folder or rows away."

    def __init__(self, label: str, count: int, where: str = "") -> None:
        pictures = "one readable picture" if count == 1 else f"{count or 'no'} readable pictures"
        super().__init__(f"The class {label!r} has {pictures}{where}: too few to learn from.")
        self.label = label
        self.count = count


class NothingReadable(DatasetError):
    hint = "Point at the folder above the class folders, and check one picture by eye."

    def __init__(self, root: Path, found: int) -> None:
        of = f"of {found} files in {root} none" if found else f"in {root} nothing"
        super().__init__(f"There is no picture to learn from: {of} is a readable picture.")


class PicturesTooSmall(DatasetError):
    hint = "Check how the pictures were made, and train on whole ones."

    def __init__(self, count: int, of: int, least_side: int) -> None:
        super().__init__(
            f"{count} of {of} pictures are smaller than {least_side} pixels on a side: too small to"
            " show anything."
        )
        self.count = count


class LabelsDifferByCase(DatasetError):
    hint = "Give one of them another name, or put their pictures together."

    def __init__(self, labels: Sequence[str]) -> None:
        names = " and ".join(map(repr, labels))
        super().__init__(f"The classes {names} differ only by case or by blanks.")
        self.labels = tuple(labels)


class LayoutInvalid(DatasetError):
    hint = "One folder for each class, or train, val and test, each with a folder for each class."

    def __init__(self, root: Path, why: str) -> None:
        super().__init__(f"The folders in {root} cannot be taken for classes: {why}.")


class ManifestInvalid(DatasetError):
    hint = "A manifest has the columns path, label and, if need be, split and group."

    def __init__(self, line: int | None, why: str) -> None:
        place = "The manifest" if line is None else f"Line {line} of the manifest"
        super().__init__(f"{place} cannot be used: {why}.")
        self.line = line
        self.why = why


class ManifestNamesMissing(DatasetError):
    hint = "Paths are relative to the folder that is trained on, or absolute and inside it."

    def __init__(self, files: Sequence[bytes]) -> None:
        super().__init__(f"The manifest names {_files(files)} not there: {_some(files)}.")
        self.files = tuple(files)


class GroupByInvalid(DatasetError):
    hint = "Name a column of the manifest; without a manifest, give a regular expression."

    def __init__(self, group_by: str, why: str) -> None:
        super().__init__(f"Pictures cannot be grouped by {group_by!r}: {why}.")


class GroupStraddles(DatasetError):
    hint = "Give all pictures of a group the same split, or leave the split or the group out."

    def __init__(self, group: str, splits: Sequence[str]) -> None:
        sides = " and in ".join(splits)
        super().__init__(f"The group {group!r} was given to several splits: it is in {sides}.")
        self.group = group


class LabelsUnknown(DatasetError):
    hint = "Evaluate pictures of classes that the model was trained on, under the same names."

    def __init__(self, labels: Sequence[str]) -> None:
        named = _first([repr(label) for label in labels])
        super().__init__(f"The model was never trained on {named}.")
        self.labels = tuple(labels)


class FractionsInvalid(DatasetError):
    hint = "Three fractions that add up to 1, as 0.70, 0.15 and 0.15; the first above 0."

    def __init__(self, fractions: Sequence[float]) -> None:
        super().__init__(f"Pictures cannot be split by {tuple(fractions)}.")


class DatasetInvalid(DatasetError):
    hint = "Make the dataset anew from its pictures."

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"The dataset in {folder} cannot be used: {why}.")


class DatasetChanged(DatasetError):
    hint = "Leave the folder as it is while a training runs, and start again."

    def __init__(self, files: Sequence[bytes]) -> None:
        super().__init__(
            f"The folder changed: {_files(files)} no longer what was scanned: {_some(files)}."
        )
        self.files = tuple(files)


def _files(files: Sequence[bytes]) -> str:
    return "one file that is" if len(files) == 1 else f"{len(files)} files that are"


def _some(files: Sequence[bytes]) -> str:
    return _first([path_to_text(file) for file in files])


def _first(names: Sequence[str]) -> str:
    named = ", ".join(names[:NAMED])
    return f"{named} and {len(names) - NAMED:,} more" if len(names) > NAMED else named
