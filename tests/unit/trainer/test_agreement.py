"""The fast path beside the plain one, Pillow and torch in fp32, on several hundred pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgq_trainer.classifier import Classifier, Probabilities
from imgq_trainer.outcomes import Prediction
from imgq_trainer.pipeline import ReadLimits, classify_files
from imgq_trainer.preprocessing import to_pixels

Encode = Callable[..., bytes]
LIMITS = ReadLimits(max_pixels=10**7, max_file_bytes=10**7)


@pytest.fixture(scope="module")
def folder(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cuts of the photos as 240 JPEG files of different sizes and qualities."""
    folder, random = tmp_path_factory.mktemp("cuts"), np.random.default_rng(11)
    images = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*.jpg"))]
    for number in range(240):
        image = images[number % len(images)]
        width, height = (int(random.uniform(0.4, 1) * side) for side in image.size)
        left, top = (
            int(random.uniform(0, 1) * (s - t))
            for s, t in zip(image.size, (width, height), strict=True)
        )
        cut = image.crop((left, top, left + width, top + height))
        cut.save(folder / f"{number:03d}.jpg", quality=int(random.integers(70, 96)))
    return folder


@pytest.fixture(scope="module")
def plain(folder: Path, by_torch: Classifier) -> Probabilities:
    """What Pillow and torch say: (240, 1000)."""
    rows = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            pixels = to_pixels(image.convert("RGB"), by_torch.preprocessing)
        rows.append(by_torch.probabilities(pixels[None])[0])
    return np.stack(rows)


def labels(classifier: Classifier, folder: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    names = [path.name.encode() for path in sorted(folder.iterdir())]
    outcomes = classify_files(classifier, folder, names, top_k=1, limits=LIMITS)
    return np.array([found.top[0] for found in outcomes if isinstance(found, Prediction)])


def test_exact_mode_gives_the_labels_of_the_plain_way(
    classifier: Classifier, folder: Path, plain: Probabilities
) -> None:
    same = labels(classifier, folder) == plain.argmax(axis=1)

    assert same[plain.max(axis=1) > 0.3].all()
    assert same.mean() >= 0.99


def test_bf16_gives_the_labels_of_the_plain_way_where_that_is_sure(
    in_bf16: Classifier, folder: Path, plain: Probabilities
) -> None:
    same = labels(in_bf16, folder) == plain.argmax(axis=1)

    assert same[plain.max(axis=1) > 0.5].all()
    assert same.mean() >= 0.93
