"""What a picture looks like, in so few bytes that those of all pictures fit into memory."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgq_trainer.decoding import decode_pixels, read_header
from imgq_trainer.memory import MemoryBudget
from imgq_trainer.outcomes import Code, Rejection, failed
from imgq_trainer.plain_jpeg import PlainJpeg, decode_jpeg, scan_jpeg
from imgq_trainer.preprocessing import Pixels

#: the sides of a fingerprint's grey picture, and of its coloured one
GREY: Final = 24
COLOUR: Final = 8
LENGTH: Final = GREY * GREY + COLOUR * COLOUR * 3
#: A JPEG is decoded no larger than so many times the grey picture needs: it holds less than a
#: level of difference, for an eighth of the time
SHRINK_TO = 4 * GREY

Bytes = npt.NDArray[np.uint8]


class Fingerprint(NamedTuple):
    """The whole picture, squashed: LENGTH bytes; and its size in pixels, upright."""

    pixels: Bytes
    width: int
    height: int


def fingerprint(
    data: bytes, name: bytes, *, max_pixels: int, budget: MemoryBudget
) -> Fingerprint | Rejection:
    """Decode a whole file as serving does, and return what it looks like.

    budget: what decoded pictures may take. No bytes make this raise.
    """
    jpeg = scan_jpeg(data)
    if jpeg is not None and jpeg.width * jpeg.height <= max_pixels:
        with budget.reserve(jpeg.memory_bytes(SHRINK_TO)):
            pixels = decode_jpeg(jpeg, SHRINK_TO)
            if pixels is not None:
                return _squash(Image.fromarray(pixels), _upright_size(jpeg))
    header = read_header(data, name, max_pixels=max_pixels)
    if isinstance(header, Rejection):
        return header
    with budget.reserve(header.memory_bytes):
        picture = decode_pixels(header)
        if isinstance(picture, Rejection):
            return picture
        try:
            return _squash(picture, picture.size)
        except MemoryError:
            return failed(Code.OUT_OF_MEMORY, "there was no memory to resize it")


def _squash(picture: Image.Image, size: tuple[int, int]) -> Fingerprint:
    small = picture.resize((GREY, GREY), Image.Resampling.BILINEAR, reducing_gap=3.0)
    colours: Pixels = np.asarray(small.resize((COLOUR, COLOUR), Image.Resampling.BOX))
    grey = np.asarray(small.convert("L"))
    return Fingerprint(np.concatenate([grey.ravel(), colours.ravel()]), *size)


def _upright_size(jpeg: PlainJpeg) -> tuple[int, int]:
    turned = jpeg.orientation >= 5
    return (jpeg.height, jpeg.width) if turned else (jpeg.width, jpeg.height)
