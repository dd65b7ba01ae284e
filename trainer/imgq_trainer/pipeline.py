"""Files to outcomes: every thread reads, decodes and computes its own few pictures."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imgq_trainer.classifier import Classifier
from imgq_trainer.decoding import decode_pixels, prepare_pillow, read_header
from imgq_trainer.engines import EXACT
from imgq_trainer.errors import Stopped
from imgq_trainer.memory import MemoryBudget
from imgq_trainer.outcomes import Code, Outcome, Prediction, Rejection, failed
from imgq_trainer.plain_jpeg import PlainJpeg, decode_jpeg, scan_jpeg
from imgq_trainer.preprocessing import Pixels, array_to_pixels, to_pixels
from imgq_trainer.ranking import best_first
from imgq_trainer.reading import Content, Root, find, open_root, read

#: what the files' bytes, and their decoded pictures, may take at a time
FILES_BUDGET_BYTES = 256 << 20
PICTURES_BUDGET_BYTES = 768 << 20
#: how many runs of pictures may be underway for each thread
RUNS_AHEAD = 3
#: A picture that is not computed exactly may be shrunk while it is decoded, to no less than so
#: many times the size that it is then resized to: on photos of 12 megapixels, that moved
#: no more than 0.3 of 255 levels in the mean.
SHRINK_TO = 2
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
    pool: ThreadPoolExecutor | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Outcome]:
    """Yield exactly one outcome per name, in order; a file's fault is an outcome, never raised.

    names: paths relative to root, raw bytes, '/'-separated; one that ends in '/' is a directory
    that could not be listed. batch_size: how many pictures a thread takes at once, at most.
    decode_threads: None for as many as the classifier has. pool: threads to share with another
    call, so that its pictures are begun while the last ones of this are computed. stop is asked in
    the calling thread, at least once a batch. Closing the iterator ends its work and its threads.
    Raises Stopped, RootUnavailable, ScoresNotFinite.
    """
    if top_k < 1 or batch_size < 1:
        raise ValueError("top_k and batch_size must be at least 1")
    prepare_pillow(limits.max_pixels)
    size, count = min(batch_size, classifier.tile), decode_threads or classifier.threads
    with ExitStack() as stack:
        folder = stack.enter_context(open_root(root))
        budgets = MemoryBudget(FILES_BUDGET_BYTES), MemoryBudget(PICTURES_BUDGET_BYTES)
        hand = _Hand(folder, classifier, limits, top_k, *budgets)
        threads = pool or stack.enter_context(ThreadPoolExecutor(count, "classify"))
        underway: deque[Future[list[Outcome]]] = deque()
        stack.callback(_give_up, underway)
        stack.callback(hand.close)  # before what is underway is waited for
        start = 0
        while start < len(names) or underway:
            while start < len(names) and len(underway) < RUNS_AHEAD * count:
                underway.append(threads.submit(hand.classify, names[start : start + size]))
                start += size
            yield from _result(underway[0], stop)
            underway.popleft()


@dataclass(frozen=True, slots=True)
class _Hand:
    """What each thread does, and what they share."""

    root: Root
    classifier: Classifier
    limits: ReadLimits
    top_k: int
    files_budget: MemoryBudget
    pictures_budget: MemoryBudget

    def classify(self, names: Sequence[bytes]) -> list[Outcome]:
        """Read, decode and compute some files, one after the other."""
        files = [self._prepare(name) for name in names]
        pictures = [file.pixels for file in files if isinstance(file, _Prepared)]
        if not pictures:
            return [file for file in files if isinstance(file, Rejection)]
        rows = iter(self.classifier.probabilities(np.stack(pictures)))
        return [
            file
            if isinstance(file, Rejection)
            else Prediction(file.digest, *best_first(next(rows), self.top_k))
            for file in files
        ]

    def close(self) -> None:
        self.files_budget.close()
        self.pictures_budget.close()

    def _prepare(self, name: bytes) -> _Prepared | Rejection:
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

    # A thread that holds pictures never waits for files: the two budgets cannot lock up.

    def _decode(self, content: Content, name: bytes) -> Pixels | Rejection:
        jpeg = scan_jpeg(content.data)
        if jpeg is not None and jpeg.width * jpeg.height <= self.limits.max_pixels:
            pixels = self._decode_jpeg(jpeg)
            if pixels is not None:
                return pixels
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

    def _decode_jpeg(self, jpeg: PlainJpeg) -> Pixels | None:
        how = self.classifier.preprocessing
        least_side = None if self.classifier.precision == EXACT else SHRINK_TO * how.resize
        with self.pictures_budget.reserve(jpeg.memory_bytes(least_side)):
            picture = decode_jpeg(jpeg, least_side)
            return None if picture is None else array_to_pixels(picture, how)


def _give_up(underway: Iterable[Future[list[Outcome]]]) -> None:
    wait([future for future in underway if not future.cancel()])


def _result(future: Future[list[Outcome]], stop: Callable[[], bool]) -> list[Outcome]:
    while not stop():
        if future.done():
            return future.result()
        wait([future], timeout=STOP_CHECK_SECONDS)
    raise Stopped
