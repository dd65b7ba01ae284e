"""One default model for all tests, and pictures made on the spot."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier, load_classifier
from imgq_trainer.lite_weights import write_builtin_artifact

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
