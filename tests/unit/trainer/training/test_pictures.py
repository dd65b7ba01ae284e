import errno
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.errors import DatasetChanged
from imgq_trainer.datasets.values import Example, Split
from imgq_trainer.errors import Stopped
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.preprocessing import to_pixels
from imgq_trainer.training.embedding import centre
from imgq_trainer.training.looking import Looks, fitted, look_at
from imgq_trainer.training.pictures import decoded_pictures, store_pictures, stored_bytes

LIMITS = ReadLimits(10**6, 10**7)
HOW = Preprocessing(24, 20, "bicubic", (0.5,) * 3, (0.5,) * 3)


def examples_in(root: Path) -> list[Example]:
    return [
        Example(
            bytes(path.relative_to(root)),
            0,
            Split.TRAIN,
            hashlib.sha256(path.read_bytes()).digest(),
            None,
            number,
        )
        for number, path in enumerate(sorted(root.glob("*/*.png")))
    ]


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_training_sees_the_pixels_that_serving_sees(
    folder: Path, crew: Crew, fit: Literal["crop", "pad", "squash"]
) -> None:
    for number, path in enumerate(sorted(folder.glob("*/*.png"))[:5]):
        Image.open(path).resize((40 + number, 31)).save(path)
    examples, how = examples_in(folder), replace(HOW, fit=fit)
    with decoded_pictures(folder, examples, how, LIMITS, crew) as pictures:
        seen = centre(pictures.take(range(5)), how.crop)

    for row, example in enumerate(examples[:5]):
        image = Image.open(folder / example.path.decode())
        assert np.array_equal(seen[row], to_pixels(image, how))


def test_stored_pictures_are_the_decoded_ones_and_stored_once(
    folder: Path, tmp_path: Path, crew: Crew
) -> None:
    with decoded_pictures(folder, examples_in(folder), HOW, LIMITS, crew) as pictures:
        stored = store_pictures(
            pictures, tmp_path / "cache", lambda: False, lambda done, total: None
        )
        assert np.array_equal(stored.take([7, 3, 41]), pictures.take([7, 3, 41]))

        for path in folder.glob("*/*.png"):
            path.unlink()
        again = store_pictures(
            pictures, tmp_path / "cache", lambda: False, lambda done, total: None
        )
    assert np.array_equal(again.pixels, stored.pixels)


def test_a_picture_that_changed_is_named(folder: Path, tmp_path: Path, crew: Crew) -> None:
    examples = examples_in(folder)
    Image.new("RGB", (5, 5)).save(folder / "red" / "03.png")
    with decoded_pictures(folder, examples, HOW, LIMITS, crew) as pictures:
        with pytest.raises(DatasetChanged, match=r"red/03\.png"):
            store_pictures(pictures, tmp_path / "cache", lambda: False, lambda done, total: None)


def test_decoding_stops_when_told_to(folder: Path, tmp_path: Path, crew: Crew) -> None:
    with decoded_pictures(folder, examples_in(folder), HOW, LIMITS, crew) as pictures:
        with pytest.raises(Stopped):
            store_pictures(pictures, tmp_path / "cache", lambda: True, lambda done, total: None)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_look_tells_sizes_and_transparency(folder: Path) -> None:
    Image.new("RGBA", (9, 9)).save(folder / "red" / "03.png")
    looks = look_at(folder, examples_in(folder), LIMITS)
    assert (sorted(set(looks.sizes)), looks.transparent) == ([(9, 9), (32, 32)], 1)


@pytest.mark.parametrize(
    ("size", "transparent", "fit", "side"),
    [
        ((640, 427), 0, "crop", 640),
        ((1920, 1080), 0, "pad", None),
        ((640, 427), 30, "pad", 640),
        ((28, 28), 0, "pad", 28),
    ],
)
def test_how_pictures_become_squares_is_seen_from_them(
    size: tuple[int, int], transparent: int, fit: str, side: int | None
) -> None:
    looks = Looks((size,) * 100, transparent)
    assert (looks.fit(), looks.uniform_side) == (fit, side)


def test_only_a_crop_has_surroundings() -> None:
    crop, pad = fitted(HOW, "crop", 41), fitted(HOW, "pad", None)
    assert (crop.resize, crop.crop) == (49, 41)
    assert (pad.resize, pad.crop, pad.fit) == (20, 20, "pad")


def test_a_disk_that_runs_full_is_told_before_anything_is_decoded(
    folder: Path, tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(_file: int, _start: int, size: int) -> None:
        asked.append(size)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", refuse, raising=False)
    told: list[int] = []
    with decoded_pictures(folder, examples_in(folder), HOW, LIMITS, crew) as pictures:
        with pytest.raises(OSError, match="No space"):
            store_pictures(
                pictures, tmp_path / "cache", lambda: False, lambda done, _: told.append(done)
            )
    assert (asked[0] >= stored_bytes(42, HOW), told) == (True, [])
