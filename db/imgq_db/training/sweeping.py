"""What no row names in the data directory, removed once nobody has touched it for long."""

import math
import time
from collections.abc import Callable, Iterator, Set
from functools import cache, partial
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from imgq_db.settings import Settings
from imgq_db.training.datasets import read_examples
from imgq_db.training.keeping import kept_dataset, kept_pictures, remove_if

#: What is registered was copied or touched minutes before; this is far beyond.
UNUSED_SECONDS = 24 * 3600.0
#: The data directory is looked through so often, by whichever process comes first.
SWEEP_SECONDS = 3600.0

_REPORTS = "SELECT report FROM model_version UNION SELECT report FROM training"
_ARTIFACTS = "SELECT digest FROM model_version"
_DATASETS = "SELECT digest FROM dataset"
#: Folders of the data directory, and what may be in them, by name.
_NAMED = {
    "reports": _REPORTS,
    "artifacts": _ARTIFACTS,
    "exports": _ARTIFACTS,
    "datasets": _DATASETS,
}
_UNUSED = """created_at < imgq_now() - make_interval(secs => :seconds)
AND NOT EXISTS (SELECT 1 FROM training WHERE dataset_digest = dataset.digest)
AND NOT EXISTS (SELECT 1 FROM model_version WHERE dataset_digest = dataset.digest)"""
_UNUSED_DATASETS = f"SELECT digest FROM dataset WHERE {_UNUSED}"
_FORGET = f"DELETE FROM dataset WHERE digest = :digest AND {_UNUSED}"


def sweep_if_due(engine: Engine, settings: Settings) -> int:
    """Sweep the data directory unless somebody did within the hour; return what was removed."""
    marker = settings.data_dir / ".swept"
    try:
        if time.time() - marker.stat().st_mtime < SWEEP_SECONDS:
            return 0
    except FileNotFoundError:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    marker.touch()
    return sweep_store(engine, settings)


def sweep_store(
    engine: Engine, settings: Settings, *, unused_seconds: float = UNUSED_SECONDS
) -> int:
    """Remove reports, artifacts, exports, datasets and test pictures that no row needs any more,
    and what a killed process had begun to copy; return how many.
    """
    before = time.time() - unused_seconds
    _forget_datasets(engine, unused_seconds)
    removed = 0
    for folder, query in _NAMED.items():
        used = partial(_names, engine, query)
        removed += _sweep_folder(settings.data_dir / folder, before, used)
    # The datasets are read once: what a training is about to name was touched just now.
    tested = cache(partial(_tested, engine, settings))
    for part in _entries(kept_pictures(settings)):
        removed += _sweep_folder(part, before, tested)
    return removed


def _sweep_folder(folder: Path, before: float, used: Callable[[], Set[str]]) -> int:
    """Remove the entries that were last touched before a time, and whose names are not in use."""
    old = [path for path in _entries(folder) if _touched_at(path) < before]
    in_use = used() if old else frozenset[str]()

    def unused(path: Path) -> bool:
        return _touched_at(path) < before and path.name not in used()

    return sum(remove_if(path, unused) for path in old if path.name not in in_use)


def _touched_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process removed it
        return math.inf


def _forget_datasets(engine: Engine, unused_seconds: float) -> None:
    """Delete the rows of datasets that no training and no version names."""
    keys = {"seconds": unused_seconds}
    with engine.connect() as connection:
        digests = list(connection.execute(text(_UNUSED_DATASETS), keys).scalars())
    for digest in digests:
        try:
            with engine.begin() as connection:
                connection.execute(text(_FORGET), {**keys, "digest": digest})
        except IntegrityError:
            continue  # somebody began to use it just now


def _names(engine: Engine, query: str) -> Set[str]:
    with engine.connect() as connection:
        return {name for name in connection.execute(text(query)).scalars() if name is not None}


def _tested(engine: Engine, settings: Settings) -> Set[str]:
    """Return the digests of all test splits, in hex. Takes some 100 bytes for each picture."""
    wanted: set[str] = set()
    for digest in _names(engine, _DATASETS):
        folder = kept_dataset(settings, digest)
        if folder.is_dir():
            examples = read_examples(folder)
            wanted.update(each.digest.hex() for each in examples if each.split == "test")
    return wanted


def _entries(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(folder.iterdir())
