"""A file's bytes into an upright RGB picture, or a rejection: no bytes make this raise."""

import io
import logging
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgq_trainer.completeness import is_cut_short
from imgq_trainer.formats import Format, has_image_extension, sniff, sniff_unread
from imgq_trainer.outcomes import Code, Rejection, failed, skipped

#: what decoding holds at its worst: Pillow keeps 4 bytes a pixel, turning or blending needs a copy
BYTES_PER_PIXEL = 12
#: Pillow's blocks, above the 32 MiB from which glibc always gives freed memory back to the system.
#: Six pictures of 99 megapixels, 4 threads: a peak of 1.2 GB instead of 3.9 (with no copy of RGB).
BLOCK_BYTES = 64 << 20
ORIENTATION = 0x0112
#: by EXIF orientation; 1 is upright
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
WHITE = (255, 255, 255)
_PLAIN_MODES = frozenset({"RGB", "L", "1", "P"})
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_SHORT_WORDS = ("truncated", "unexpected end", "not large enough", "buffer overrun")


@dataclass(frozen=True, slots=True)
class Header:
    """A picture whose size is known and whose pixels are not decoded yet."""

    image: Image.Image
    data: bytes
    format: Format

    @property
    def memory_bytes(self) -> int:
        """What decoding may need, at the worst."""
        return self.image.width * self.image.height * BYTES_PER_PIXEL


def prepare_pillow(max_pixels: int) -> None:
    """Let Pillow decode up to a limit, and keep its complaints out of the log; for the process.

    Every fault of a file is an outcome here, so a warning would say it twice, or, where warnings
    are errors, turn a sound picture into a corrupt one.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    Image.core.set_block_size(BLOCK_BYTES)  # type: ignore[attr-defined]
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels)


def decode(data: bytes, name: bytes, *, max_pixels: int) -> Image.Image | Rejection:
    """Return the upright picture in RGB; of several frames or pages, the first."""
    header = read_header(data, name, max_pixels=max_pixels)
    return header if isinstance(header, Rejection) else decode_pixels(header)


def read_header(data: bytes, name: bytes, *, max_pixels: int) -> Header | Rejection:
    """Look at the format and the size, without decoding a pixel."""
    known = sniff(data)
    if known is None:
        return _reject_unknown(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=(known.value,))
    except Image.DecompressionBombError:
        return failed(Code.TOO_LARGE, f"over the limit of {max_pixels} pixels")
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        return _explain(error, data, known)
    if image.width * image.height > max_pixels:
        return failed(
            Code.TOO_LARGE,
            f"{image.width} x {image.height} pixels, over the limit of {max_pixels} pixels",
        )
    return Header(image, data, known)


def decode_pixels(header: Header) -> Image.Image | Rejection:
    """Decode, turn upright and convert to RGB a picture whose header was accepted."""
    try:
        header.image.load()
        return _turn_upright(_to_rgb(header.image), orientation_of(header.image))
    except Exception as error:
        return _explain(error, header.data, header.format)


def _reject_unknown(data: bytes, name: bytes) -> Rejection:
    unread = sniff_unread(data)
    if unread is not None:
        return failed(Code.UNSUPPORTED_FORMAT, unread)
    if has_image_extension(name):
        return failed(Code.NOT_AN_IMAGE, "its content is no picture, whatever its name says")
    return skipped(Code.NOT_AN_IMAGE, "neither its name nor its content is a picture's")


def _explain(error: Exception, data: bytes, known: Format) -> Rejection:
    if isinstance(error, MemoryError):
        return failed(Code.OUT_OF_MEMORY, "there was no memory to decode it")
    if isinstance(error, Image.DecompressionBombError):
        return failed(Code.TOO_LARGE, "a frame is over the limit of pixels")
    if isinstance(error, _ModeUnsupported):
        return failed(Code.UNSUPPORTED_FORMAT, f"{known} with pixels of kind {error}")
    short = is_cut_short(data, known)
    if short is None:
        short = any(words in str(error).lower() for words in _SHORT_WORDS)
    if short:
        return failed(Code.TRUNCATED, f"the {known} ends too early")
    return failed(Code.CORRUPT, f"the {known} is damaged")


class _ModeUnsupported(Exception):
    pass


def orientation_of(image: Image.Image) -> int:
    """Return what EXIF or XMP says of how the camera was held; 1 is upright."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged metadata does not make a picture unreadable
        return 1
    return value if isinstance(value, int) else 1


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _ALPHA_MODES or (image.mode in _PLAIN_MODES and "transparency" in image.info):
        return _on_white(image)
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        return _from_grey((grey + 128) // 257)
    if image.mode in ("I", "F"):
        return _from_grey(_to_bytes(np.asarray(image)))
    try:
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:  # a mode without a way to RGB
        raise _ModeUnsupported(image.mode) from error


def _on_white(image: Image.Image) -> Image.Image:
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    ground = Image.new("RGB", layer.size, WHITE)
    ground.paste(layer, mask=layer)
    return ground


def _from_grey(grey: npt.NDArray[np.integer]) -> Image.Image:
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _to_bytes(values: npt.NDArray[np.number]) -> npt.NDArray[np.uint8]:
    """Bring grey values of unknown scale to 0..255: by the smallest usual scale that holds them.

    Usual are 0..1 for fractions, 0..255 and 0..65535; anything else is stretched from its own
    lowest to its highest value.
    """
    grey = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(grey.min()), float(grey.max())
    if low >= 0 and high <= 65535:
        scale = 65535.0 if high > 255 else 255.0
        if high <= 1 and values.dtype.kind == "f":
            scale = 1.0
        low, high = 0.0, scale
    if high == low:
        return np.zeros(grey.shape, np.uint8)
    return np.rint((grey - low) * (255.0 / (high - low))).astype(np.uint8)
