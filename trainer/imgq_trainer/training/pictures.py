"""Pictures as networks see them, by number: decoded once into a file, or again at each use."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.values import Example
from imgq_trainer.datasets.verifying import read_example
from imgq_trainer.decoding import prepare_pillow
from imgq_trainer.errors import Stopped
from imgq_trainer.file_pixels import Decoder, ReadLimits
from imgq_trainer.outcomes import Rejection
from imgq_trainer.pipeline import STOP_CHECK_SECONDS
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.reading import Root, open_root
from imgq_trainer.training.errors import PictureUnreadable

T = TypeVar("T")
Stop = Callable[[], bool]
#: told how many pictures are done, and of how many
Progress = Callable[[int, int], None]
#: pictures that a thread decodes at a time
RUN = 32


class Pictures(Protocol):
    """how: resize is the side of a picture here, crop the part in its centre that is served."""

    @property
    def how(self) -> Preprocessing: ...

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int]) -> Pixels:
        """Return pictures by their numbers: (B, resize, resize, 3); safe to call in threads."""


@dataclass(frozen=True, slots=True)
class DecodedPictures:
    """Files that are decoded whenever they are asked for."""

    how: Preprocessing
    root: Root
    examples: Sequence[Example]
    limits: ReadLimits
    crew: Crew

    def __len__(self) -> int:
        return len(self.examples)

    def take(self, rows: Sequence[int]) -> Pixels:
        """Raises DatasetChanged, PictureUnreadable."""
        return np.stack([self._one(self.examples[row]) for row in rows])

    def _one(self, example: Example) -> Pixels:
        data = read_example(self.root, example)
        whole = replace(self.how, crop=self.how.resize)
        decoder = Decoder(whole, False, self.limits.max_pixels, self.crew.pictures)
        pixels = decoder.pixels(data, example.path)
        if isinstance(pixels, Rejection):  # its bytes were sound when the dataset was made
            raise PictureUnreadable(example.path, pixels.detail)
        return pixels


@dataclass(frozen=True, slots=True)
class StoredPictures:
    how: Preprocessing
    #: (N, resize, resize, 3), in a file
    pixels: Pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: Sequence[int]) -> Pixels:
        return self.pixels[np.asarray(rows, np.int64)]


@contextmanager
def decoded_pictures(
    root: Path, examples: Sequence[Example], how: Preprocessing, limits: ReadLimits, crew: Crew
) -> Iterator[DecodedPictures]:
    """Open the folder for as long as pictures are taken. Raises RootUnavailable."""
    prepare_pillow(limits.max_pixels)
    with open_root(root) as folder:
        yield DecodedPictures(how, folder, examples, limits, crew)


def stored_bytes(count: int, how: Preprocessing) -> int:
    """Return the size of the file that store_pictures writes."""
    return count * how.resize**2 * 3


def store_pictures(
    source: DecodedPictures, folder: Path, stop: Stop, progress: Progress
) -> StoredPictures:
    """Decode every picture once into a file, or find the file of an earlier run.

    Raises DatasetChanged, PictureUnreadable, Stopped, OSError if the disk is full.
    """
    side = source.how.resize
    shape = (len(source), side, side, 3)
    path = _stored_path(source.examples, source.how, folder)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        space = np.lib.format.open_memmap(fresh, "w+", np.uint8, shape)
        _reserve(fresh)
        for rows, pixels in in_runs(source.take, len(source), RUN, source.crew, stop):
            space[rows.start : rows.stop] = pixels
            progress(rows.stop, len(source))
        space.flush()
        fresh.replace(path)
    return StoredPictures(source.how, np.load(path, mmap_mode="r"))


def find_stored(
    examples: Sequence[Example], how: Preprocessing, folder: Path
) -> StoredPictures | None:
    """Return what store_pictures has stored of these pictures in this way, None if nothing."""
    path = _stored_path(examples, how, folder)
    return StoredPictures(how, np.load(path, mmap_mode="r")) if path.exists() else None


def in_runs(
    work: Callable[[range], T], count: int, size: int, crew: Crew, stop: Stop
) -> Iterator[tuple[range, T]]:
    """Yield what each run of numbers below count comes to, in order; the crew's threads work.

    Raises Stopped, and what the work raises.
    """
    runs = deque(range(at, min(at + size, count)) for at in range(0, count, size))
    given_up = threading.Event()

    def guarded(run: range) -> T:
        if given_up.is_set():
            raise Stopped
        return work(run)

    underway: deque[tuple[range, Future[T]]] = deque()
    try:
        while runs or underway:
            while runs and len(underway) < crew.runs_underway:
                run = runs.popleft()
                underway.append((run, crew.threads.submit(guarded, run)))
            run, future = underway[0]
            yield run, _result(future, stop)
            underway.popleft()
    finally:
        given_up.set()
        wait([future for _, future in underway if not future.cancel()])


def identity(examples: Sequence[Example], how: Preprocessing) -> str:
    """Return a name for these pictures seen in this way."""
    digest = hashlib.sha256(repr((how.resize, how.fit, how.interpolation)).encode())
    for example in examples:
        digest.update(example.digest)
    return digest.hexdigest()[:16]


def _stored_path(examples: Sequence[Example], how: Preprocessing, folder: Path) -> Path:
    return folder / f"pictures-{identity(examples, how)}.npy"


def _reserve(path: Path) -> None:
    """Let a file have all of its space. Else a disk that runs full ends the process by SIGBUS."""
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _result(future: Future[T], stop: Stop) -> T:
    while not stop():
        if future.done():
            return future.result()
        wait([future], timeout=STOP_CHECK_SECONDS)
    raise Stopped
