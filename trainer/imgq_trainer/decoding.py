"""A file's bytes into an upright RGB picture, or a rejection: no bytes make this raise."""

import io
import logging
import warnings
from dataclasses import dataclass

from PIL import Image

from imgq_trainer.completeness import is_cut_short, is_huffman_jpeg
from imgq_trainer.formats import Format, has_image_extension, sniff, sniff_unread
from imgq_trainer.grey_levels import has_many_bits, to_bytes
from imgq_trainer.outcomes import Code, Rejection, failed, skipped
from imgq_trainer.webp import has_memory_to_open, webp_size

#: what decoding holds at its worst: Pillow keeps 4 bytes a pixel, turning or blending needs a copy
BYTES_PER_PIXEL = 12
#: libwebp keeps the picture twice for animations that may follow, and Pillow copies it twice
WEBP_BYTES_PER_PIXEL = 16
#: A file that promises so many pixels has to have a byte for so many of them. Flat colour in PNG
#: takes a byte for 1,000, a blank page in one bit for 8,000; 34 bytes of WebP can promise 10^8.
BOMB_PIXELS = 40_000_000
BOMB_PIXELS_PER_BYTE = 4096
#: Every block of 8 x 8 pixels takes a bit at least, where bits are coded one symbol at a time.
JPEG_PIXELS_PER_BYTE = 512
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
        webp = self.format is Format.WEBP
        return pixels_of(self.image) * (WEBP_BYTES_PER_PIXEL if webp else BYTES_PER_PIXEL)


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
    promised = webp_size(data) if known is Format.WEBP else None
    if promised and (rejection := _reject_size(promised, data, max_pixels)):
        return rejection  # opening it takes the memory for all of its pixels
    try:
        image = Image.open(io.BytesIO(data), formats=(known.value,))
    except Image.DecompressionBombError:
        return failed(Code.TOO_LARGE, f"over the limit of {max_pixels} pixels")
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        short = promised and not has_memory_to_open(promised)  # libwebp says that it is damaged
        return _explain(MemoryError() if short else error, data, known)
    return _reject_size(image.size, data, max_pixels) or Header(image, data, known)


def pixels_of(image: Image.Image) -> int:
    return image.width * image.height


def _reject_size(size: tuple[int, int], data: bytes, max_pixels: int) -> Rejection | None:
    """Refuse what is too large, or more than its bytes can keep, before memory is taken for it."""
    pixels, words = size[0] * size[1], f"{size[0]} x {size[1]} pixels"
    if pixels > max_pixels:
        return failed(Code.TOO_LARGE, f"{words}, over the limit of {max_pixels} pixels")
    if is_huffman_jpeg(data) and pixels > JPEG_PIXELS_PER_BYTE * len(data):
        return failed(Code.CORRUPT, f"{len(data)} bytes cannot hold {words}")
    if pixels > max(BOMB_PIXELS, BOMB_PIXELS_PER_BYTE * len(data)):
        return failed(Code.TOO_LARGE, f"{words} in {len(data)} bytes: a decompression bomb")
    return None


def decode_pixels(header: Header) -> Image.Image | Rejection:
    """Decode, turn upright and convert to RGB a picture whose header was accepted."""
    try:
        header.image.load()
        orientation = orientation_of(header.image)
        return _turn_upright(_to_rgb(header.image), orientation)
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
    if has_many_bits(image):
        grey = to_bytes(image)
        image.close()  # its memory is needed for the picture in colours
        return Image.fromarray(grey).convert("RGB")
    try:
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:  # a mode without a way to RGB
        raise _ModeUnsupported(image.mode) from error


def _on_white(image: Image.Image) -> Image.Image:
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    ground = Image.new("RGB", layer.size, WHITE)
    ground.paste(layer, mask=layer)
    return ground
