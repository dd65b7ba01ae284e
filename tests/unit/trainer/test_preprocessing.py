from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.lite_weights import PREPROCESSING
from imgq_trainer.preprocessing import Pixels, array_to_pixels, to_pixels

Way = Callable[[Image.Image, Preprocessing], Pixels]
REFERENCE = transforms.Compose(
    [
        transforms.Resize(256, interpolation=InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
    ]
)
SIZES = [(640, 427), (427, 640), (300, 300), (256, 256), (255, 511), (31, 17), (224, 900), (1, 9)]


@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_bit_equal_to_torchvisions_on_the_whole_picture(
    photos: Path, size: tuple[int, int]
) -> None:
    picture = Image.open(photos / "china.jpg").convert("RGB").resize(size)

    assert np.array_equal(to_pixels(picture, PREPROCESSING), np.asarray(REFERENCE(picture)))


@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (3, 60_000)])
def test_a_ribbon_of_a_picture_costs_little_and_keeps_its_middle(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "red")
    middle = [max(0, side // 2 - 1) for side in size]
    picture.paste("blue", (middle[0], middle[1], middle[0] + 3, middle[1] + 3))

    pixels = to_pixels(picture, PREPROCESSING)

    assert pixels.shape == (224, 224, 3)
    assert pixels[112, 112].tolist() == [0, 0, 255]


def test_both_ways_of_resizing_agree(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.open(photos / "china.jpg").convert("RGB")
    whole = to_pixels(picture, PREPROCESSING).astype(int)
    monkeypatch.setattr("imgq_trainer.preprocessing.LONG", 0)

    assert np.abs(to_pixels(picture, PREPROCESSING) - whole).max() <= 2


WHITE, RED = [255, 255, 255], [255, 0, 0]
LETTERBOX = replace(PREPROCESSING, resize=8, crop=8, fit="pad")
BOTH_WAYS = pytest.mark.parametrize(
    "way", [lambda p, how: to_pixels(p, how), lambda p, how: array_to_pixels(np.array(p), how)]
)


@BOTH_WAYS
def test_padding_shows_the_whole_picture_on_white(way: Way) -> None:
    pixels = way(Image.new("RGB", (40, 20), "red"), LETTERBOX)

    expected = np.full((8, 8, 3), WHITE, np.uint8)
    expected[2:6] = RED
    assert np.array_equal(pixels, expected)


@BOTH_WAYS
def test_squashing_fills_the_square_with_the_picture(way: Way) -> None:
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("white", (20, 0, 40, 20))

    pixels = way(picture, replace(LETTERBOX, fit="squash", interpolation="bilinear"))

    assert pixels[:, 0].tolist() == [RED] * 8
    assert pixels[:, 7].tolist() == [WHITE] * 8


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (33, 20), (7, 8)])
@pytest.mark.parametrize("fit", ["pad", "squash"])
@BOTH_WAYS
def test_every_shape_of_picture_becomes_the_square(
    way: Way, fit: Literal["pad", "squash"], size: tuple[int, int]
) -> None:
    how = replace(PREPROCESSING, resize=16, crop=12, fit=fit)
    assert way(Image.new("RGB", size), how).shape == (12, 12, 3)
