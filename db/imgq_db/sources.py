"""Where a job's images are: source URIs, and which folder of this machine they mean."""

import os
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from imgq_db.errors import SourceInvalid, SourceNotAllowed
from imgq_db.settings import Settings

#: What `job.root` holds for file:// sources; no configured root can be called so.
FILE_ROOT = "file:"
#: The same for what is in the data directory, which every trainer has; nobody can submit it.
REGISTRY_ROOT = "registry:"


def folder_uri(folder: Path) -> str:
    """Return the file:// URI of an absolute folder, whatever bytes its name holds."""
    return "file://" + quote_from_bytes(os.fsencode(folder))


def check_source(uri: str, settings: Settings) -> str:
    """Return the root that a worker needs for this source.

    Checks the syntax and what this server allows, not whether the folder exists.
    Raises SourceInvalid, SourceNotAllowed.
    """
    if uri.startswith("file://"):
        _file_path(uri)
        if not settings.local_files:
            raise SourceNotAllowed(
                "This server does not read file:// sources.", _roots_hint(settings)
            )
        return FILE_ROOT
    name, _ = _split_root(uri)
    if name not in settings.roots:
        raise SourceNotAllowed(f"This server has no root called {name!r}.", _roots_hint(settings))
    return name


def source_folder(uri: str, settings: Settings) -> Path:
    """Return the folder of this machine that the source means, whether it is there or not.

    Below a root links are resolved, so that none leads out of it.
    Raises SourceInvalid, SourceNotAllowed.
    """
    root = check_source(uri, settings)
    if root == FILE_ROOT:
        return _file_path(uri)
    _, relative = _split_root(uri)
    top = settings.roots[root].resolve()
    folder = (top / os.fsdecode(relative)).resolve()
    if not folder.is_relative_to(top):
        raise SourceNotAllowed(
            f"{uri!r} leads out of its root by a link.", "Name a folder inside the root."
        )
    return folder


def check_file(name: str, settings: Settings) -> None:
    """Check a file that a training names, as `check_source` does a folder.

    Raises SourceInvalid, SourceNotAllowed.
    """
    uri = _file_uri(name)
    if uri.startswith("file://") and not settings.local_files:
        raise SourceNotAllowed(
            f"This server does not read {name!r}: it is below none of its roots.",
            _roots_hint(settings),
        )
    check_source(uri, settings)


def named_file(name: str, settings: Settings) -> Path:
    """Return the file of this machine that /absolute/path or root:NAME/path means.

    Below a root links are resolved, so that none leads out of it.
    Raises SourceInvalid, SourceNotAllowed.
    """
    check_file(name, settings)
    return source_folder(_file_uri(name), settings)


def source_place(uri: str) -> bytes:
    """Return what a file's name is put behind, with a slash, to know the file in later jobs.

    The same for a folder and a sub-folder of it that was submitted apart. Links are not resolved:
    what is reached in two ways is known twice. Raises SourceInvalid.
    """
    if uri.startswith("file://"):
        scheme, path = FILE_ROOT.encode(), os.fsencode(_file_path(uri))
    else:
        name, path = _split_root(uri)
        scheme = b"root:" + os.fsencode(name)
    return b"/".join([scheme, *(step for step in path.split(b"/") if step not in (b"", b"."))])


def readable_roots(settings: Settings) -> tuple[str, ...]:
    """Return the values of `job.root` that a process with these settings can read."""
    return (*((FILE_ROOT,) if settings.local_files else ()), *sorted(settings.roots))


def _file_uri(name: str) -> str:
    if name.startswith("root:"):
        return name
    if not name.startswith("/"):
        raise SourceInvalid(
            f"{name!r} is no absolute path.", "Write /absolute/path or root:NAME/relative/path."
        )
    try:
        return folder_uri(Path(name))
    except UnicodeEncodeError as error:
        raise SourceInvalid(f"{name!r} holds half a character.", "No file is called so.") from error


def _file_path(uri: str) -> Path:
    path = _unquote(uri.removeprefix("file://"), uri)
    if not path.startswith(b"/") or path.startswith(b"//"):
        raise SourceInvalid(
            f"{uri!r} names no absolute path of this host.", "Write file:///absolute/path."
        )
    _check_parts(path, uri)
    return Path(os.fsdecode(path))


def _split_root(uri: str) -> tuple[str, bytes]:
    scheme, colon, rest = uri.partition(":")
    name, _, relative = rest.partition("/")
    if scheme != "root" or not colon or not name:
        raise SourceInvalid(
            f"{uri!r} is no source.", "Write file:///absolute/path or root:NAME/relative/path."
        )
    path = _unquote(relative, uri)
    _check_parts(path, uri)
    return name, path.strip(b"/")


def _unquote(quoted: str, uri: str) -> bytes:
    try:
        return unquote_to_bytes(quoted)
    except UnicodeEncodeError as error:
        raise SourceInvalid(
            f"{uri!r} holds half a character.", "Percent-encode what is no UTF-8."
        ) from error


def _check_parts(path: bytes, uri: str) -> None:
    if b"\0" in path or b".." in path.split(b"/"):
        raise SourceInvalid(f"{uri!r} holds '..' or a NUL.", "Name the folder itself.")


def _roots_hint(settings: Settings) -> str:
    names = ", ".join(f"root:{name}/" for name in sorted(settings.roots))
    if names:
        return f"It reads {names} and the folders below."
    return "Its operator can allow folders with IMGQ_ROOTS=NAME=/path."
