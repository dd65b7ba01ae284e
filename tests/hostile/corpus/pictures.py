"""Pictures that are sound, though unusual: each must look to the model like its plain form."""

from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from tests.hostile.corpus.cases import Case, good
from tests.hostile.corpus.encoding import (
    decoded,
    encoded,
    few_colours,
    fine_jpeg,
    frames,
    grey,
    grey_values,
    patched,
    photo,
    png,
    png_chunk,
)

ORIENTATION = 0x0112
#: how a camera that was held so stores the picture
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
#: and back
_UPRIGHT = _STORED | {6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
#: what a lossy format, or another way to the same colours, may move the confidence by
LOSSY = 0.15
#: two decoders of the same file: a level or two of 255
CLOSE = 0.02

PHOTO, GREY, FEW, BLACK_WHITE = (
    "alike/photo.png",
    "alike/grey.png",
    "alike/few.png",
    "alike/black-white.png",
)


def plain_pictures() -> list[Case]:
    """Return what the others are held against."""
    return [
        good(PHOTO, partial(encoded, "PNG")),
        good(GREY, lambda: encoded("PNG", grey().convert("RGB"))),
        good(FEW, lambda: encoded("PNG", few_colours().convert("RGB"))),
        good(BLACK_WHITE, lambda: encoded("PNG", photo().convert("1").convert("RGB"))),
    ]


def modes() -> list[Case]:
    """Return every kind of pixel."""
    return [
        good("modes/1.png", lambda: encoded("PNG", photo().convert("1")), BLACK_WHITE),
        good("modes/L.png", lambda: encoded("PNG", grey()), GREY),
        good("modes/LA.png", lambda: encoded("PNG", grey().convert("LA")), GREY),
        good("modes/P.png", lambda: encoded("PNG", few_colours()), FEW),
        good("modes/PA.tif", lambda: encoded("TIFF", few_colours().convert("PA")), FEW),
        good("modes/RGBA.png", lambda: encoded("PNG", photo().convert("RGBA")), PHOTO),
        good("modes/RGBX.tif", lambda: encoded("TIFF", photo().convert("RGBX")), PHOTO),
        good("modes/CMYK.tif", lambda: encoded("TIFF", photo().convert("CMYK")), PHOTO),
        good("modes/CMYK.jpg", lambda: fine_jpeg(photo().convert("CMYK")), PHOTO, LOSSY),
        good("modes/YCbCr.tif", lambda: encoded("TIFF", photo().convert("YCbCr")), PHOTO, LOSSY),
        good("modes/YCbCr.jpg", lambda: fine_jpeg(photo().convert("YCbCr")), PHOTO, LOSSY),
        good("modes/grey.jpg", lambda: fine_jpeg(grey()), GREY, LOSSY),
        good("modes/I16.png", lambda: encoded("PNG", _numbers(np.uint16, 257)), GREY),
        good("modes/I16.tif", lambda: encoded("TIFF", _numbers(np.uint16, 257)), GREY),
        good("modes/I16B.tif", lambda: encoded("TIFF", _big_endian()), GREY),
        good("modes/I.tif", lambda: encoded("TIFF", _numbers(np.int32, 1)), GREY),
        good("modes/F.tif", lambda: encoded("TIFF", _numbers(np.float32, 1)), GREY),
        good("modes/F-share.tif", lambda: encoded("TIFF", _numbers(np.float32, 1 / 255)), GREY),
    ]


def _numbers(kind: type[np.generic], scale: float) -> Image.Image:
    return Image.fromarray((grey_values() * np.float64(scale)).astype(kind))


def _big_endian() -> Image.Image:
    return Image.fromarray((grey_values().astype(np.uint16) * 257).astype(">u2"))


def formats() -> list[Case]:
    """Return every format that is read, and what Pillow can vary about it."""
    tiffs = [
        good(f"formats/{how}.tif", partial(encoded, "TIFF", compression=how), PHOTO)
        for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "raw")
    ]
    return [
        *tiffs,
        good(
            "formats/jpeg.tif",
            partial(encoded, "TIFF", compression="jpeg", quality=100),
            PHOTO,
            LOSSY,
        ),
        good(
            "formats/group4.tif",
            lambda: encoded("TIFF", photo().convert("1"), compression="group4"),
            BLACK_WHITE,
        ),
        good("formats/rgb.bmp", partial(encoded, "BMP"), PHOTO),
        good("formats/palette.bmp", lambda: encoded("BMP", few_colours()), FEW),
        good("formats/1bit.bmp", lambda: encoded("BMP", photo().convert("1")), BLACK_WHITE),
        good("formats/palette.gif", lambda: encoded("GIF", few_colours()), FEW),
        good("formats/lossless.webp", partial(encoded, "WEBP", lossless=True), PHOTO),
        good("formats/lossy.webp", partial(encoded, "WEBP", quality=100), PHOTO, LOSSY),
        good("formats/lossy.avif", partial(encoded, "AVIF", quality=90), PHOTO, LOSSY),
        good("formats/really-a.png.jpg", partial(encoded, "PNG"), PHOTO),
        good("formats/really-a-bmp.gif", partial(encoded, "BMP"), PHOTO),
        good("formats/notes.txt", partial(encoded, "PNG"), PHOTO),
        good("formats/no-extension", partial(encoded, "PNG"), PHOTO),
        good("frames/animated.gif", partial(frames, "GIF"), PHOTO, LOSSY),
        good("frames/animated.webp", partial(frames, "WEBP", lossless=True), PHOTO),
        good("frames/animated.png", partial(frames, "PNG"), PHOTO),
        good("frames/pages.tif", partial(frames, "TIFF"), PHOTO),
        good("frames/pages.mpo.jpg", partial(frames, "MPO", quality=95), PHOTO, LOSSY),
        good("frames/thousand.gif", _thousand_frames),
    ]


