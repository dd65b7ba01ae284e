"""Folders as tar archives, written piece by piece: the same folder gives the same bytes."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from flask import Response

MEDIA_TYPE = "application/x-tar"
PIECE_BYTES = 64 * 1024


def send_folder(folder: Path, name: str) -> Response:
    """Stream the plain files of a folder. name: the archive's, without its extension."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.tar"',
        # The folder is named by the digest of all that is in it.
        "ETag": f'"{folder.name}"',
    }
    return Response(_pieces(folder), headers=headers, content_type=MEDIA_TYPE)


def _pieces(folder: Path) -> Iterator[bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for path in sorted(files):
        yield from _entry(path, path.relative_to(folder).as_posix())
    yield bytes(2 * tarfile.BLOCKSIZE)


def _entry(path: Path, name: str) -> Iterator[bytes]:
    with path.open("rb") as reader:
        info = tarfile.TarInfo(name)
        info.size = reader.seek(0, 2)
        reader.seek(0)
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        while piece := reader.read(PIECE_BYTES):
            yield piece
        yield bytes(-info.size % tarfile.BLOCKSIZE)
