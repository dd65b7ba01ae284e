"""Walking a folder: every file once, in one fixed order, from any point on. Any file name."""

import os
from collections.abc import Callable, Iterator

_FILE, _FOLDER, _END = 0, 1, 2
_Key = tuple[tuple[int, bytes], ...]


def walk(
    root: bytes,
    *,
    recursive: bool = True,
    after: bytes | None = None,
    within: bytes = b"",
    left_out: Callable[[int], None] = lambda _links: None,
) -> Iterator[bytes]:
    """Yield the paths of all files below root, relative to it, as raw bytes.

    In each folder the files come first, then the sub-folders, both in byte order. Links to
    folders are never followed and yield nothing. A sub-folder that cannot be read is yielded
    itself, with a / at its end.
    after: a path that was yielded before: go on behind it. Behind a folder is behind all that is
    in it. A folder that was read up to there, and cannot be any more, is yielded itself, too.
    within: a sub-folder's path, with a / at its end: only what is in it.
    left_out: is told how many links to folders a folder holds.
    Only one folder's names are in memory at a time, and the folders still to visit.
    Raises OSError if root itself cannot be read.
    """
    seen = None if after is None else walk_key(after)
    folders = [within]
    while folders:
        folder = folders.pop()
        try:
            files, below, links = _scan(root + b"/" + folder)
        except OSError:
            if not folder:
                raise
            if seen is None or walk_key(folder) > seen:
                yield folder
            continue
        if recursive and links:
            left_out(links)
        for name in files:
            path = folder + name
            if seen is None or walk_key(path) > seen:
                yield path
        if recursive:
            paths = (folder + name + b"/" for name in reversed(below))
            folders.extend(path for path in paths if seen is None or _may_hold_more(path, seen))


def walk_key(path: bytes) -> _Key:
    """Return a key that sorts paths in walk order; that of a folder ends what is in it."""
    *parents, name = path.split(b"/")
    last = (_FILE, name) if name else (_END, b"")
    return *((_FOLDER, parent) for parent in parents), last


def _scan(folder: bytes) -> tuple[list[bytes], list[bytes], int]:
    """Return a folder's files and sub-folders, and the number of links to folders in it."""
    files, folders, links = [], [], 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_symlink() and _leads_to_folder(entry):
                links += 1
            else:
                files.append(entry.name)
    return sorted(files), sorted(folders), links


def _leads_to_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links: reading it will say what is wrong
        return False


def _may_hold_more(folder: bytes, seen: _Key) -> bool:
    *key, _ = walk_key(folder)
    return tuple(key) > seen or seen[: len(key)] == tuple(key)
