"""What trainings leave in the data directory: reports, datasets and test pictures, by digest."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

from imgq_db.settings import Settings

DATASET_FILE = "dataset.jsonl"
FINDINGS_FILE = "findings.json"


def work_folder(settings: Settings, job: UUID) -> Path:
    """Return where a job's attempts work: a folder for each, by its token."""
    return settings.data_dir / "trainings" / str(job)


def kept_report(settings: Settings, digest: str) -> Path:
    """Return where the report with this digest lies, whether it is there or not."""
    return settings.data_dir / "reports" / digest


def kept_dataset(settings: Settings, digest: str) -> Path:
    """Return where the snapshot of the dataset with this digest lies."""
    return settings.data_dir / "datasets" / digest


def kept_pictures(settings: Settings) -> Path:
    """Return the folder below which all test pictures lie."""
    return settings.data_dir / "pictures"


def kept_picture(settings: Settings, digest: bytes) -> Path:
    """Return where the bytes of a test picture lie."""
    name = digest.hex()
    return kept_pictures(settings) / name[:2] / name


def folder_digest(folder: Path) -> str:
    """Return the sha256 over the names and contents of all files of a folder, in hex."""
    total = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as reader:
            content = hashlib.file_digest(reader, "sha256").hexdigest()
        name = os.fsencode(path.relative_to(folder).as_posix())
        total.update(b"%d:%b %b\n" % (len(name), name, content.encode()))
    return total.hexdigest()


def keep_folder(folder: Path, target: Path) -> None:
    """Copy a folder of plain files to its place, whole or not at all; one that is there stays."""
    if touch(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".incoming-"))
    try:
        for path in _files(folder):
            place = staging / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            _copy_durably(path, place)
        staging.chmod(0o755)
        try:
            staging.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def keep_picture(settings: Settings, digest: bytes, content: bytes) -> bool:
    """Write the bytes of a test picture to their place. False: they are those of another one."""
    if hashlib.sha256(content).digest() != digest:
        return False
    target = kept_picture(settings, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".incoming-", delete=False) as file:
        file.write(content)
    written = Path(file.name)
    written.chmod(0o644)
    written.replace(target)
    return True


def touch(path: Path) -> bool:
    """Make a file or folder young, so that nobody sweeps it up; False: it is not there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def remove_if(path: Path, unused: Callable[[Path], bool]) -> bool:
    """Remove a file or folder; tell whether it was.

    unused: asked once it is out of everybody's reach, and given where it is then; if it is not, it
    is put back.
    """
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=".deleted-"))
    kept, removed = aside / path.name, False
    try:
        with contextlib.suppress(FileNotFoundError):  # another process removes it
            path.rename(kept)
            removed = unused(kept)
    finally:  # also where whether it is used could not be asked
        if not removed and kept.exists() and not path.exists():
            kept.rename(path)
        shutil.rmtree(aside)
    return removed


def _files(folder: Path) -> Iterator[Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    yield from sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def _copy_durably(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
