"""From the PATH that a user types to the source that the server is asked for."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from imgq_cli.errors import NotFound, UsageFault

ROOT_SCHEME = "root:"


def source_uri(path: str, *, shares_disk: bool) -> str:
    """Return the URI of a folder.

    path: a local folder, or root:NAME/relative of the server, which is taken as it is.
    shares_disk: the server reads this machine's disk.
    """
    if path.startswith(ROOT_SCHEME):
        return path
    if not shares_disk:
        raise UsageFault(
            "The server does not share this machine's disk, and uploads are not available yet.",
            hint="put the folder under a root of the server and submit root:NAME/path, or add "
            "--by-reference if the server sees the same path",
        )
    return file_uri(absolute(path))


def check_source(path: str) -> None:
    """Raise NotFound or UsageFault for a local folder that is not there or cannot be listed."""
    if not path.startswith(ROOT_SCHEME):
        check_folder(absolute(path))


def absolute(path: str) -> Path:
    """Return the path made absolute; symbolic links in it stay, unless a `..` could follow one.

    Raises UsageFault for an empty path, which is nobody's way of saying `.`; NotFound where the
    current directory is gone and the path starts in it.
    """
    if not path:
        raise UsageFault(
            "The path is empty.",
            hint="set the variable that should hold it, or type . for the current directory",
        )
    joined = Path(path) if Path(path).is_absolute() else _current_directory() / path
    return joined.resolve() if ".." in joined.parts else joined


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise NotFound(
            "The current directory is gone: it was deleted or replaced.", hint='cd "$PWD"'
        ) from error


def check_folder(folder: Path) -> None:
    """Raise NotFound or UsageFault unless the folder is one and can be listed."""
    try:
        mode = folder.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"No such folder: {folder}", hint="check the path") from error
    except OSError as error:
        raise UsageFault(
            f"The folder cannot be read: {error.strerror}: {folder}",
            hint=f"ls -ld {shlex.quote(str(folder))}",
        ) from error
    if not stat.S_ISDIR(mode):
        raise UsageFault(
            f"This is a file, not a folder: {folder}",
            hint=shlex.join(
                ["imgq", "submit-folder", str(folder.parent), "--include", folder.name]
            ),
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageFault(
            f"The folder cannot be read: Permission denied: {folder}",
            hint=f"ls -ld {shlex.quote(str(folder))}",
        )


def file_uri(path: Path) -> str:
    """Return the file:// URI of an absolute path, whatever its bytes."""
    return "file://" + quote(os.fsencode(path), safe="/")


def local_folder(uri: str, roots: dict[str, Path]) -> Path | None:
    """Return the folder on this disk that a source names; None if it is not known here.

    roots: the configured roots of this machine.
    """
    if uri.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))
    name, _, rest = uri.removeprefix(ROOT_SCHEME).partition("/")
    if uri.startswith(ROOT_SCHEME) and name in roots:
        return roots[name] / os.fsdecode(unquote_to_bytes(rest))
    return None
