"""Training as its user types it: a folder of classes, a model, its report, labels by it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).parent.parent.parent / "demo"
CLASSES = ("bag", "sneaker", "trouser")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of twelve pictures that are easy to tell apart."""
    folder = tmp_path_factory.mktemp("clothes")
    for label in CLASSES:
        (folder / label).mkdir()
        for picture in sorted((DEMO / "train" / label).iterdir())[:12]:
            shutil.copy(picture, folder / label)
    return folder


def test_a_folder_of_classes_becomes_a_model_that_labels(
    stack: Any, classes: Path, tmp_path: Path
) -> None:
    trained = stack.imgq("train", classes, "--name", "few", "--preset", "fast", "--wait")
    assert (trained.code, "few:1 is registered" in trained.err) == (0, True), trained
    assert stack.imgq("models", "report", "few", "-o", tmp_path / "report").code == 0
    assert "Training of few" in (tmp_path / "report" / "report.html").read_text()
    out = tmp_path / "labels.csv"
    assert stack.imgq("submit-folder", classes / "bag", "--model", "few", "-o", out).code == 0
    labels = [line.split(",")[2] for line in out.read_text().splitlines()[1:]]
    assert (len(labels), labels.count("bag") > 9) == (12, True)
    assert stack.imgq("verify-job", "last").code == 0


def test_a_folder_without_classes_is_refused_before_any_work(stack: Any, photos: Path) -> None:
    refused = stack.imgq("train", photos, "--name", "nothing", "--wait")
    assert refused.code != 0
    assert "class" in refused.err
