"""Listed files into samples, read once each: digest, decode check and fingerprint."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.fingerprints import Fingerprint, fingerprint
from imgq_trainer.decoding import prepare_pillow
from imgq_trainer.errors import Stopped
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.outcomes import Rejection
from imgq_trainer.pipeline import STOP_CHECK_SECONDS
from imgq_trainer.reading import Found, Root, find, open_root, read

#: how many files a thread takes at once
RUN = 16


class Sample(NamedTuple):
    """A file that is a sound picture. digest: sha256 of its bytes."""

    digest: bytes
    fingerprint: Fingerprint


def scan_files(
    root: Path,
    names: Sequence[bytes],
    *,
    limits: ReadLimits,
    crew: Crew,
    stop: Callable[[], bool],
) -> Iterator[Sample | Rejection]:
    """Yield what each file is, in order; a file's fault is a rejection, never raised.

    names: as for classify_files. stop is asked in the calling thread. Closing the iterator ends
    its work. Raises Stopped, RootUnavailable.
    """
    prepare_pillow(limits.max_pixels)
    given_up = threading.Event()
    runs = (names[at : at + RUN] for at in range(0, len(names), RUN))
    underway: deque[Future[list[Sample | Rejection]]] = deque()
    with open_root(root) as folder:
        eye = _Eye(folder, limits, crew, given_up)
        try:
            for run in runs:
                underway.append(crew.threads.submit(eye.look, run))
                if len(underway) == crew.runs_underway:
                    yield from _result(underway[0], stop)
                    underway.popleft()
            while underway:
                yield from _result(underway[0], stop)
                underway.popleft()
        finally:
            given_up.set()
            wait([future for future in underway if not future.cancel()])


@dataclass(frozen=True, slots=True)
class _Eye:
    """What each thread does, and what they share."""

    root: Root
    limits: ReadLimits
    crew: Crew
    given_up: threading.Event

    def look(self, names: Sequence[bytes]) -> list[Sample | Rejection]:
        seen = []
        for name in names:
            if self.given_up.is_set():
                raise Stopped
            seen.append(self._look(name))
        return seen

    def _look(self, name: bytes) -> Sample | Rejection:
        found = find(self.root, name, max_file_bytes=self.limits.max_file_bytes)
        if isinstance(found, Rejection):
            return found
        with found:
            if found.size_bytes <= self.crew.share_bytes:
                return self._read(found, name)
            with self.crew.large_files.reserve(found.size_bytes):
                return self._read(found, name)

    def _read(self, found: Found, name: bytes) -> Sample | Rejection:
        content = read(found)
        if isinstance(content, Rejection):
            return content
        seen = fingerprint(
            content.data, name, max_pixels=self.limits.max_pixels, budget=self.crew.pictures
        )
        if isinstance(seen, Rejection):
            return replace(seen, digest=content.digest)
        return Sample(content.digest, seen)


def _result(
    future: Future[list[Sample | Rejection]], stop: Callable[[], bool]
) -> list[Sample | Rejection]:
    while not stop():
        if future.done():
            return future.result()
        wait([future], timeout=STOP_CHECK_SECONDS)
    raise Stopped
