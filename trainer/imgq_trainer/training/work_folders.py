"""A training's work folder: what of it is worth its space, and when."""

import shutil
from collections.abc import Iterable
from pathlib import Path

#: What a training computes to work with. Whoever goes on from a checkpoint computes it again.
SCRATCH = ("cache", "models", "unjudged", "probe")
#: What an attempt that was killed at its end leaves; the next one writes it again.
RESULTS = ("artifact", "report", "unjudged", "probe")
#: What is being written, or replaced, is hidden until it is whole.
HALF_WRITTEN = (".*.new", ".*.old")


def drop_scratch(folder: Path) -> None:
    """Remove what nobody needs once the training is done, or is over."""
    _remove(folder / name for name in SCRATCH)


def drop_results(folder: Path) -> None:
    """Remove what an attempt before this one had brought to its end, or nearly."""
    _remove(folder / name for name in RESULTS)
    _remove(path for pattern in HALF_WRITTEN for path in folder.glob(pattern))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
