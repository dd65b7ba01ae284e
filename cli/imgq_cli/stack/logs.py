"""Log files of the children: reading the end, and keeping them small."""

import errno
import os
import shutil
from pathlib import Path

MAX_LOG_BYTES = 10_000_000
KEPT_LOGS = 3


def log_size(log: Path) -> int:
    """Return the size in bytes; 0 when there is no such file."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def last_lines(log: Path, *, count: int = 15, since_bytes: int = 0) -> str:
    """Return the last lines that were written after the offset, without the final newline."""
    size = log_size(log)
    if size == 0:
        return ""
    start = since_bytes if since_bytes <= size else 0  # cut meanwhile
    with log.open("rb") as file:
        file.seek(max(start, size - 64_000))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-count:])


def rotate(log: Path, *, max_bytes: int = MAX_LOG_BYTES, keep: int = KEPT_LOGS) -> bool:
    """Move a large log's content to LOG.1 and cut it, while its writer goes on; tell if done.

    The writer appends to the same file all along, so it never blocks and needs no pipe to us.
    """
    if log_size(log) <= max_bytes:
        return False
    for number in range(keep - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    first = log.with_name(f"{log.name}.1")
    try:
        with log.open("rb") as source, open(first, "wb", opener=_private) as copy:
            shutil.copyfileobj(source, copy)
            shutil.copyfileobj(source, copy)  # what was written during the first pass
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        first.unlink()  # a full disk needs the room more than the old lines
    os.truncate(log, 0)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
