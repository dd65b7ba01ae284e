"""A file that appears whole or not at all, whoever else writes there at the same time."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its place at the path once the block has ended well.

    Until then it has a name of its own in the same folder. A symbolic link is written through,
    and a file that was there hands its mode on. A pipe, a device or what this process has open
    (/dev/stdout) is written to as it is, where that stands. Raises OSError.
    """
    if is_special(path):
        with _open_special(path) as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".imgq-{secrets.token_hex(8)}")
    try:
        with partial.open("xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _open_special(path: Path) -> BinaryIO:
    number = _opened(path)
    if number is None:
        return path.open("ab")
    # Opened anew it had an offset of its own, and who writes on would write over what is there.
    if sys.stdout is not None:  # it may have been closed for this process
        sys.stdout.flush()
    return os.fdopen(os.dup(number), "wb")


def _opened(path: Path) -> int | None:
    """Return the descriptor of this process that a name stands for; None: it is no such name."""
    if os.path.realpath(path.parent) == "/dev" and path.is_symlink():
        path = path.parent / path.readlink()
    own = os.path.realpath(path.parent) == os.path.realpath("/proc/self/fd")
    return int(path.name) if own and path.name.isdigit() else None


def is_special(path: Path) -> bool:
    """Tell whether there is something at the path that can be written to and is no plain file.

    A name for an open file, such as /dev/stdout or /dev/fd/3, is none, whatever is behind it.
    """
    folder = os.path.realpath(path.parent)
    opened = folder == "/dev" or folder.startswith("/proc/")
    return path.exists() and not path.is_dir() and (opened or not path.is_file())
