"""A look at some pictures' headers: their sizes, and whether they have transparency."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.datasets.values import Example
from imgq_trainer.decoding import prepare_pillow, read_header
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.outcomes import Rejection
from imgq_trainer.reading import Found, find, open_root, read

#: how many pictures are looked at
SAMPLE = 400
#: Cutting out the centre is what networks are used to from photos. It is right for the shapes of
#: photos, up to 3 : 2, and wrong for what has no surroundings that could be cut away.
PHOTO_SHAPE = 1.55
PHOTO_SIDE = 128
#: as much of the sample must be as the whole is said to be
MOST = 0.9
FEW = 0.1
Fit = Literal["crop", "pad", "squash"]


@dataclass(frozen=True, slots=True)
class Looks:
    """sizes: width and height of each, in pixels. transparent: how many have transparency."""

    sizes: tuple[tuple[int, int], ...]
    transparent: int

    @property
    def uniform_side(self) -> int | None:
        """The longer side, if all pictures are of one size and about square."""
        if len(set(self.sizes)) != 1:
            return None
        short, long = sorted(self.sizes[0])
        return long if long <= PHOTO_SHAPE * short else None

    def fit(self) -> Literal["crop", "pad"]:
        """Choose how these pictures become squares."""
        shapes = [max(size) / min(size) for size in self.sizes]
        photos = [
            shape <= PHOTO_SHAPE and min(size) >= PHOTO_SIDE
            for shape, size in zip(shapes, self.sizes, strict=True)
        ]
        opaque = self.transparent <= FEW * len(self.sizes)
        return "crop" if opaque and photos and np.mean(photos) >= MOST else "pad"


def look_at(root: Path, examples: Sequence[Example], limits: ReadLimits) -> Looks:
    """Read headers of some examples, the same ones each time; what cannot be read is left out."""
    prepare_pillow(limits.max_pixels)
    some = sorted(examples, key=lambda example: example.digest)[:SAMPLE]
    sizes, transparent = [], 0
    with open_root(root) as folder:
        for example in some:
            found = find(folder, example.path, max_file_bytes=limits.max_file_bytes)
            if not isinstance(found, Found):
                continue
            with found:
                content = read(found)
            if isinstance(content, Rejection):
                continue
            header = read_header(content.data, example.path, max_pixels=limits.max_pixels)
            if not isinstance(header, Rejection):
                sizes.append(header.image.size)
                transparent += _has_transparency(header.image)
    return Looks(tuple(sizes), transparent)


def fitted(how: Preprocessing, fit: Fit, side: int | None) -> Preprocessing:
    """Return the preprocessing with another fit, and another side of what the network sees.

    What is cut away is a multiple of 4 pixels: then the centre of the centre is serving's centre,
    however its odd halves are rounded.
    """
    crop = side or how.crop
    around = 4 * round(crop * (how.resize / how.crop - 1) / 4) if fit == "crop" else 0
    return replace(how, resize=crop + around, crop=crop, fit=fit)


def _has_transparency(image: Image.Image) -> bool:
    return "A" in image.mode or "a" in image.mode or "transparency" in image.info
