"""Folders of distinct JPEG files, composed of real photographs."""

import functools
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

PHOTOS = Path(__file__).parent.parent / "demo" / "photos"
FILES_A_FOLDER = 10_000
QUALITY = 90
START_OF_IMAGE, COMMENT = b"\xff\xd8", b"\xff\xfe"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """What pictures are like. grain: standard deviation of the noise, in levels, from and to."""

    name: str
    size: tuple[int, int]
    grain: tuple[float, float]


#: about 100 kB each, as in ImageNet
SMALL = Kind("500x375", (500, 375), (6, 16))
#: 12 megapixels, as from a camera
LARGE = Kind("4000x3000", (4000, 3000), (4, 4))


def make_folder(under: Path, kind: Kind, count: int, *, composed: int, say: Say) -> Path:
    """Return a folder of so many files, made now unless an earlier run has left it.

    composed: how many differ in what they show; the others repeat them under another comment in
    the header, which is another file with another digest, decoded all the same.
    """
    folder = under / f"{kind.name}-{count}-of-{composed}"
    if folder.is_dir():
        return folder
    say(f"making {count} pictures of {kind.name}")
    unfinished = under / f".{folder.name}.{os.getpid()}"
    for first in range(0, count, FILES_A_FOLDER):
        (unfinished / f"{first // FILES_A_FOLDER:03d}").mkdir(parents=True)
    try:
        with ProcessPoolExecutor() as pool:
            write = partial(write_variants, unfinished, kind, count, composed)
            for _ in pool.map(write, range(min(composed, count)), chunksize=4):
                pass
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def few_of(folder: Path, count: int) -> Path:
    """Return a folder beside it with links to its first files, all in one folder below."""
    few = folder.with_name(f"{folder.name}-first-{count}")
    if not few.is_dir():
        unfinished = few.with_name(f".{few.name}.{os.getpid()}")
        (unfinished / "000").mkdir(parents=True)
        for path in pictures_in(folder)[:count]:
            (unfinished / "000" / path.name).hardlink_to(path)
        unfinished.rename(few)
    return few


def pictures_in(folder: Path) -> list[Path]:
    """Return all pictures below a folder, in order."""
    return sorted(folder.rglob("*.jpg"))


def renew(folder: Path, comment: str) -> None:
    """Give every file another comment: other bytes, another time, the same picture."""
    for path in pictures_in(folder):
        data = path.read_bytes()
        length = int.from_bytes(data[4:6], "big")
        beside = path.with_name(f".{path.name}")
        beside.write_bytes(with_comment(START_OF_IMAGE + data[4 + length :], comment))
        beside.replace(path)  # never into a file that others link to
    if hasattr(os, "sync"):
        os.sync()  # or it would still be written while others are measured


def write_variants(folder: Path, kind: Kind, count: int, composed: int, seed: int) -> None:
    """Write the files that show composition number `seed`."""
    first = folder / f"{seed // FILES_A_FOLDER:03d}" / f"{seed:06d}.jpg"
    compose(seed, kind).save(first, quality=QUALITY)
    data = first.read_bytes()
    for number in range(seed, count, composed):
        path = folder / f"{number // FILES_A_FOLDER:03d}" / f"{number:06d}.jpg"
        path.write_bytes(with_comment(data, f"picture {number}"))


def with_comment(data: bytes, comment: str) -> bytes:
    """Return a JPEG with a comment right behind its start."""
    text = comment.encode()
    head = START_OF_IMAGE + COMMENT + (len(text) + 2).to_bytes(2, "big") + text
    return head + data.removeprefix(START_OF_IMAGE)


def compose(seed: int, kind: Kind) -> Image.Image:
    """Put cuts of several photos together, change the light, add grain."""
    random = np.random.default_rng(seed)
    photos = read_photos()
    image = cut(random, photos, kind.size)
    if random.random() < 0.25:
        image = Image.blend(image, cut(random, photos, kind.size), 0.5)
    for _ in range(random.integers(0, 3)):
        paste(random, image, photos)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast):
        image = enhance(image).enhance(random.uniform(0.8, 1.2))
    grain = random.standard_normal((image.height, image.width, 1), np.float32)
    levels = np.asarray(image) + grain * random.uniform(*kind.grain)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


@functools.cache
def read_photos() -> list[Image.Image]:
    """Return the photographs that every composition is cut from."""
    return [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]


def cut(
    random: np.random.Generator, photos: list[Image.Image], size: tuple[int, int]
) -> Image.Image:
    """Return a random part of a random photo at a size, mirrored or not."""
    photo = photos[random.integers(len(photos))]
    scale = random.uniform(0.45, 1) * min(photo.width / size[0], photo.height / size[1])
    wide, high = int(size[0] * scale), int(size[1] * scale)
    left = int(random.integers(photo.width - wide + 1))
    top = int(random.integers(photo.height - high + 1))
    part = photo.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + wide, top + high))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else part


def paste(random: np.random.Generator, image: Image.Image, photos: list[Image.Image]) -> None:
    """Lay a turned part of a photo somewhere onto the picture."""
    share = random.uniform(0.3, 0.7)
    part = cut(random, photos, (int(image.width * share), int(image.height * share)))
    turned = part.convert("RGBA").rotate(
        random.uniform(-15, 15), Image.Resampling.BILINEAR, expand=True
    )
    left = int(random.integers(max(1, image.width - turned.width)))
    top = int(random.integers(max(1, image.height - turned.height)))
    image.paste(turned, (left, top), turned)
