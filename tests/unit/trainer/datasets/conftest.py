"""Labelled folders of small pictures, made on the spot."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.gathering import Source
from imgq_trainer.datasets.making import make_dataset
from imgq_trainer.datasets.values import Dataset
from imgq_trainer.file_pixels import ReadLimits

LIMITS = ReadLimits(max_pixels=1_000_000, max_file_bytes=1_000_000)

Picture = Callable[[int], Image.Image]
Fill = Callable[..., Path]
Make = Callable[..., Dataset]


def picture(seed: int) -> Image.Image:
    """A picture like no other: coarse noise, 40 x 40."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(noise).resize((40, 40), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Write pictures with these seeds into tmp_path/folder, and return that folder."""

    def fill(folder: str, *seeds: int) -> Path:
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            (path / f"{seed:04}.png").write_bytes(encoded(picture(seed)))
        return path

    return fill


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew(2) as hired:
        yield hired


@pytest.fixture
def make(tmp_path: Path, crew: Crew) -> Make:
    """Make the dataset of tmp_path."""

    def make(**changes: object) -> Dataset:
        settings: dict[str, object] = {
            "manifest": None,
            "group_by": None,
            "limits": LIMITS,
            "crew": crew,
            "stop": lambda: False,
            "progress": lambda done, total: None,
            **changes,
        }
        return make_dataset(tmp_path, **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path, None, None)
