"""A look at files without decoding them: which are pictures, and what their bytes' digests are."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path

from imgq_trainer.crew import Crew
from imgq_trainer.decoding import prepare_pillow, read_header
from imgq_trainer.errors import Stopped
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.in_flight import InFlight, untold
from imgq_trainer.outcomes import Rejection, Stamp
from imgq_trainer.pipeline import STOP_CHECK_SECONDS, never
from imgq_trainer.plain_jpeg import scan_jpeg
from imgq_trainer.reading import Found, Root, find, open_root, read

#: a stamp, under whatever name it was kept
Numbers = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """A file whose header is a picture's. Whether its pixels are sound, only decoding tells."""

    #: sha256 of the file's bytes
    digest: bytes
    stamp: Stamp


def survey_files(
    root: Path,
    names: Sequence[bytes],
    *,
    limits: ReadLimits,
    crew: Crew,
    unchanged: Mapping[bytes, tuple[Numbers, bytes]],
    in_flight: InFlight = untold,
    stop: Callable[[], bool] = never,
) -> list[Picture | Rejection]:
    """Return what each file is, in order; a file's fault is a rejection, never raised.

    names: as for classify_files. unchanged: by name the stamp and the digest of pictures seen
    before; one that still has its stamp is not read. in_flight is told what is being looked into,
    in the thread that does. stop is asked in the calling thread.
    Raises Stopped, RootUnavailable.
    """
    prepare_pillow(limits.max_pixels)
    with open_root(root) as folder:
        eye = _Eye(folder, limits, crew, unchanged, in_flight)
        looks = [crew.threads.submit(eye.look, *each) for each in enumerate(names)]
        try:
            return [_result(look, stop) for look in looks]
        finally:
            wait([look for look in looks if not look.cancel()])


@dataclass(frozen=True, slots=True)
class _Eye:
    """What each thread does, and what they share."""

    root: Root
    limits: ReadLimits
    crew: Crew
    unchanged: Mapping[bytes, tuple[Numbers, bytes]]
    in_flight: InFlight

    def look(self, place: int, name: bytes) -> Picture | Rejection:
        with self.in_flight(place, place, reading=True):
            found = find(self.root, name, max_file_bytes=self.limits.max_file_bytes)
        if isinstance(found, Rejection):
            return found
        with found:
            stamp, digest = self.unchanged.get(name, (None, b""))
            if stamp == found.stamp:
                return Picture(digest, found.stamp)
            if found.stamp.size_bytes <= self.crew.share_bytes:
                return self._read(found, place, name)
            with self.crew.large_files.reserve(found.stamp.size_bytes):
                return self._read(found, place, name)

    def _read(self, found: Found, place: int, name: bytes) -> Picture | Rejection:
        with self.in_flight(place, place, reading=True):
            content = read(found)
        if isinstance(content, Rejection):
            return content
        with self.in_flight(place, place):
            fault = self._fault(content.data, name)
        if fault is not None:
            return replace(fault, digest=content.digest)
        return Picture(content.digest, found.stamp)

    def _fault(self, data: bytes, name: bytes) -> Rejection | None:
        jpeg = scan_jpeg(data)
        if jpeg is not None and jpeg.width * jpeg.height <= self.limits.max_pixels:
            return None
        header = read_header(data, name, max_pixels=self.limits.max_pixels)
        if isinstance(header, Rejection):
            return header
        header.image.close()
        return None


def _result(look: Future[Picture | Rejection], stop: Callable[[], bool]) -> Picture | Rejection:
    while not stop():
        if look.done():
            return look.result()
        wait([look], timeout=STOP_CHECK_SECONDS)
    raise Stopped
