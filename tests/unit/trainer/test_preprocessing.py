from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from imgq_trainer.lite_weights import PREPROCESSING
from imgq_trainer.preprocessing import to_pixels

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
