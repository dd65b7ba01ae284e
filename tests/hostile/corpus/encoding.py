"""One photograph in many forms, and the bytes of containers that are built by hand."""

import functools
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SEED = 20260501
_PHOTO = Path(__file__).parents[3] / "demo" / "photos" / "coffee.jpg"


@functools.cache
def photo() -> Image.Image:
    """A cup of espresso, 240 x 160; nobody may change it."""
    with Image.open(_PHOTO) as image:
        return image.convert("RGB").resize((240, 160))


@functools.cache
def grey() -> Image.Image:
    """The photo in grey."""
    return photo().convert("L")


@functools.cache
def few_colours() -> Image.Image:
    """The photo in a palette."""
    return photo().quantize(64)


def grey_values() -> npt.NDArray[np.uint8]:
    """Return the grey photo's pixels, (H, W)."""
    return np.asarray(grey())


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return the photo, or another image, as a file."""
    buffer = io.BytesIO()
    (image or photo()).save(buffer, kind, **options)
    return buffer.getvalue()


def fine_jpeg(image: Image.Image) -> bytes:
    """Return a JPEG that is as close to the image as one can be."""
    return encoded("JPEG", image, quality=100, subsampling=0)


def frames(kind: str, **options: Any) -> bytes:
    """Return the photo as the first of three frames."""
    others = [Image.new("RGB", photo().size, name) for name in ("red", "blue")]
    return encoded(kind, save_all=True, append_images=others, **options)


def decoded(data: bytes) -> Image.Image:
    """Return the pixels of a file as Pillow has them, not turned."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def patched(data: bytes, at: int, patch: bytes) -> bytes:
    """Return data with other bytes at a place."""
    return data[:at] + patch + data[at + len(patch) :]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *, colour: int = 2, more: bytes = b"") -> bytes:
    """Return a PNG whose header says what it likes. more: chunks before the pixels."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(pixels, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + more + body


def flat_png(side: int, *, colour: int, channels: int, bits: int = 8) -> bytes:
    """Return a whole picture of one colour, a thousand times smaller than its pixels.

    channels: bytes of a pixel.
    """
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", packed_zeros(side * (1 + side * channels)))
    return b"\x89PNG\r\n\x1a\n" + head + body + png_chunk(b"IEND", b"")


def packed_zeros(size_bytes: int) -> bytes:
    """Return a zlib stream of zeros, packed a megabyte at a time, once."""
    packer, piece = zlib.compressobj(9), bytes(1 << 20)
    pieces, rest = divmod(size_bytes, len(piece))
    first, again = (packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    end = packer.compress(bytes(rest)) + packer.flush()
    checksum = struct.pack(">I", size_bytes % 65521 << 16 | 1)
    return first + again * (pieces - 1) + end[:-4] + checksum


def flat_floats(side: int) -> bytes:
    """Return a whole TIFF of fractions."""
    return encoded("TIFF", Image.new("F", (side, side), 0.5), compression="tiff_adobe_deflate")


def jpeg_frame(data: bytes) -> int:
    """Return where the frame header's marker is in a JPEG."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def jpeg_of_size(width: int, height: int, **options: Any) -> bytes:
    """Return a small JPEG whose header says another size."""
    data = encoded("JPEG", Image.new("RGB", (16, 16), "orange"), **options)
    return patched(data, jpeg_frame(data) + 5, struct.pack(">HH", height, width))


def tiff_of_size(width: int, height: int) -> bytes:
    """Return a small TIFF whose tags say another size."""
    data = encoded("TIFF", Image.new("RGB", (16, 16), "orange"))
    directory = int.from_bytes(data[4:8], "little")
    for entry in range(int.from_bytes(data[directory : directory + 2], "little")):
        at = directory + 2 + 12 * entry
        tag = int.from_bytes(data[at : at + 2], "little")
        if tag in (256, 257, 278):  # width, height, rows in a strip
            kind_and_count = struct.pack("<HHI", tag, 4, 1)
            value = width if tag == 256 else height
            data = patched(data, at, kind_and_count + struct.pack("<I", value))
    return data


def webp_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a RIFF chunk."""
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def webp(*chunks: bytes) -> bytes:
    """Return a WebP file of these chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_canvas(width: int, height: int) -> bytes:
    """Return an extended WebP with a large canvas and a small picture."""
    small = encoded("WEBP", Image.new("RGB", (16, 16)), lossless=True)[12:]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp(webp_chunk(b"VP8X", bytes(4) + size), small)


def lossless_webp_of_size(width: int, height: int) -> bytes:
    """Return a small lossless WebP whose header says another size."""
    data = encoded("WEBP", Image.new("RGB", (16, 16)), lossless=True)
    at = data.index(b"VP8L") + 9
    return patched(data, at, struct.pack("<I", (width - 1) | (height - 1) << 14))


def bmp_of_size(width: int, height: int) -> bytes:
    """Return a small BMP whose header says another size."""
    data = encoded("BMP", Image.new("RGB", (16, 16)))
    return patched(data, 18, struct.pack("<ii", width, height))


def run_length_bmp(side: int) -> bytes:
    """Return a whole BMP whose few bytes stand for many black pixels."""
    palette = bytes(4 * 256)
    pixels = b"\x00\x01"  # the end of the picture, at its first pixel
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    start = 14 + len(head) + len(palette)
    total = start + len(pixels)
    return b"BM" + struct.pack("<IHHI", total, 0, 0, start) + head + palette + pixels


def avif_of_size(width: int, height: int) -> bytes:
    """Return a small AVIF whose container says another size."""
    data = encoded("AVIF", Image.new("RGB", (16, 16)))
    at = data.index(b"ispe") + 8
    return patched(data, at, struct.pack(">II", width, height))


def gif_of_size(width: int, height: int) -> bytes:
    """Return a small GIF with a large screen."""
    return patched(encoded("GIF", Image.new("P", (16, 16))), 6, struct.pack("<HH", width, height))