def _thousand_frames() -> bytes:
    others = [Image.new("P", (8, 8), number % 250) for number in range(999)]
    return encoded("GIF", Image.new("P", (8, 8), 1), save_all=True, append_images=others)


def turned() -> list[Case]:
    """Return each EXIF orientation, without loss and as JPEG."""
    cases = []
    for orientation in range(1, 9):
        cases += [
            good(f"turned/{orientation}.png", partial(_turned, "PNG", orientation), PHOTO),
            good(
                f"turned/{orientation}.jpg",
                partial(_turned, "JPEG", orientation),
                f"alike/turned-{orientation}.png",
                CLOSE,
            ),
            good(f"alike/turned-{orientation}.png", partial(_turned_back, orientation)),
        ]
    lossless = [("WEBP", {"lossless": True}), ("TIFF", {})]
    others = [
        good(f"turned/6.{kind.lower()}", partial(_turned, kind, 6, **options), PHOTO)
        for kind, options in lossless
    ]
    return [*cases, *others]


def _turned(kind: str, orientation: int, **options: Any) -> bytes:
    turn = _STORED.get(orientation)
    stored = photo() if turn is None else photo().transpose(turn)
    return encoded(kind, stored, exif=_exif(orientation), **options)


def _turned_back(orientation: int) -> bytes:
    stored, turn = decoded(_turned("JPEG", orientation)), _UPRIGHT.get(orientation)
    return encoded("PNG", stored if turn is None else stored.transpose(turn))


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


#: an orientation of type ASCII: "left"
_WORDS = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04left\0\0\0\0"


def metadata() -> list[Case]:
    """Return pictures whose pixels are sound, and what stands beside them is not."""
    huge = png_chunk(b"iCCP", b"x\0\0" + bytes(64))
    text = png_chunk(b"tEXt", b"Comment\0" + b"A" * 500_000)
    plain = partial(encoded, "JPEG")
    return [
        good("alike/plain.jpg", plain),
        good("metadata/exif-9.png", lambda: encoded("PNG", exif=_exif(9)), PHOTO),
        good("metadata/exif-0.png", lambda: encoded("PNG", exif=_exif(0)), PHOTO),
        good("metadata/exif-words.png", lambda: encoded("PNG", exif=_WORDS), PHOTO),
        good("metadata/exif-cut.jpg", partial(plain, exif=b"Exif\0\0"), "alike/plain.jpg"),
        good(
            "metadata/exif-astray.jpg",
            partial(plain, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
            "alike/plain.jpg",
        ),
        good("metadata/exif-junk.jpg", partial(plain, exif=b"Exif\0\0junk" * 9), "alike/plain.jpg"),
        good("metadata/icc-junk.jpg", partial(plain, icc_profile=b"junk" * 99), "alike/plain.jpg"),
        good("metadata/icc-junk.png", partial(encoded, "PNG", icc_profile=b"junk" * 99), PHOTO),
        good("metadata/icc-stream.png", lambda: _with_chunk(huge), PHOTO),
        good("metadata/long-text.png", lambda: _with_chunk(text), PHOTO),
        good("metadata/unknown-chunk.png", lambda: _with_chunk(png_chunk(b"quUx", b"1")), PHOTO),
    ]


def _with_chunk(chunk: bytes) -> bytes:
    data = encoded("PNG")
    return data[:33] + chunk + data[33:]


def odd_jpegs() -> list[Case]:
    """Return JPEGs that few programs write and all read."""
    plain, restarts = encoded, partial(encoded, "JPEG", restart_marker_blocks=3)
    return [
        good("jpeg/progressive.jpg", partial(plain, "JPEG", progressive=True), "alike/plain.jpg"),
        good("jpeg/restarts.jpg", restarts, "alike/plain.jpg"),
        good("jpeg/tail.jpg", lambda: plain("JPEG") + bytes(range(256)) * 40, "alike/plain.jpg"),
        good("jpeg/twice.jpg", lambda: plain("JPEG") * 2, "alike/plain.jpg"),
        good("jpeg/fillers.jpg", lambda: _with_fillers(plain("JPEG")), "alike/plain.jpg", CLOSE),
        good("jpeg/fine.jpg", lambda: fine_jpeg(photo()), PHOTO, LOSSY),
        good("jpeg/poor.jpg", partial(plain, "JPEG", quality=1)),
    ]


def _with_fillers(data: bytes) -> bytes:
    return data[:2] + b"\xff" * 64 + data[2:]


def shapes() -> list[Case]:
    """Return the smallest and the narrowest."""
    return [
        good("shapes/1x1.png", lambda: encoded("PNG", Image.new("RGB", (1, 1), "red"))),
        good("shapes/1x1.jpg", lambda: encoded("JPEG", Image.new("L", (1, 1)))),
        good("shapes/1x20000.png", lambda: encoded("PNG", Image.new("RGB", (1, 20_000), "red"))),
        good("shapes/20000x1.jpg", lambda: encoded("JPEG", Image.new("RGB", (20_000, 1), "red"))),
        good("shapes/65500x2.gif", lambda: encoded("GIF", Image.new("P", (65_500, 2)))),
        good("shapes/clear.png", lambda: png(2, 1, bytes(9), colour=6)),
        good("shapes/extra.png", lambda: patched(encoded("PNG") + b"more", 0, b"\x89")),
    ]
