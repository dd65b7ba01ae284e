"""Ordinary JPEG files, straight through libjpeg-turbo; all others are left to Pillow."""

import functools
import importlib.metadata
import importlib.util
import io
from dataclasses import dataclass

import numpy as np
import PIL
import torch
from PIL import Image

from imgq_trainer.decoding import JPEG_PIXELS_PER_BYTE, orientation_of
from imgq_trainer.preprocessing import Pixels

#: part of a prediction's identity: to be raised whenever the same bytes may give other pixels
GENERATION = 3
_FILLER, _START_OF_SCAN, _EXIF_OR_XMP = 0xFF, 0xDA, 0xE1
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1}), 0xC2
_SEGMENTS = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_DIVISORS = (8, 4, 2)


@dataclass(frozen=True, slots=True)
class PlainJpeg:
    """A JPEG whose header holds nothing unusual, and whose pixels are not decoded yet."""

    data: bytes
    width: int
    height: int
    progressive: bool
    #: as in EXIF; 1 is upright
    orientation: int

    def divisor(self, least_side: int | None) -> int:
        """By how much both sides may shrink while the shorter one keeps `least_side` pixels."""
        if least_side is None:
            return 1
        shorter = min(self.width, self.height)
        return next((by for by in _DIVISORS if shorter >= by * least_side), 1)

    def memory_bytes(self, least_side: int | None) -> int:
        """What decoding may need, at the worst: coefficients, pixels, and a copy to turn them."""
        pixels = self.width * self.height
        by = self.divisor(least_side)
        return (6 * pixels if self.progressive else 0) + 6 * pixels // by**2


def decoder_name() -> str:
    """Name what decides which pixels a file's bytes become, with its versions.

    As in "decode-3-turbo-1.9.0-pillow-13.0.0-torch-2.10.0": torch resizes.
    """
    turbo = f"turbo-{importlib.metadata.version('simplejpeg')}-" if _turbo() else ""
    return f"decode-{GENERATION}-{turbo}pillow-{PIL.__version__}-torch-{torch.__version__}"


def scan_jpeg(data: bytes) -> PlainJpeg | None:
    """Read a JPEG's header; None if it is no JPEG, or one for Pillow to judge."""
    if not data.startswith(b"\xff\xd8\xff") or not _turbo():
        return None
    at, size, tagged = 2, None, False
    while at + 4 <= len(data) and data[at] == _FILLER:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
            size = _frame(data[at + 4 : at + 2 + length])
            if size and size[0] * size[1] > JPEG_PIXELS_PER_BYTE * len(data):
                return None
            progressive = marker == _PROGRESSIVE
        elif marker == _START_OF_SCAN and size is not None:
            orientation = _orientation(data) if tagged else 1
            return None if orientation is None else PlainJpeg(data, *size, progressive, orientation)
        elif marker not in _SEGMENTS or length < 2:
            return None
        tagged = tagged or marker == _EXIF_OR_XMP
        at += 2 + length
    return None


def decode_jpeg(jpeg: PlainJpeg, least_side: int | None) -> Pixels | None:
    """Return the upright picture, (H, W, 3) in RGB; None if anything in the file is not in order.

    least_side: a picture may come smaller, by 2, 4 or 8, while its shorter side keeps so many
    pixels; None for the pixels that Pillow gives.
    """
    import simplejpeg

    by = jpeg.divisor(least_side)
    try:
        stored = simplejpeg.decode_jpeg(
            jpeg.data,
            "RGB",
            min_height=-(-jpeg.height // by) if by > 1 else 0,
            min_width=-(-jpeg.width // by) if by > 1 else 0,
            strict=True,  # or it would fill what is missing with grey
        )
        upright: Pixels = np.ascontiguousarray(_turn(stored, jpeg.orientation))
    except (ValueError, MemoryError):  # Pillow finds the words
        return None
    return upright


@functools.cache
def _turbo() -> bool:
    return importlib.util.find_spec("simplejpeg") is not None


def _frame(frame: bytes) -> tuple[int, int] | None:
    """Width and height, of 8 bits in grey or YCbCr."""
    if len(frame) < 6 or frame[0] != 8 or frame[5] not in (1, 3):
        return None
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return (width, height) if width and height else None


def _orientation(data: bytes) -> int | None:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return orientation_of(image)
    except Exception:  # Pillow's own way leads there again, and explains it
        return None


def _turn(stored: Pixels, orientation: int) -> Pixels:
    match orientation:
        case 2:
            return stored[:, ::-1]
        case 3:
            return stored[::-1, ::-1]
        case 4:
            return stored[::-1]
        case 5:
            return stored.transpose(1, 0, 2)
        case 6:
            return np.rot90(stored, 3)
        case 7:
            return stored[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(stored)
        case _:
            return stored
