"""One default model for all tests, and pictures made on the spot."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier, load_classifier
from imgq_trainer.engines import BF16, precisions
from imgq_trainer.lite_weights import write_builtin_artifact
from imgq_trainer.preprocessing import Pixels, to_pixels

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_builtin_artifact(tmp_path_factory.mktemp("models") / "lite0")


@pytest.fixture(scope="session")
def classifier(lite0: Artifact) -> Classifier:
    return load_classifier(lite0, threads=2)


@pytest.fixture(scope="session")
def by_torch(lite0: Artifact) -> Classifier:
    return load_classifier(lite0, threads=2, engine="torch")


@pytest.fixture(scope="session")
def in_bf16(lite0: Artifact) -> Classifier:
    if BF16 not in precisions("cpu"):
        pytest.skip("this processor has no bf16")
    return load_classifier(lite0, threads=2, precision=BF16)


@pytest.fixture(scope="session")
def in_bf16_by_torch(lite0: Artifact, in_bf16: Classifier) -> Classifier:
    return load_classifier(lite0, threads=2, precision=BF16, engine="torch")


@pytest.fixture(scope="session")
def pictures(photos: Path, classifier: Classifier) -> Pixels:
    """The six photos, cut to size: (6, 224, 224, 3)."""
    images = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*.jpg"))]
    return np.stack([to_pixels(image, classifier.preprocessing) for image in images])


@pytest.fixture(scope="session")
def crops(photos: Path, classifier: Classifier) -> Pixels:
    """Many parts of the photos, large and small: (240, 224, 224, 3)."""
    random, parts = np.random.default_rng(7), []
    for path in sorted(photos.glob("*.jpg")):
        image = Image.open(path).convert("RGB")
        for _ in range(40):
            side = int(random.uniform(0.35, 1) * min(image.size))
            left, top = (int(random.integers(0, span - side + 1)) for span in image.size)
            part = image.crop((left, top, left + side, top + side))
            parts.append(to_pixels(part, classifier.preprocessing))
    return np.stack(parts)


@pytest.fixture(scope="session")
def photo(photos: Path) -> Image.Image:
    """A small real photograph, 150 x 100."""
    with Image.open(photos / "coffee.jpg") as image:
        return image.convert("RGB").resize((150, 100))


@pytest.fixture(scope="session")
def encode(photo: Image.Image) -> Encode:
    """Return the bytes of the photo, or of another image, in a format."""

    def encode(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
        buffer = io.BytesIO()
        (image or photo).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode
