"""A WebP's size, as Pillow says it, without Pillow."""

import io
from typing import Any

import pytest
from PIL import Image

from imgq_trainer import decoding
from imgq_trainer.decoding import decode
from imgq_trainer.outcomes import Code, Rejection
from imgq_trainer.webp import webp_size

KINDS: dict[str, dict[str, Any]] = {
    "lossy": {},
    "lossless": {"lossless": True},
    "extended": {"exif": Image.Exif()},
    "animated": {"save_all": True, "append_images": [Image.new("RGB", (301, 7), "red")]},
}


def encoded(kind: str) -> bytes:
    options = KINDS[kind]
    if kind == "extended":
        options["exif"][0x0112] = 1
    buffer = io.BytesIO()
    Image.new("RGB", (301, 7), "blue").save(buffer, "WEBP", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_told_by_the_first_bytes(kind: str) -> None:
    assert webp_size(encoded(kind)[:30]) == (301, 7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_before_its_size_tells_none(kind: str) -> None:
    assert {webp_size(encoded(kind)[:length]) for length in range(30)} == {None}


def test_a_first_chunk_of_another_kind_tells_none() -> None:
    assert webp_size(b"RIFF\x30\0\0\0WEBPALPH" + bytes(40)) is None


@pytest.mark.parametrize(("room", "code"), [(True, Code.CORRUPT), (False, Code.OUT_OF_MEMORY)])
def test_a_file_that_cannot_be_opened_is_damaged_only_if_there_was_memory_to(
    monkeypatch: pytest.MonkeyPatch, room: bool, code: Code
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("could not create decoder object")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(decoding, "has_memory_to_open", lambda size: room and size == (301, 7))
    rejection = decode(encoded("lossless"), b"a.webp", max_pixels=10**6)
    assert isinstance(rejection, Rejection)
    assert rejection.code is code
