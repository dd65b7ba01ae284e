"""Files to outcomes: some threads read and decode ahead while others compute."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from imgq_trainer.classifier import Classifier, Probabilities, usable_cores
from imgq_trainer.decoding import decode_pixels, prepare_pillow, read_header
from imgq_trainer.errors import Stopped
from imgq_trainer.memory import MemoryBudget
from imgq_trainer.outcomes import Code, Outcome, Prediction, Rejection, failed
from imgq_trainer.preprocessing import Pixels, to_pixels
from imgq_trainer.reading import Content, Root, find, open_root, read

#: what the files' bytes, and their decoded pictures, may take at a time
FILES_BUDGET_BYTES = 256 << 20
PICTURES_BUDGET_BYTES = 768 << 20
#: how many batches may be underway in each of the two steps
BATCHES_AHEAD = 2
T = TypeVar("T")
#: how long a slow picture may keep stop() from being asked
STOP_CHECK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ReadLimits:
    max_pixels: int
    max_file_bytes: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A picture that is ready to be computed."""

    digest: bytes
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class _Computing:
    """A batch whose pictures are being computed, tile by tile, in their order."""

    files: list[_Prepared | Rejection]
    tiles: list[Future[Probabilities]]


def never() -> bool:
    return False


def classify_files(
    classifier: Classifier,
    root: Path,
    names: Sequence[bytes],
    *,
    top_k: int,
    limits: ReadLimits,
    batch_size: int = 32,
    decode_threads: int | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Outcome]:
    """Yield exactly one outcome per name, in order; a file's fault is an outcome, never raised.

    names: paths relative to root, raw bytes, '/'-separated; one that ends in '/' is a directory
    that could not be listed. decode_threads: None for one per usable core. stop is asked in the
    calling thread, at least once a batch. Closing the iterator ends its threads.
    Raises Stopped, RootUnavailable, ScoresNotFinite.
    """
    if top_k < 1 or batch_size < 1:
        raise ValueError("top_k and batch_size must be at least 1")
    prepare_pillow(limits.max_pixels)
    with ExitStack() as stack:
        reader = _Reader(
            stack.enter_context(open_root(root)),
            classifier,
            limits,
            MemoryBudget(FILES_BUDGET_BYTES),
            MemoryBudget(PICTURES_BUDGET_BYTES),
        )
        decoders = _threads(stack, "decode", decode_threads or usable_cores())
        computers = _threads(stack, "compute", classifier.threads)
        stack.callback(reader.close)  # before the threads are waited for
        waiting: deque[list[Future[_Prepared | Rejection]]] = deque()
        computing: deque[_Computing] = deque()
        start = 0
        while start < len(names) or waiting or computing:
            while start < len(names) and len(waiting) < BATCHES_AHEAD:
                batch = names[start : start + batch_size]
                waiting.append([decoders.submit(reader.prepare, name) for name in batch])
                start += batch_size
            if waiting:
                files = list(_results(waiting.popleft(), stop))
                computing.append(_compute(computers, classifier, files))
            if len(computing) >= BATCHES_AHEAD or not waiting:
                yield from _outcomes(computing.popleft(), top_k, stop)


@dataclass(frozen=True, slots=True)
class _Reader:
    """What decoding threads share."""

    root: Root
    classifier: Classifier
    limits: ReadLimits
    files_budget: MemoryBudget
    pictures_budget: MemoryBudget

    def prepare(self, name: bytes) -> _Prepared | Rejection:
        """Read and decode one file into the network's pixels."""
        found = find(self.root, name, max_file_bytes=self.limits.max_file_bytes)
        if isinstance(found, Rejection):
            return found
        with found, self.files_budget.reserve(found.size_bytes):
            content = read(found)
            if isinstance(content, Rejection):
                return content
            pixels = self._decode(content, name)
        if isinstance(pixels, Rejection):
            return replace(pixels, digest=content.digest)
        return _Prepared(content.digest, pixels)

    def close(self) -> None:
        self.files_budget.close()
        self.pictures_budget.close()

    def _decode(self, content: Content, name: bytes) -> Pixels | Rejection:
        # A thread that holds pictures never waits for files: the two budgets cannot lock up.
        header = read_header(content.data, name, max_pixels=self.limits.max_pixels)
        if isinstance(header, Rejection):
            return header
        with self.pictures_budget.reserve(header.memory_bytes):
            picture = decode_pixels(header)
            if isinstance(picture, Rejection):
                return picture
            try:
                return to_pixels(picture, self.classifier.preprocessing)
            except MemoryError:
                return failed(Code.OUT_OF_MEMORY, "there was no memory to resize it")


def _threads(stack: ExitStack, name: str, count: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)
    return pool


def _compute(
    pool: ThreadPoolExecutor, classifier: Classifier, files: list[_Prepared | Rejection]
) -> _Computing:
    pictures = [file.pixels for file in files if isinstance(file, _Prepared)]
    tiles = [
        np.stack(pictures[at : at + classifier.tile])
        for at in range(0, len(pictures), classifier.tile)
    ]
    return _Computing(files, [pool.submit(classifier.probabilities, tile) for tile in tiles])


def _results(futures: Sequence[Future[T]], stop: Callable[[], bool]) -> Iterator[T]:
    for future in futures:
        while not future.done():
            if stop():
                raise Stopped
            wait([future], timeout=STOP_CHECK_SECONDS)
        yield future.result()
    if stop():
        raise Stopped


def _outcomes(batch: _Computing, top_k: int, stop: Callable[[], bool]) -> Iterator[Outcome]:
    rows = iter([row for tile in _results(batch.tiles, stop) for row in tile])
    for file in batch.files:
        if isinstance(file, Rejection):
            yield file
            continue
        scores = next(rows)
        top = np.argsort(-scores, kind="stable")[:top_k]  # of equal scores, the lower index first
        yield Prediction(file.digest, tuple(top.tolist()), tuple(scores[top].tolist()))
