"""A file that appears whole or not at all, whoever else writes there at the same time."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its place at the path once the block has ended well.

    Until then it has a name of its own in the same folder. A symbolic link is written through,
    and a file that was there hands its mode on. A pipe, a device or what this process has open
    (/dev/stdout) is written to as it is, behind what is there. Raises OSError.
    """
    if is_special(path):
        with path.open("ab") as file:
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


def is_special(path: Path) -> bool:
    """Tell whether there is something at the path that can be written to and is no plain file.

    A name for an open file, such as /dev/stdout or /dev/fd/3, is none, whatever is behind it.
    """
    folder = os.path.realpath(path.parent)
    opened = folder == "/dev" or folder.startswith("/proc/")
    return path.exists() and not path.is_dir() and (opened or not path.is_file())
