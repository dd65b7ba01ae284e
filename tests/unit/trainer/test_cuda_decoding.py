"""Which files a GPU would decode, and what comes out: by the CPU's decoder in its place."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from imgq_trainer import cuda_decoding
from imgq_trainer.artifacts import Artifact, Preprocessing
from imgq_trainer.cuda_decoding import decode_on_device, device_decodes
from imgq_trainer.plain_jpeg import decode_jpeg, scan_jpeg
from imgq_trainer.preprocessing import Pixels, array_to_pixels

Encode = Callable[..., bytes]
LIMIT = 1_000_000


@pytest.fixture
def how(lite0: Artifact) -> Preprocessing:
    return lite0.model.preprocessing


def on_cpu(files: list[bytes], how: Preprocessing) -> list[Pixels | None]:
    return decode_on_device(files, how, "cpu", max_pixels=LIMIT)


def the_usual_way(data: bytes, how: Preprocessing) -> Pixels:
    jpeg = scan_jpeg(data)
    assert jpeg
    picture = decode_jpeg(jpeg, None)
    assert picture is not None
    return array_to_pixels(picture, how)


def taken(files: list[bytes], how: Preprocessing) -> list[bool]:
    return [pixels is not None for pixels in on_cpu(files, how)]


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_comes_upright_and_cut_as_on_the_cpu(
    encode: Encode, how: Preprocessing, orientation: int
) -> None:
    data = encode("JPEG", quality=90, exif=turned(orientation))
    (found,) = on_cpu([data], how)

    assert found is not None and found.shape == (224, 224, 3)
    apart = np.abs(found.astype(int) - the_usual_way(data, how))
    assert apart.max() <= 2
    assert apart.mean() < 0.02


def test_a_grey_picture_is_decoded_to_three_channels(
    encode: Encode, photo: Image.Image, how: Preprocessing
) -> None:
    (found,) = on_cpu([encode("JPEG", photo.convert("L"))], how)

    assert found is not None
    assert np.array_equal(found[..., 0], found[..., 2])


def test_only_plain_jpegs_are_taken_and_the_rest_is_left_in_place(
    encode: Encode, photo: Image.Image, how: Preprocessing
) -> None:
    plain, small = encode("JPEG"), encode("JPEG", photo.resize((60, 40)))
    others = {
        "png": encode("PNG"),
        "progressive": encode("JPEG", progressive=True),
        "cmyk": encode("JPEG", photo.convert("CMYK")),
        "rgb": encode("JPEG", keep_rgb=True),
        "cut short": plain[: len(plain) // 2],
        "long": encode("JPEG", Image.new("RGB", (990, 30))),
        "too large": encode("JPEG", Image.new("RGB", (1001, 1000))),
        "empty": b"",
    }
    found = taken([plain, *others.values(), small], how)

    assert dict(zip(others, found[1:-1], strict=True)) == dict.fromkeys(others, False)
    assert found[0] and found[-1]


def test_one_file_that_fails_does_not_fail_the_others(
    encode: Encode, how: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = encode("JPEG"), encode("JPEG", quality=30)
    decode = cuda_decoding._call

    def refuse(files: list[bytes], device: torch.device) -> object:
        if bad in files:
            raise RuntimeError("nvjpegDecodeBatched failed: 6")
        return decode(files, device)

    monkeypatch.setattr(cuda_decoding, "_call", refuse)
    assert taken([good, bad, good], how) == [True, False, True]


def test_a_device_without_memory_leaves_the_files_to_the_cpu(
    encode: Encode, how: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(files: list[bytes], device: torch.device) -> object:
        calls.append(len(files))
        raise torch.OutOfMemoryError("none left")

    monkeypatch.setattr(cuda_decoding, "_call", refuse)
    assert taken([encode("JPEG")] * 3, how) == [False] * 3
    assert calls == [3]


def test_a_call_holds_a_bounded_number_of_pixels(
    encode: Encode, how: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_decoding, "CALL_PIXELS", 2 * 150 * 100)
    calls, decode = [], cuda_decoding._call

    def count(files: list[bytes], device: torch.device) -> object:
        calls.append(len(files))
        return decode(files, device)

    monkeypatch.setattr(cuda_decoding, "_call", count)
    assert taken([encode("JPEG")] * 5, how) == [True] * 5
    assert calls == [2, 2, 1]


@pytest.mark.parametrize(
    ("device", "precision", "wanted"),
    [("cpu", "bf16", True), ("cuda:0", "exact", True), ("cuda:0", "bf16", False)],
)
def test_a_device_decodes_only_where_it_is_asked_to_and_never_exactly(
    device: str, precision: str, wanted: bool
) -> None:
    assert not device_decodes(device, precision, wanted=wanted)


def test_a_device_without_nvjpeg_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not device_decodes("cuda:99", "bf16", wanted=True)
    assert "the CPU decodes all pictures: cuda:99 has no nvJPEG" in caplog.text
