"""A file's bytes into the square of pixels that a network looks at."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from PIL import Image

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.decoding import Header, decode_pixels, read_header
from imgq_trainer.in_flight import UNMARKED
from imgq_trainer.memory import MemoryBudget, is_out_of_memory
from imgq_trainer.outcomes import Code, Rejection, failed
from imgq_trainer.plain_jpeg import PlainJpeg, decode_jpeg, scan_jpeg
from imgq_trainer.preprocessing import Pixels, array_to_pixels, to_pixels

#: A picture that is not computed exactly may be shrunk while it is decoded, to no less than so
#: many times the size that it is then resized to: on photos of 12 megapixels, that moved
#: no more than 0.3 of 255 levels in the mean.
SHRINK_TO = 2


#: entered while a picture is decoded, but not while it waits for memory
Mark = AbstractContextManager[object]


@dataclass(frozen=True, slots=True)
class ReadLimits:
    max_pixels: int
    max_file_bytes: int


@dataclass(frozen=True, slots=True)
class Decoder:
    """How a classifier's pictures are decoded. budget: what they may take while they are."""

    preprocessing: Preprocessing
    exact: bool
    max_pixels: int
    budget: MemoryBudget

    def pixels(self, data: bytes, name: bytes, mark: Mark = UNMARKED) -> Pixels | Rejection:
        """Return a file's pixels by the fastest way that its kind allows."""
        jpeg = self._plain_jpeg(data)
        if jpeg is not None:
            least_side = None if self.exact else SHRINK_TO * self.preprocessing.resize
            with self.budget.reserve(jpeg.memory_bytes(least_side)), mark:
                picture = decode_jpeg(jpeg, least_side)
                if picture is not None:
                    return self._resized(lambda: array_to_pixels(picture, self.preprocessing))
        return self._pillow_pixels(data, name, mark)

    def exact_pixels(self, data: bytes, name: bytes, mark: Mark = UNMARKED) -> Pixels | Rejection:
        """Return a file's pixels bit-equal to Pillow's; `pixels` may be a level or two off."""
        jpeg = self._plain_jpeg(data)
        if jpeg is not None:
            with self.budget.reserve(2 * jpeg.memory_bytes(None)), mark:
                picture = decode_jpeg(jpeg, None)
                if picture is not None:
                    return self._resized(
                        lambda: to_pixels(Image.fromarray(picture), self.preprocessing)
                    )
        return self._pillow_pixels(data, name, mark)

    def _plain_jpeg(self, data: bytes) -> PlainJpeg | None:
        jpeg = scan_jpeg(data)
        fits = jpeg is not None and jpeg.width * jpeg.height <= self.max_pixels
        return jpeg if fits else None

    def _pillow_pixels(self, data: bytes, name: bytes, mark: Mark) -> Pixels | Rejection:
        with mark:
            header = read_header(data, name, max_pixels=self.max_pixels)
        if isinstance(header, Rejection):
            return header
        with self.budget.reserve(header.memory_bytes), mark:
            return self._decode(header)

    def _decode(self, header: Header) -> Pixels | Rejection:
        picture = decode_pixels(header)
        if isinstance(picture, Rejection):
            return picture
        return self._resized(lambda: to_pixels(picture, self.preprocessing))

    def _resized(self, resize: Callable[[], Pixels]) -> Pixels | Rejection:
        try:
            return resize()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return failed(Code.OUT_OF_MEMORY, "there was no memory to resize it")
