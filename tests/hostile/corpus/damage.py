"""Files that are cut, bent, lie about their size, or are no pictures at all."""

import struct
from functools import partial

import numpy as np
from tests.hostile.corpus.cases import (
    CORRUPT,
    NO_IMAGE,
    NOT_AN_IMAGE,
    TOO_LARGE,
    TRUNCATED,
    UNSUPPORTED,
    Case,
    bad,
    good,
)
from tests.hostile.corpus.encoding import (
    SEED,
    avif_of_size,
    bmp_of_size,
    encoded,
    flat_floats,
    flat_png,
    gif_of_size,
    jpeg_frame,
    jpeg_of_size,
    lossless_webp_of_size,
    packed_zeros,
    patched,
    png,
    png_chunk,
    run_length_bmp,
    tiff_of_size,
    webp_canvas,
)

#: just below the limit of 100 megapixels, and above it
BELOW, ABOVE = 9_990, 60_000


def cut_short() -> list[Case]:
    """Return files that end too early, at many places."""
    kinds = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP"}
    shares = (0.1, 0.3, 0.6, 0.99)
    by_share = [
        bad(f"cut/{share}.{ending}", partial(_share, kind, share), TRUNCATED)
        for ending, kind in kinds.items()
        for share in shares
    ]
    return [
        *by_share,
        bad("cut/3-bytes.jpg", lambda: encoded("JPEG")[:3], TRUNCATED),
        bad("cut/2-bytes.jpg", lambda: encoded("JPEG")[:2], NOT_AN_IMAGE),
        bad("cut/8-bytes.png", lambda: encoded("PNG")[:8], TRUNCATED),
        bad("cut/7-bytes.png", lambda: encoded("PNG")[:7], NOT_AN_IMAGE),
        bad("cut/header.png", lambda: encoded("PNG")[:33], TRUNCATED),
        bad("cut/6-bytes.gif", lambda: encoded("GIF")[:6], TRUNCATED),
        bad("cut/12-bytes.webp", lambda: encoded("WEBP")[:12], TRUNCATED),
        bad("cut/4-bytes.tif", lambda: encoded("TIFF")[:4], TRUNCATED),
        bad("cut/18-bytes.bmp", lambda: encoded("BMP")[:18], TRUNCATED),
        bad("cut/half.avif", partial(_share, "AVIF", 0.5), TRUNCATED),
        bad("cut/no-end-marker.jpg", lambda: encoded("JPEG")[:-2], TRUNCATED),
        bad("cut/progressive.jpg", lambda: encoded("JPEG", progressive=True)[:3000], TRUNCATED),
    ]


def _share(kind: str, share: float) -> bytes:
    data = encoded(kind)
    return data[: int(len(data) * share)]


def lying_about_their_size() -> list[Case]:
    """Return small files whose headers promise a gigabyte of pixels, and one that keeps to it."""
    return [
        bad("bombs/above.png", partial(png, ABOVE, ABOVE, b""), TOO_LARGE),
        bad("bombs/below.png", partial(png, BELOW, BELOW, b""), TOO_LARGE),
        bad("bombs/above.jpg", partial(jpeg_of_size, ABOVE, ABOVE), TOO_LARGE),
        bad("bombs/below.jpg", partial(jpeg_of_size, BELOW, BELOW), CORRUPT),
        bad(
            "bombs/below-progressive.jpg",
            partial(jpeg_of_size, BELOW, BELOW, progressive=True),
            CORRUPT,
        ),
        bad("bombs/above.gif", partial(gif_of_size, ABOVE, ABOVE), TOO_LARGE),
        bad("bombs/5-megapixels.png", partial(png, 2_500, 2_000, b""), CORRUPT),
        bad("bombs/5-megapixels.bmp", partial(bmp_of_size, 2_500, 2_000), CORRUPT),
        bad("bombs/5-megapixels.tif", partial(tiff_of_size, 2_500, 2_000), TRUNCATED),
        bad("bombs/below.gif", partial(gif_of_size, BELOW, BELOW), TOO_LARGE),
        good("bombs/25-megapixels.gif", partial(gif_of_size, 5_000, 5_000)),
        bad("bombs/above.webp", partial(webp_canvas, 1 << 14, 1 << 14), TOO_LARGE),
        bad("bombs/below.webp", partial(webp_canvas, BELOW, BELOW), TOO_LARGE),
        bad("bombs/34-bytes.webp", partial(lossless_webp_of_size, BELOW, BELOW), TOO_LARGE),
        good("bombs/lossless.webp", partial(lossless_webp_of_size, 6_000, 6_000)),
        bad("bombs/above.tif", partial(tiff_of_size, 1 << 20, 1 << 20), TOO_LARGE),
        bad("bombs/below.tif", partial(tiff_of_size, BELOW, BELOW), TOO_LARGE),
        bad("bombs/above.bmp", partial(bmp_of_size, ABOVE, ABOVE), TOO_LARGE),
        bad("bombs/below.bmp", partial(bmp_of_size, BELOW, BELOW), TOO_LARGE),
        bad("bombs/run-length.bmp", partial(run_length_bmp, 5_000), CORRUPT),
        bad("bombs/above.avif", partial(avif_of_size, ABOVE, ABOVE), CORRUPT),
        good("bombs/whole.png", partial(flat_png, BELOW, colour=2, channels=3)),
        good("bombs/whole-grey.png", partial(flat_png, BELOW, colour=0, channels=1)),
        good("bombs/whole-clear.png", partial(flat_png, 7_000, colour=6, channels=4)),
        good("bombs/whole-16-bit.png", partial(flat_png, BELOW, colour=0, channels=2, bits=16)),
        good("bombs/whole-floats.tif", partial(flat_floats, 7_000)),
        bad("bombs/text.png", lambda: png(1, 1, bytes(4), more=_long_comment()), CORRUPT),
    ]


