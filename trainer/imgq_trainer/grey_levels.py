"""Grey values of 16 and 32 bits, and fractions, brought to 0..255: a band of rows at a time."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

#: a picture of 10^8 fractions would take gigabytes if it were computed with as a whole
BAND_PIXELS = 1 << 20

_Values = npt.NDArray[np.number]
_Bytes = npt.NDArray[np.uint8]


def has_many_bits(image: Image.Image) -> bool:
    """Tell whether a picture is grey in more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_bytes(image: Image.Image) -> _Bytes:
    """Return the picture in 8 bits: (H, W)."""
    scaled = _high_bytes if image.mode.startswith("I;16") else _scale(image)
    grey = np.empty((image.height, image.width), np.uint8)
    for top, values in _bands(image):
        grey[top : top + len(values)] = scaled(values)
    return grey


def _bands(image: Image.Image) -> Iterator[tuple[int, _Values]]:
    """Yield a picture's values from top to bottom, and in which row each piece begins."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))


def _high_bytes(values: _Values) -> _Bytes:
    """Bring 0..65535 to 0..255."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _scale(image: Image.Image) -> Callable[[_Values], _Bytes]:
    """Choose how values of unknown scale come to 0..255: by the smallest usual one that holds them.

    Usual are 0..1 for fractions, 0..255 and 0..65535; anything else is stretched from its own
    lowest to its highest value.
    """
    low, high = _ends(image)
    if low >= 0 and high <= 65535:
        low, high = 0.0, _usual(high, fractions=image.mode == "F")

    def scaled(values: _Values) -> _Bytes:
        if high == low:
            return np.zeros(values.shape, np.uint8)
        return np.rint((_finite(values) - low) * (255.0 / (high - low))).astype(np.uint8)

    return scaled


def _ends(image: Image.Image) -> tuple[float, float]:
    bands = (_finite(values) for _, values in _bands(image))
    ends = [(float(band.min()), float(band.max())) for band in bands]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _usual(high: float, *, fractions: bool) -> float:
    if high > 255:
        return 65535.0
    return 1.0 if fractions and high <= 1 else 255.0


def _finite(values: _Values) -> npt.NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
