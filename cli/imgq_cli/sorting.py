"""Pictures into folders by label. Nothing is ever overwritten, and nothing appears half-written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path, PurePosixPath

from imgq_cli.errors import UsageFault
from imgq_cli.shapes import Result

FAILED, UNSURE = "_failed", "_unsure"
CROSS_DEVICE = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)


class Way(StrEnum):
    """How a picture gets to its folder."""

    COPY = "copy"
    LINK = "link"
    MOVE = "move"


class Outcome(StrEnum):
    """What became of one row."""

    PLACED = "placed"
    THERE_ALREADY = "there_already"
    GONE = "gone"
    UNREADABLE = "unreadable"
    SKIPPED = "skipped"


def check_target(source: Path, into: Path) -> None:
    """Raise UsageFault unless the label folders can be made in `into`, apart from the source."""
    if into.resolve().is_relative_to(source.resolve()):
        raise UsageFault(
            f"{into} is in the pictures' own folder: the next job would label the sorted ones too.",
            hint=f"--into {source.resolve()}-sorted",
        )
    there = next(place for place in (into, *into.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise UsageFault(f"{there} is not a folder.", hint="name another one with --into DIR")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageFault(
            f"The folder cannot be written: Permission denied: {there}.",
            hint="name another one with --into DIR",
        )


def place(row: Result, source: Path, into: Path, way: Way) -> Outcome:
    """Put one picture where its label says.

    The path below the label's folder is the one below the source, so that no two collide.
    """
    group = group_of(row)
    relative = relative_path(row["path"])
    if group is None or relative is None:
        return Outcome.SKIPPED
    origin, target = source / relative, into / group / relative
    if os.path.lexists(target):
        return Outcome.THERE_ALREADY
    if way is Way.MOVE and origin.is_symlink():
        return _move_linked(origin, target, source, into / group)
    return _place_file(origin, target, _PLACERS[way])


def _place_file(origin: Path, target: Path, placer: Callable[[Path, Path], None]) -> Outcome:
    if not origin.is_file():
        there = os.path.lexists(origin) and not origin.is_symlink()
        return Outcome.SKIPPED if there else Outcome.GONE
    if not os.access(origin, os.R_OK):
        return Outcome.UNREADABLE
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        placer(origin, target)
    except FileExistsError:
        return Outcome.THERE_ALREADY
    return Outcome.PLACED


def _move_linked(link: Path, target: Path, source: Path, folder: Path) -> Outcome:
    """Put what a link leads to where the link's label says, and take the link away.

    folder: the label's folder. The same picture has the same label: if it was moved before, it is
    in there.
    """
    picture, root = Path(os.path.realpath(link)), Path(os.path.realpath(source))
    if not picture.exists() and picture.is_relative_to(root):
        picture = folder / picture.relative_to(root)
    outcome = _place_file(picture, target, _copy)
    if outcome is Outcome.PLACED:
        link.unlink()
    return outcome


def group_of(row: Result) -> str | None:
    """Return the folder's name for a row; None for what is skipped."""
    if row["status"] == "skipped":
        return None
    if row["status"] == "failed":
        return FAILED
    return UNSURE if row["label"] is None else folder_name(row["label"])


def folder_name(label: str) -> str:
    """Return a label as a folder's name: none leads elsewhere, is special, or is another's."""
    name = "".join(map(_safe, label))
    return _percent(name[0]) + name[1:] if name[:1] in (".", "_", "-") else name or "%"


def _safe(char: str) -> str:
    return char if char.isprintable() and char not in "/\\%" else _percent(char)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def relative_path(text: str) -> Path | None:
    """Return a result's path as one of this disk; None if it would leave the folder."""
    from imgq_db.names import name_from_text

    path = PurePosixPath(os.fsdecode(name_from_text(text)))
    leaves = path.is_absolute() or ".." in path.parts or "\0" in str(path)
    return None if leaves else Path(path)


def _copy(origin: Path, target: Path) -> None:
    # Written beside and then linked: link() refuses a name that is taken, replace() would not.
    partial = target.with_name(f".{os.getpid()}.imgq-partial")
    try:
        shutil.copy2(origin, partial)
        _claim(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _claim(partial: Path, target: Path) -> None:
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in CROSS_DEVICE:
            raise
        # A disk without hard links (FAT): the check and the rename are two steps there.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "exists", str(target)) from error
        partial.rename(target)


def _link(origin: Path, target: Path) -> None:
    target.symlink_to(origin)


def _move(origin: Path, target: Path) -> None:
    try:
        os.link(origin, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in CROSS_DEVICE:
            raise
        _copy(origin, target)
    origin.unlink()


_PLACERS = {Way.COPY: _copy, Way.LINK: _link, Way.MOVE: _move}
