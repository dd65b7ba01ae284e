"""The folders that attempts work in: each attempt takes over the one before it, by a rename."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.settings import Settings
from imgq_db.training.checkpoints import Checkpoint
from imgq_db.training.keeping import work_folder
from imgq_db.training.leases import TrainingLease
from imgq_trainer.training.work_folders import drop_scratch

STATE_FILE, TENSORS_FILE = "state.json", "tensors.safetensors"
_STILL_NEEDED = """
SELECT uid FROM job WHERE uid = ANY(:uids) AND deleted_at IS NULL AND (finished_at IS NULL
    OR state <> 'succeeded' AND coalesce(CAST(options ->> 'keep_best' AS boolean), false))
"""


def take_folder(settings: Settings, lease: TrainingLease) -> Path:
    """Return this attempt's folder, with what the attempt before left in it.

    A stopped process of that attempt that wakes up writes to a path that is no longer there.
    """
    jobs_folder = work_folder(settings, lease.job_uid)
    jobs_folder.mkdir(parents=True, exist_ok=True)
    mine = jobs_folder / str(lease.token)
    older = sorted(
        (path for path in jobs_folder.iterdir() if path.name.isdigit()),
        key=lambda path: int(path.name),
    )
    for path in older[:-1]:
        shutil.rmtree(path)
    if older:
        older[-1].rename(mine)
    mine.mkdir(exist_ok=True)
    return mine


def last_whole_checkpoint(folder: Path, checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    """Return the newest checkpoint of which every byte is as it was registered.

    checkpoints: the newest first, paths relative to the folder.
    """
    return next((each for each in checkpoints if _is_whole(folder / each.path, each.sha256)), None)


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        state = (path / STATE_FILE).read_bytes()
        if hashlib.sha256(state).hexdigest() != sha256:
            return False
        with (path / TENSORS_FILE).open("rb") as tensors:
            found = hashlib.file_digest(tensors, "sha256").hexdigest()
        return bool(found == json.loads(state)["tensors_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


_KEPT = "SELECT uid FROM job WHERE uid = ANY(:uids) AND finished_at IS NOT NULL"


def sweep_folders(engine: Engine, settings: Settings) -> int:
    """Remove the folders of jobs that ended or are gone; return how many.

    A job that asked for the best so far keeps its own until it is deleted, but for caches.
    """
    top = settings.data_dir / "trainings"
    folders = {path.name: path for path in top.iterdir()} if top.is_dir() else {}
    uids = [UUID(name) for name in folders if _is_uuid(name)]
    if not uids:
        return 0
    with engine.connect() as connection:
        needed = set(connection.execute(text(_STILL_NEEDED), {"uids": uids}).scalars())
        kept = connection.execute(text(_KEPT), {"uids": list(needed)}).scalars().all()
    done_with = [uid for uid in uids if uid not in needed]
    for uid in done_with:
        shutil.rmtree(folders[str(uid)], ignore_errors=True)
    for uid in kept:
        for attempt in folders[str(uid)].iterdir():
            drop_scratch(attempt)
    return len(done_with)


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
