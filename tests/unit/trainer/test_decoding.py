import io
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imgq_trainer.decoding import decode, prepare_pillow
from imgq_trainer.outcomes import Code, Rejection, Status

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL")

Encode = Callable[..., bytes]
LIMIT = 1_000_000
READ_FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]


def colour(data: bytes, at: tuple[int, int] = (0, 0)) -> object:
    picture = decode(data, b"a.png", max_pixels=LIMIT)
    assert isinstance(picture, Image.Image), picture
    assert picture.mode == "RGB"
    return picture.getpixel(at)


def code(data: bytes, name: bytes = b"a.jpg") -> tuple[Status, Code]:
    rejection = decode(data, name, max_pixels=LIMIT)
    assert isinstance(rejection, Rejection), rejection
    return rejection.status, rejection.code


@pytest.mark.parametrize("kind", READ_FORMATS)
def test_every_format_gives_the_picture(encode: Encode, photo: Image.Image, kind: str) -> None:
    picture = decode(encode(kind), b"a", max_pixels=LIMIT)

    assert isinstance(picture, Image.Image)
    difference = np.abs(np.asarray(picture, float) - np.asarray(photo, float)).mean()
    assert (picture.mode, picture.size) == ("RGB", photo.size)
    assert difference < (0.001 if kind in ("PNG", "BMP", "TIFF") else 12)


@pytest.mark.parametrize("kind", READ_FORMATS)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_file_that_ends_too_early_is_truncated(encode: Encode, kind: str, kept: float) -> None:
    data = encode(kind)

    assert code(data[: int(len(data) * kept)]) == (Status.FAILED, Code.TRUNCATED)


def test_a_jpeg_without_its_last_marker_is_truncated(encode: Encode) -> None:
    assert code(encode("JPEG")[:-2]) == (Status.FAILED, Code.TRUNCATED)


def damage(data: bytes, at: int, patch: bytes) -> bytes:
    return data[:at] + patch + data[at + len(patch) :]


def test_damaged_files_are_corrupt(encode: Encode) -> None:
    jpeg, png, webp = encode("JPEG"), encode("PNG"), encode("WEBP")
    damaged = [
        damage(jpeg, 20, b"\xff" * 20),
        damage(png, 16, bytes(8)),  # 0 x 0 pixels
        damage(png, png.index(b"IDAT") + 4, b"\xff" * 20),
        damage(webp, 20, bytes(30)),
        damage(encode("BMP"), 28, b"\7"),  # 7 bits a pixel
        damage(encode("AVIF"), 30, bytes(40)),
    ]

    assert {code(data) for data in damaged} == {(Status.FAILED, Code.CORRUPT)}


def test_what_is_no_picture_is_judged_by_its_name() -> None:
    assert code(b"some text", b"notes.txt") == (Status.SKIPPED, Code.NOT_AN_IMAGE)
    assert code(b"some text", b"photo.jpg") == (Status.FAILED, Code.NOT_AN_IMAGE)


def test_postscript_is_never_run() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\nshowpage\n"

    assert code(eps, b"eps.jpg") == (Status.FAILED, Code.UNSUPPORTED_FORMAT)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("size", "limit", "detail"),
    [
        ((13_000, 13_000), 100_000_000, "13000 x 13000 pixels, over the limit of 100000000 pixels"),
        ((60_000, 60_000), 100_000_000, "over the limit of 100000000 pixels"),
        ((1001, 1000), 1_000_000, "1001 x 1000 pixels, over the limit of 1000000 pixels"),
    ],
)
def test_a_bomb_is_refused_by_its_header_without_a_warning(
    size: tuple[int, int], limit: int, detail: str
) -> None:
    with warnings.catch_warnings():
        prepare_pillow(limit)
        rejection = decode(png_header(*size), b"bomb.png", max_pixels=limit)

    assert rejection == Rejection(Status.FAILED, Code.TOO_LARGE, detail)


