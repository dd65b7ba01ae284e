"""A copy of imgq's rooms with something missing."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .catalogue import Patch

ROOT: Final = Path(__file__).parents[3]
ROOMS: Final = ("api", "cli", "db", "trainer", "workers")


class PatchDoesNotApply(Exception):
    """The text that a patch replaces is not there once."""

    def __init__(self, patch: Patch, found: int) -> None:
        super().__init__(f"{patch.path} holds {found} times, not once:\n{patch.old}")


def apply(patches: Sequence[Patch], root: Path) -> None:
    """Patch the files below a root. Raises PatchDoesNotApply."""
    for patch in patches:
        file = root / patch.path
        text = file.read_text()
        if text.count(patch.old) != 1:
            raise PatchDoesNotApply(patch, text.count(patch.old))
        file.write_text(text.replace(patch.old, patch.new))


def copy_rooms(target: Path) -> None:
    for room in ROOMS:
        shutil.copytree(ROOT / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))


def python_path(root: Path) -> str:
    """Return the PYTHONPATH that puts a copy before what is installed."""
    return ":".join(str(root / room) for room in ROOMS)
