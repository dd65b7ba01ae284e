"""Copies of a picture are found, and nothing else is taken for one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgq_trainer.datasets import likeness
from imgq_trainer.datasets.fingerprints import LENGTH, Fingerprint, fingerprint
from imgq_trainer.datasets.likeness import (
    MOST_COMPARED,
    MOST_LOOKED_AT,
    Indices,
    Looks,
    like_pairs,
)
from imgq_trainer.errors import Stopped
from imgq_trainer.memory import MemoryBudget
from imgq_trainer.outcomes import Rejection

from .conftest import encoded, picture

Change = Callable[[Image.Image], bytes]


def resized(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 9 // 10, image.height * 9 // 10), Image.Resampling.LANCZOS)


COPIES: dict[str, Change] = {
    "jpeg": lambda image: encoded(image, "JPEG", quality=75),
    "resized": lambda image: encoded(resized(image)),
    "brighter": lambda image: encoded(image.point(lambda value: min(255, round(value * 1.05)))),
    "all": lambda image: encoded(resized(image), "JPEG", quality=85),
}


def trousers(seed: int) -> Image.Image:
    """Grey legs of 28 x 28, each with its own cut: pictures that are hard to tell apart."""
    random = np.random.default_rng(seed)
    image = Image.new("L", (280, 280))
    draw = ImageDraw.Draw(image)
    top, hip, cut, leg = random.integers([10, 60, 60, 30], [40, 120, 140, 60]).tolist()
    shade = int(random.integers(90, 250))
    for side in (-1, 1):
        corners = [(0, top), (hip, top), (hip, 270), (hip - leg, 270), (0, cut)]
        draw.polygon([(140 + side * x, y) for x, y in corners], fill=shade)
    weave = random.normal(0, 20, (28, 28))
    grey = np.asarray(image.resize((28, 28), Image.Resampling.BOX)) * 1.0
    return Image.fromarray(np.clip(grey + weave * (grey > 0), 0, 255).astype(np.uint8))


def look(data: bytes) -> Fingerprint:
    seen = fingerprint(data, b"a.png", max_pixels=10**7, budget=MemoryBudget(1 << 26))
    assert not isinstance(seen, Rejection)
    return seen


def pairs(seen: Sequence[Fingerprint]) -> set[tuple[int, int]]:
    sizes = np.array([(each.width, each.height) for each in seen], np.int32)
    looks = Looks(np.stack([each.pixels for each in seen]), sizes)
    found = like_pairs(looks, lambda: False)
    return {
        (min(pair), max(pair))
        for ones, others in found
        for pair in zip(ones.tolist(), others.tolist(), strict=True)
    }


@pytest.mark.parametrize("copy", COPIES)
def test_a_photos_copy_is_found_and_only_that(photos: Path, copy: str) -> None:
    images = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*.jpg"))]
    images += [picture(seed) for seed in range(60)]
    seen = [look(encoded(image)) for image in images]
    seen += [look(COPIES[copy](image)) for image in images]
    assert pairs(seen) == {(i, i + len(images)) for i in range(len(images))}


@pytest.mark.parametrize("copy", ["jpeg", "brighter"])
def test_small_grey_pictures_of_one_kind_do_not_collapse(copy: str) -> None:
    images = [trousers(seed) for seed in range(200)]
    seen = [look(encoded(image)) for image in images]
    assert pairs(seen) == set()
    found = pairs([*seen, *(look(COPIES[copy](image)) for image in images)])
    true = {(i, i + len(images)) for i in range(len(images))}
    assert len(found - true) <= 2
    assert len(found & true) >= 190


def test_another_shape_another_colour_or_darkness_is_another_picture() -> None:
    image = picture(1)
    red, green, blue = image.split()
    others = [
        image.resize((40, 60)),
        Image.merge("RGB", (green, red, blue)),
        image.point(lambda value: value // 2),
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ]
    assert pairs([look(encoded(each)) for each in (image, *others)]) == set()


def test_pictures_that_show_nothing_are_like_no_other() -> None:
    blanks = [Image.new("RGB", (side, side), "white") for side in (1, 40, 40)]
    assert pairs([look(encoded(each)) for each in blanks]) == set()


def test_pictures_of_one_scene_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    random, compared = np.random.default_rng(0), 0
    shared = random.integers(60, 190, LENGTH)
    pixels = np.clip(shared + random.integers(-20, 20, (1000, LENGTH)), 0, 255).astype(np.uint8)

    def count(looks: Looks, ones: Indices, others: Indices) -> Indices:
        nonlocal compared
        compared += len(ones)
        return np.zeros(0, np.int64)

    monkeypatch.setattr(likeness, "_alike", count)
    assert [*like_pairs(Looks(pixels, np.full((1000, 2), 28, np.int32)), lambda: False)]
    assert 50_000 < compared < 1000 * (MOST_LOOKED_AT + MOST_COMPARED)


def test_comparing_stops_when_asked() -> None:
    looks = Looks(np.zeros((5, LENGTH), np.uint8), np.ones((5, 2), np.int32))
    with pytest.raises(Stopped):
        list(like_pairs(looks, lambda: True))
