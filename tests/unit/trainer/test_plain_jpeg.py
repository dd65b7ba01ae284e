import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imgq_trainer import plain_jpeg
from imgq_trainer.decoding import decode
from imgq_trainer.plain_jpeg import PlainJpeg, decode_jpeg, scan_jpeg
from imgq_trainer.preprocessing import Pixels

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL")

Encode = Callable[..., bytes]


def fast(data: bytes, least_side: int | None = None) -> Pixels | None:
    jpeg = scan_jpeg(data)
    return None if jpeg is None else decode_jpeg(jpeg, least_side)


def is_pillows(found: Pixels | None, data: bytes) -> bool:
    """Tell whether these are the pixels that Pillow gives, to the last bit."""
    picture = decode(data, b"a.jpg", max_pixels=10**8)
    assert isinstance(picture, Image.Image), picture
    return found is not None and np.array_equal(found, np.asarray(picture))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"subsampling": 0},
        {"subsampling": 1},
        {"quality": 30, "optimize": True},
        {"restart_marker_rows": 1},
        {"comment": b"a comment"},
        {"keep_rgb": True},
    ],
)
def test_pixels_are_bit_equal_to_pillows(encode: Encode, options: dict[str, object]) -> None:
    data = encode("JPEG", **options)

    assert is_pillows(fast(data), data)


def test_grey_becomes_rgb(encode: Encode, photo: Image.Image) -> None:
    data = encode("JPEG", photo.convert("L"))

    assert is_pillows(fast(data), data)


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_is_applied_as_pillow_does(
    encode: Encode, photo: Image.Image, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode("JPEG", exif=exif)

    assert is_pillows(fast(data), data)


def test_orientation_is_found_in_xmp_too(encode: Encode) -> None:
    data = encode("JPEG", xmp=b'<x tiff:Orientation="6"/>')

    picture = fast(data)
    assert picture is not None
    assert picture.shape == (150, 100, 3)
    assert is_pillows(picture, data)


def test_the_header_is_read_without_decoding(encode: Encode) -> None:
    data = encode("JPEG", progressive=True)

    assert scan_jpeg(data) == PlainJpeg(data, 150, 100, progressive=True, orientation=1)


def test_what_is_unusual_is_left_to_pillow(encode: Encode, photo: Image.Image) -> None:
    plain = encode("JPEG")
    unusual = {
        "CMYK": encode("JPEG", photo.convert("CMYK")),
        "PNG": encode("PNG"),
        "cut in the header": plain[:100],
        "no marker where one must be": plain[:20] + b"\0" * 20 + plain[40:],
        "nothing": b"",
        "the start alone": b"\xff\xd8\xff",
    }

    assert {name: scan_jpeg(data) for name, data in unusual.items()} == dict.fromkeys(unusual)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_jpeg_that_is_cut_short_is_left_to_pillow(encode: Encode, kept: float) -> None:
    data = encode("JPEG")

    assert fast(data[: int(len(data) * kept)]) is None
    assert fast(data[:-2]) is None


def test_without_the_package_everything_is_left_to_pillow(
    encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_jpeg, "_turbo", lambda: False)

    assert scan_jpeg(encode("JPEG")) is None
    name = f"decode-3-pillow-{PIL.__version__}-torch-{torch.__version__}"
    assert plain_jpeg.decoder_name() == name


@pytest.mark.parametrize("library", [PIL, torch])
def test_another_version_of_what_makes_pixels_is_another_decoder(
    library: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plain_jpeg.decoder_name()
    assert f"turbo-{importlib.metadata.version('simplejpeg')}" in before

    monkeypatch.setattr(library, "__version__", "99.9")

    assert plain_jpeg.decoder_name() != before


@pytest.mark.parametrize(
    ("size", "least_side", "divisor"),
    [
        ((4000, 3000), 512, 4),
        ((3000, 4000), 512, 4),
        ((4096, 4096), 512, 8),
        ((1600, 1024), 512, 2),
        ((1600, 1023), 512, 1),
        ((4000, 3000), None, 1),
    ],
)
def test_only_what_stays_large_enough_is_shrunk(
    size: tuple[int, int], least_side: int | None, divisor: int
) -> None:
    assert PlainJpeg(b"", *size, False, 1).divisor(least_side) == divisor


def test_memory_is_counted_by_what_is_decoded() -> None:
    jpeg = PlainJpeg(b"", 4000, 3000, progressive=False, orientation=1)
    slow = PlainJpeg(b"", 4000, 3000, progressive=True, orientation=1)

    needs = [one.memory_bytes(side) / 12e6 for one in (jpeg, slow) for side in (None, 512)]
    assert needs == [6, 6 / 16, 12, 6 + 6 / 16]


def test_a_large_photo_is_shrunk_with_little_harm(encode: Encode, photos: Path) -> None:
    with Image.open(photos / "china.jpg") as image:
        large = image.resize((2563, 1709), Image.Resampling.BICUBIC)
    data = encode("JPEG", large, quality=90)

    picture = fast(data, 512)
    assert picture is not None
    assert picture.shape == (855, 1282, 3)
    half = large.reduce(2).resize((1282, 855))
    assert np.abs(picture.astype(float) - np.asarray(half)).mean() < 1.5


Mutation = tuple[float, bytes]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    patches=st.lists(
        st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=3
    ),
    progressive=st.booleans(),
)
def test_what_damaged_bytes_give_is_what_pillow_gives(
    encode: Encode, patches: list[Mutation], progressive: bool
) -> None:
    data = encode("JPEG", progressive=progressive, restart_marker_rows=2)
    for place, patch in patches:
        at = int(place * (len(data) - len(patch)))
        data = data[:at] + patch + data[at + len(patch) :]

    found = fast(data)

    assert found is None or is_pillows(found, data)