def webp_promising(side: int) -> bytes:
    """A lossless WebP of one colour: so few bytes whatever its size."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "WEBP", lossless=True)
    at = buffer.getvalue().index(b"VP8L") + 9
    return damage(buffer.getvalue(), at, struct.pack("<I", (side - 1) | (side - 1) << 14))


def test_34_bytes_that_promise_a_gigabyte_are_a_bomb() -> None:
    data = webp_promising(9_990)

    assert decode(data, b"a.webp", max_pixels=100_000_000) == Rejection(
        Status.FAILED, Code.TOO_LARGE, "9990 x 9990 pixels in 34 bytes: a decompression bomb"
    )
    assert isinstance(decode(webp_promising(900), b"a.webp", max_pixels=LIMIT), Image.Image)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_too_few_bytes_for_its_size_is_not_filled_with_grey(
    encode: Encode, progressive: bool
) -> None:
    data = encode("JPEG", Image.new("RGB", (16, 16)), progressive=progressive)
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    lying = damage(data, frame + 5, struct.pack(">HH", 700, 900))

    assert code(lying) == (Status.FAILED, Code.CORRUPT)
    flat = encode("JPEG", Image.new("L", (900, 700)), optimize=True, progressive=progressive)
    assert isinstance(decode(flat, b"a.jpg", max_pixels=LIMIT), Image.Image)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_grey_of_many_bits_is_the_same_in_bands(
    monkeypatch: pytest.MonkeyPatch, kind: type[np.generic]
) -> None:
    random = np.random.default_rng(7)
    data = tiff_of(Image.fromarray(random.integers(0, 60_000, (50, 40)).astype(kind)))
    whole = decode(data, b"a.tif", max_pixels=LIMIT)
    monkeypatch.setattr("imgq_trainer.grey_levels.BAND_PIXELS", 120)

    assert decode(data, b"a.tif", max_pixels=LIMIT) == whole


def test_a_raised_limit_is_not_held_back_by_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with warnings.catch_warnings():
        prepare_pillow(LIMIT)
        picture = decode(png_of(Image.new("RGB", (100, 100))), b"a.png", max_pixels=LIMIT)

    assert isinstance(picture, Image.Image)


def png_of(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def tiff_of(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    return buffer.getvalue()


def palette_with_transparency(data: bytes | int) -> bytes:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    return png_of(image, transparency=data)


MODES: list[tuple[str, bytes, object]] = [
    ("1-bit", png_of(Image.new("1", (2, 2), 1)), (255, 255, 255)),
    ("grey", png_of(Image.new("L", (2, 2), 77)), (77, 77, 77)),
    ("transparent grey", png_of(Image.new("LA", (2, 2), (0, 0))), (255, 255, 255)),
    ("opaque", png_of(Image.new("RGBA", (2, 2), (9, 8, 7, 255))), (9, 8, 7)),
    ("transparent", png_of(Image.new("RGBA", (2, 2), (9, 8, 7, 0))), (255, 255, 255)),
    ("half transparent", png_of(Image.new("RGBA", (2, 2), (255, 0, 0, 128))), (255, 127, 127)),
    ("palette, one clear colour", palette_with_transparency(0), (255, 255, 255)),
    ("palette, half clear", palette_with_transparency(b"\x80\xff"), (255, 127, 127)),
    ("colour key", png_of(Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3)), (255,) * 3),
    ("16-bit", png_of(Image.fromarray(np.full((2, 2), 40_000, np.uint16))), (156, 156, 156)),
    ("16-bit white", png_of(Image.fromarray(np.full((2, 2), 65_535, np.uint16))), (255,) * 3),
    ("16-bit TIFF", tiff_of(Image.fromarray(np.full((2, 2), 257, np.uint16))), (1, 1, 1)),
    ("32-bit, 8 used", tiff_of(Image.fromarray(np.array([[200, 0]], np.int32))), (200,) * 3),
    ("32-bit, 16 used", tiff_of(Image.fromarray(np.array([[40_000, 0]], np.int32))), (156,) * 3),
    ("32-bit", tiff_of(Image.fromarray(np.array([[10**8, -(10**8)]], np.int32))), (255,) * 3),
    ("float 0..1", tiff_of(Image.fromarray(np.array([[0.5, 0]], np.float32))), (128,) * 3),
    ("float 0..255", tiff_of(Image.fromarray(np.array([[90.0, 0]], np.float32))), (90,) * 3),
    ("float nan", tiff_of(Image.fromarray(np.array([[np.nan, 1]], np.float32))), (0, 0, 0)),
    ("float flat", tiff_of(Image.fromarray(np.array([[-5.0, -5]], np.float32))), (0, 0, 0)),
    ("CMYK", tiff_of(Image.new("CMYK", (2, 2), (0, 255, 255, 0))), (255, 0, 0)),
]


@pytest.mark.parametrize(
    ("data", "expected"), [case[1:] for case in MODES], ids=[c[0] for c in MODES]
)
def test_every_kind_of_pixel_becomes_rgb(data: bytes, expected: object) -> None:
    assert colour(data) == expected


def test_lab_pixels_become_rgb() -> None:
    white = tiff_of(Image.new("LAB", (2, 2), (255, 128, 128)))

    assert np.abs(np.array(colour(white)) - 255).max() <= 3


def test_jpegs_of_other_colours_become_rgb(encode: Encode) -> None:
    red = Image.new("RGB", (16, 16), "red")

    pixels = [colour(encode("JPEG", red.convert(mode))) for mode in ("CMYK", "YCbCr")]
    assert np.abs(np.array(pixels) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_of_many_frames_the_first_is_taken(encode: Encode, kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), name) for name in ("red", "blue", "lime")]
    data = encode(kind, frames[0], save_all=True, append_images=frames[1:])

    assert np.abs(np.array(colour(data, (16, 16))) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation_is_applied(encode: Encode, kind: str, orientation: int) -> None:
    upright = Image.new("RGB", (32, 16), "black")
    upright.paste("white", (0, 0, 8, 8))  # a white corner, top left
    turns = [None, None, 0, 3, 1, 5, 2, 6, 4]  # what a camera held so would have stored
    back = turns[orientation]
    stored = upright if back is None else upright.transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation

    picture = decode(encode(kind, stored, exif=exif), b"a", max_pixels=LIMIT)

    assert isinstance(picture, Image.Image)
    assert picture.size == (32, 16)
    assert np.asarray(picture)[2, 2].min() > 200


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0junk" * 9]
)
def test_damaged_exif_does_not_cost_the_picture(encode: Encode, exif: bytes) -> None:
    assert isinstance(decode(encode("JPEG", exif=exif), b"a", max_pixels=LIMIT), Image.Image)


def test_having_no_memory_is_told_as_that(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", refuse)
    assert code(encode("PNG")) == (Status.FAILED, Code.OUT_OF_MEMORY)


Mutation = tuple[int, bytes, float]
MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(READ_FORMATS), patches=MUTATIONS, kept=st.floats(0, 1), cut=st.booleans()
)
def test_no_bytes_make_decoding_raise(
    encode: Encode, kind: str, patches: list[tuple[float, bytes]], kept: float, cut: bool
) -> None:
    data = encode(kind, Image.new("RGB", (24, 18), "orange"))
    for place, patch in patches:
        data = damage(data, int(place * (len(data) - len(patch))), patch)
    if cut:
        data = data[: int(kept * len(data))]

    outcome = decode(data, b"a.png", max_pixels=LIMIT)

    assert isinstance(outcome, Image.Image | Rejection)
    assert not isinstance(outcome, Image.Image) or outcome.mode == "RGB"