def _long_comment() -> bytes:
    """A compressed comment of 200 MB."""
    return png_chunk(b"zTXt", b"Comment\0\0" + packed_zeros(200 << 20))


def bent() -> list[Case]:
    """Return pictures that are damaged inside."""
    return [
        good("bent/100-bytes.jpg", partial(_flipped, "JPEG", 100)),
        bad("bent/100-bytes.png", partial(_flipped, "PNG", 100), CORRUPT),
        bad("bent/0x0.png", partial(png, 0, 0, b""), CORRUPT),
        bad("bent/negative.bmp", partial(bmp_of_size, -16, 16), TOO_LARGE),
        bad("bent/12-bit.jpg", partial(_frame_byte, 4, 12), CORRUPT),
        bad("bent/no-height.jpg", partial(_frame_byte, 5, 0, 0), CORRUPT),
        bad("bent/5-components.jpg", partial(_frame_byte, 9, 5), CORRUPT),
        bad("bent/lossless.jpg", partial(_frame_byte, 1, 0xC3), CORRUPT),
        good("bent/arithmetic.jpg", partial(_frame_byte, 1, 0xC9)),
        bad("bent/loop.tif", _looping_tiff, CORRUPT),
        bad("bent/no-tags.tif", lambda: b"II*\0\x08\0\0\0\0\0\0\0\0\0", CORRUPT),
    ]


def _flipped(kind: str, count: int) -> bytes:
    data = bytearray(encoded(kind))
    random = np.random.default_rng(SEED)
    for at in random.integers(len(data) // 2, len(data) - 40, count):
        data[at] ^= int(random.integers(1, 256))
    return bytes(data)


def _frame_byte(at: int, *values: int) -> bytes:
    data = encoded("JPEG")
    return patched(data, jpeg_frame(data) + at, bytes(values))


def _looping_tiff() -> bytes:
    """A directory without a picture that says that the next one is itself."""
    entry = struct.pack("<HHII", 256, 3, 1, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + struct.pack("<I", 8)


def no_pictures() -> list[Case]:
    """Return what is something else, whatever its name says."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\nshowpage\n"
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)
    archive = b"PK\x03\x04" + bytes(200)
    return [
        bad("other/empty.jpg", bytes, "failed empty_file"),
        bad("other/empty.lock", bytes, "skipped empty_file"),
        bad("other/postscript.jpg", lambda: eps, UNSUPPORTED),
        bad("other/drawing.svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', UNSUPPORTED),
        bad("other/page.jpg", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", UNSUPPORTED),
        bad("other/phone.heic", lambda: heic, UNSUPPORTED),
        bad("other/jp2.jpg", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), UNSUPPORTED),
        bad("other/layers.png", lambda: b"8BPS\0\1" + bytes(99), UNSUPPORTED),
        bad("other/portable.png", lambda: b"P6\n3 2\n255\n" + bytes(18), UNSUPPORTED),
        bad("other/favicon.ico", lambda: b"\0\0\1\0\1\0\x20\x20\0\0" + bytes(99), UNSUPPORTED),
        bad("other/archive.jpg", lambda: archive, NOT_AN_IMAGE),
        bad("other/archive.zip", lambda: archive, NO_IMAGE),
        bad("other/page.html.png", lambda: b"<html><svg></svg></html>", NOT_AN_IMAGE),
        bad("other/sound.webp", lambda: b"RIFF\x99\0\0\0WAVEfmt " + bytes(99), NOT_AN_IMAGE),
        bad("other/film.avif", lambda: b"\0\0\0\x18ftypisom" + bytes(99), NOT_AN_IMAGE),
        bad("other/zeros.bmp", lambda: bytes(1 << 20), NOT_AN_IMAGE),
        bad("other/words.jpg", lambda: b"BM are these words.", NOT_AN_IMAGE),
        bad("other/words.txt", lambda: b"these are words", NO_IMAGE),
        bad("other/.hidden.jpg", lambda: encoded("JPEG"), NO_IMAGE),
        bad("other/Thumbs.db", lambda: b"thumbs", NO_IMAGE),
    ]
