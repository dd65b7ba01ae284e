"""The files that breadcrumbs lie in: one for each process, locked for as long as it lives.

A lock ends with its process, whatever ends that, so a file that can be locked is a dead one's.
"""

import errno
import faulthandler
import fcntl
import mmap
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import structlog

from imgq_db.settings import Settings
from imgq_workers.breadcrumbs import Breadcrumbs, slots_for, untold_breadcrumbs
from imgq_workers.evidence import boot_id
from imgq_workers.trails import Trail, read_trail, trail_bytes

#: A file that says nothing is a process's that begins, or that died so; then it is removed.
BEGINNING_SECONDS = 3600
#: What another machine left, or this one under another name before its last start, goes after so
#: long: nobody can tell the two apart.
LEFT_SECONDS = 30 * 86_400
#: Of what a process writes when it crashes, so much is read: the rest is its threads' stacks.
FAULT_BYTES = 4096

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file of breadcrumbs. fd: open while its block runs, and locked if the process is dead."""

    path: Path
    fd: int
    dead: bool
    trail: Trail | None

    @property
    def fault_file(self) -> Path:
        return self.path.with_suffix(".fault")

    def fault(self) -> str:
        """Return what the process wrote when it crashed; most often nothing."""
        try:
            with self.fault_file.open("rb") as file:
                return file.read(FAULT_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return ""

    def remove(self) -> None:
        """Remove a dead process's files."""
        self.fault_file.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def crumb_folder(settings: Settings) -> Path:
    """Return this machine's folder: locks of others cannot be relied on."""
    return settings.data_dir / "breadcrumbs" / quote(socket.gethostname(), safe="")


def leave_breadcrumbs(
    settings: Settings, *, owner: UUID, worker: UUID, threads: int
) -> Breadcrumbs:
    """Let this process's death be explained, by any process of this machine.

    Where no file can be had, it cannot: the log says so, and all else goes on.
    """
    slots = slots_for(threads)
    try:
        memory = _open(crumb_folder(settings), owner, trail_bytes(slots))
    except OSError as error:
        _log.warning("no_breadcrumbs", why=str(error))
        return untold_breadcrumbs(owner=owner, worker=worker, threads=threads)
    return Breadcrumbs(memory, owner=owner, worker=worker, slots=slots)


def _open(folder: Path, owner: UUID, size_bytes: int) -> mmap.mmap:
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    paths, opened = [folder / f"{owner}.fault", folder / f"{owner}.crumbs"], list[int]()
    try:
        opened.append(os.open(paths[0], flags, 0o600))
        opened.append(os.open(paths[1], flags & ~os.O_APPEND, 0o600))
        memory = _fill(opened[1], size_bytes)
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        for fd in opened:
            os.close(fd)
        raise
    faulthandler.enable(opened[0])
    return memory


def _fill(crumbs: int, size_bytes: int) -> mmap.mmap:
    # Somebody who looks whether it is a dead one's may hold it for a moment.
    fcntl.flock(crumbs, fcntl.LOCK_EX)
    # On a full disk a store into a hole would end the process.
    if os.write(crumbs, bytes(size_bytes)) < size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return mmap.mmap(crumbs, size_bytes)


def find_crumbs(folder: Path) -> Iterator[Found]:
    """Yield each process's file, the dead ones' locked until the next is asked for.

    Those of another user's processes are left to that user's.
    """
    for path in sorted(folder.glob("*.crumbs")):
        with suppress(FileNotFoundError, PermissionError), _opened(path) as found:
            yield found


def find_left(settings: Settings) -> Iterator[Found]:
    """Yield the dead processes' files that lie under other names of this machine.

    A container's name may change with each start. Its kernel does not, so its locks count. What
    nobody asked for in a month is removed.
    """
    own, boot = crumb_folder(settings), boot_id()
    for folder in sorted(own.parent.glob("*/")):
        for found in () if folder == own else find_crumbs(folder):
            if not found.dead:
                continue
            if boot is not None and found.trail is not None and found.trail.boot == boot:
                yield found
            elif time.time() - os.fstat(found.fd).st_mtime > LEFT_SECONDS:
                with suppress(OSError):  # another user's: it is that user's to remove
                    found.remove()


@contextmanager
def _opened(path: Path) -> Iterator[Found]:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield Found(path, fd, _lock(fd, path), read_trail(os.pread(fd, os.fstat(fd).st_size, 0)))
    finally:
        os.close(fd)


def _lock(fd: int, path: Path) -> bool:
    """Lock a dead process's file; False: it lives, or somebody else is about to remove it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Removed by whoever had the lock before?
    return os.path.samestat(os.fstat(fd), path.stat())


def has_begun(found: Found) -> bool:
    """Tell a dead process's file from one whose process is about to lock it."""
    return found.trail is not None or (
        time.time() - os.fstat(found.fd).st_mtime > BEGINNING_SECONDS
    )
