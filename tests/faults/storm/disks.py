"""A small disk of its own for a stack, that can be filled up: a tmpfs, where we may mount one."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Room for a storm's database and its write-ahead log.
SIZE = "3g"
#: Zero would mean no limit.
LEAST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that ends where what lies on it ends, once it is full."""

    place: Path

    def fill(self) -> bool:
        """Leave not a byte free. False: somebody wrote just now."""
        found = os.statvfs(self.place)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        return self._resize(str(max(used, LEAST_BYTES)))

    def free(self) -> bool:
        """Make room again."""
        return self._resize(SIZE)

    def _resize(self, size: str) -> bool:
        return _runs("mount", "-o", f"remount,size={size}", str(self.place))


@contextlib.contextmanager
def small_disk(place: Path, *, keep: list[bool]) -> Iterator[Disk | None]:
    """Mount a disk on a folder; None: this account may not. It is gone afterwards.

    keep: holds something if what lies on it is to be copied into the folder at the end.
    """
    place.mkdir(mode=0o711)
    disk = Disk(place)
    options = f"size={SIZE},mode=0711"
    if not _runs("mount", "-t", "tmpfs", "-o", options, "imgq-storm", str(place)):
        yield None
        return
    try:
        yield disk
    finally:
        disk.free()
        copy = place.with_name(f"{place.name}.kept")
        if keep:
            shutil.copytree(place, copy, symlinks=True, ignore_dangling_symlinks=True)
        gone = _runs("umount", str(place)) or _runs("umount", "-l", str(place))
        if gone and keep:
            place.rmdir()
            copy.rename(place)


def _runs(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
