"""Folders that the server sends as tar archives, unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from imgq_cli.client import Client
from imgq_cli.errors import ExportFailed, UsageFault

MODEL_FILE = "model.json"

Check = Callable[[Path], None]


def check_new_folder(folder: Path) -> None:
    """Raise UsageFault unless the folder can be made; an empty one may be there."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UsageFault(f"{folder} is there already, and not empty.", hint=f"-o {folder}-2")
    if not folder.absolute().parent.is_dir():
        above = folder.absolute().parent
        raise UsageFault(f"The folder of {folder} does not exist.", hint=f"mkdir -p {above}")


def download_folder(client: Client, path: str, folder: Path, *, check: Check) -> list[str]:
    """Unpack an archive of the server to a folder and return the files' names.

    check: raises ExportFailed for a folder that is not whole.
    """
    target = folder.absolute()
    try:
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        try:
            names = _unpack(_download(client, path, staging), staging / "folder")
            check(staging / "folder")
            if target.is_dir():
                target.rmdir()
            (staging / "folder").rename(target)
        finally:
            shutil.rmtree(staging)
    except (OSError, tarfile.TarError) as error:
        why = getattr(error, "strerror", None) or error
        raise ExportFailed(
            f"{folder} was not written: {why}.", hint="the same command again"
        ) from error
    return names


def add_to_folder(client: Client, path: str, folder: Path) -> None:
    """Unpack an archive of the server into a folder that may be there; each file is whole or not.

    Files of the same names are replaced, others stay. Raises OSError, tarfile.TarError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix=".incoming-"))
    try:
        for name in _unpack(_download(client, path, staging), staging / "folder"):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            (staging / "folder" / name).replace(place)
    finally:
        shutil.rmtree(staging)


def check_artifact(digest: str) -> Check:
    """Return a check that an artifact is the one with this digest, every byte of it."""

    def check(folder: Path) -> None:
        document = (folder / MODEL_FILE).read_bytes()
        weights = json.loads(document)["weights"]
        if hashlib.sha256(document).hexdigest() == digest:
            with (folder / weights["file"]).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == weights["sha256"]:
                    return
        raise ExportFailed(
            "The model's files came damaged: their digests are others.",
            hint="the same command again",
        )

    return check


def check_nothing(folder: Path) -> None:
    """Take a folder as it came."""


def _download(client: Client, path: str, staging: Path) -> Path:
    archive = staging / "archive.tar"
    with client.download(path) as pieces, archive.open("xb") as file:
        for piece in pieces:
            file.write(piece)
    return archive


def _unpack(archive: Path, folder: Path) -> list[str]:
    folder.mkdir()
    names = []
    with tarfile.open(archive) as members:
        for member in members:
            name = PurePosixPath(member.name)
            content = members.extractfile(member) if member.isreg() else None
            if content is None or name.is_absolute() or ".." in name.parts:
                raise tarfile.TarError(f"the archive holds {member.name!r}, which is no plain file")
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with content, place.open("xb") as file:
                shutil.copyfileobj(content, file)
            names.append(member.name)
    return names
