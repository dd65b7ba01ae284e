"""One file's bytes and digest, read once, and only from inside the folder that was asked for."""

import errno
import fcntl
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from imgq_trainer.errors import RootUnavailable
from imgq_trainer.formats import has_image_extension
from imgq_trainer.outcomes import Code, Rejection, Stamp, failed, skipped

#: without O_NONBLOCK a named pipe would hold the reader until somebody writes to it
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
DESKTOP_FILES = frozenset({b"thumbs.db", b"desktop.ini"})
#: not the file's fault: the process or the machine has run out of something
OUR_FAULTS = frozenset({errno.EMFILE, errno.ENFILE})

_BY_ERRNO = {
    errno.ENOENT: (Code.VANISHED, "there is no such file any more"),
    errno.ENOTDIR: (Code.VANISHED, "there is no such file any more"),
    errno.ESTALE: (Code.VANISHED, "there is no such file any more"),
    errno.ENXIO: (Code.NOT_REGULAR_FILE, "it is a socket or a device"),
    errno.ENODEV: (Code.NOT_REGULAR_FILE, "it is a socket or a device"),
    errno.EISDIR: (Code.NOT_REGULAR_FILE, "it is a directory"),
    errno.ENOMEM: (Code.OUT_OF_MEMORY, "there was no memory to read it"),
}


@dataclass(frozen=True, slots=True)
class Root:
    """An open folder; names are looked up from it, so that renaming it changes nothing."""

    fd: int
    path: Path


@dataclass(frozen=True, slots=True)
class Found:
    """An open file that may be read, once; leaving its with block closes it."""

    file: BinaryIO
    stamp: Stamp

    @property
    def size_bytes(self) -> int:
        return self.stamp.size_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@dataclass(frozen=True, slots=True)
class Content:
    data: bytes
    #: sha256 of data
    digest: bytes


@contextmanager
def open_root(root: Path) -> Iterator[Root]:
    """Open a folder to read files from. Raises RootUnavailable."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RootUnavailable(root, error.strerror or "unknown error") from error
    try:
        yield Root(fd, root.absolute())
    finally:
        os.close(fd)


def find(root: Root, name: bytes, *, max_file_bytes: int) -> Found | Rejection:
    """Open a file by its name relative to the root, or say why it is not to be read.

    Raises OSError only if the process has too many files open.
    """
    if is_hidden(name):
        return skipped(Code.NOT_AN_IMAGE, "hidden file")
    if name.endswith(b"/"):
        return failed(Code.UNREADABLE, "the directory cannot be listed")
    if not name or b"\0" in name:
        return failed(Code.UNREADABLE, "no file can have this name")
    try:
        fd = _open(root, name)
    except OSError as error:
        return _reject(error)
    found = _inspect(root, fd, name, max_file_bytes)
    if isinstance(found, Rejection):
        os.close(fd)
    return found


def read(found: Found) -> Content | Rejection:
    """Return the whole file, if it is still the one that was found."""
    try:
        data = found.file.read(found.size_bytes + 1)
        after = os.fstat(found.file.fileno())
    except OSError as error:
        return _reject(error)
    except MemoryError:
        return failed(Code.OUT_OF_MEMORY, "there was no memory to read it")
    size_bytes, modified_ns = found.size_bytes, found.stamp.modified_ns
    if (len(data), after.st_size, after.st_mtime_ns) != (size_bytes, size_bytes, modified_ns):
        return failed(Code.CHANGED, "it changed while it was read")
    return Content(data, hashlib.sha256(data).digest())


def is_hidden(name: bytes) -> bool:
    """Tell whether a file is there for a program, not for people."""
    steps = name.split(b"/")
    return any(step.startswith(b".") for step in steps) or steps[-1].lower() in DESKTOP_FILES


def _open(root: Root, name: bytes) -> int:
    try:
        return os.open(name, OPEN_FLAGS, dir_fd=root.fd)
    except BlockingIOError:
        # A file server holds a write lease. It has just been asked for it, and gives it up, or the
        # kernel takes it away (45 s): that is waited for, as whoever opens a file does.
        if not stat.S_ISREG(os.stat(name, dir_fd=root.fd).st_mode):
            raise
        return os.open(name, OPEN_FLAGS & ~os.O_NONBLOCK, dir_fd=root.fd)


def _inspect(root: Root, fd: int, name: bytes, max_file_bytes: int) -> Found | Rejection:
    try:
        status = os.fstat(fd)
        inside = _is_inside(root, fd, name, status)
    except OSError as error:
        return _reject(error)
    if not inside:
        return skipped(Code.OUTSIDE_ROOT, "a link leads out of the folder")
    if not stat.S_ISREG(status.st_mode):
        return _no_picture(name, Code.NOT_REGULAR_FILE, "it is not a regular file")
    if status.st_size == 0:
        return _no_picture(name, Code.EMPTY_FILE, "it has no content")
    if status.st_size > max_file_bytes:
        return failed(
            Code.TOO_LARGE, f"{status.st_size} bytes, over the limit of {max_file_bytes} bytes"
        )
    stamp = Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return Found(os.fdopen(fd, "rb"), stamp)


def _no_picture(name: bytes, code: Code, detail: str) -> Rejection:
    """Fail what claims to be a picture, and skip the rest: an empty lock file fails nothing."""
    return failed(code, detail) if has_image_extension(name) else skipped(code, detail)


def _is_inside(root: Root, fd: int, name: bytes, status: os.stat_result) -> bool:
    """Ask where the open file really is: its name may lead through a link, or did a moment ago."""
    top, place = _location(root.fd), _location(fd)
    if top is None or place is None:
        real = Path(root.path, os.fsdecode(name)).resolve()
        if not os.path.samestat(status, real.stat()):
            return False
        top, place = bytes(root.path.resolve()), bytes(real)
    return place.startswith(top.rstrip(b"/") + b"/")


def _location(fd: int) -> bytes | None:
    if sys.platform == "darwin":
        return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")
    try:
        return os.readlink(b"/proc/self/fd/%d" % fd)  # noqa: PTH115 asked for every file
    except FileNotFoundError:  # no /proc here
        return None


def _reject(error: OSError) -> Rejection:
    if error.errno in OUR_FAULTS:
        raise error
    known = _BY_ERRNO.get(error.errno or 0)
    if known is not None:
        return failed(*known)
    return failed(Code.UNREADABLE, (error.strerror or "unknown error").lower())
