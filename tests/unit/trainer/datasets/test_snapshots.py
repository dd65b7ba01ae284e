"""Datasets on disk, and whether their files are still what they were."""

import os
from pathlib import Path

import pytest

from imgq_trainer.datasets.errors import DatasetChanged, DatasetInvalid
from imgq_trainer.datasets.snapshots import dataset_of, read_dataset, write_dataset
from imgq_trainer.datasets.values import Dataset, Example, Findings, Split
from imgq_trainer.datasets.verifying import read_example, verify_dataset
from imgq_trainer.errors import Stopped
from imgq_trainer.reading import open_root

from .conftest import Fill, Make, encoded, picture


@pytest.fixture
def dataset(make: Make, fill: Fill) -> Dataset:
    """One with something in every finding that a folder without splits can have."""
    odd = fill("a", *range(12)) / os.fsdecode(b"caf\xe9 100%25.png")
    odd.write_bytes(encoded(picture(50)))
    (fill("a") / "near.jpg").write_bytes(encoded(picture(1), "JPEG", quality=85))
    (fill("a") / "same.png").write_bytes(encoded(picture(2)))
    (fill("a") / "cut.png").write_bytes(encoded(picture(51))[:300])
    (fill("a") / "notes.txt").touch()
    fill("Ü b", 3, 100, 101, 102)
    return make()


def test_a_dataset_is_read_back_as_it_was_written(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path / "out", dataset)
    assert read_dataset(tmp_path / "out") == dataset
    assert sorted(os.listdir(tmp_path / "out")) == ["dataset.jsonl", "findings.json"]  # noqa: PTH208


def test_the_digest_is_the_files_and_tells_every_change(dataset: Dataset) -> None:
    first, *rest = dataset.examples
    other = Split.VAL if first.split is Split.TRAIN else Split.TRAIN
    changed = Example(first.path, first.label, other, first.digest, first.group, first.cluster)
    again = dataset_of(dataset.labels, dataset.examples, Findings())
    assert again.digest == dataset.digest
    assert dataset_of(dataset.labels, (changed, *rest), Findings()).digest != dataset.digest


def test_the_test_digest_knows_neither_names_nor_the_training_split() -> None:
    def example(path: bytes, split: Split, digest: bytes, cluster: int) -> Example:
        return Example(path, 0, split, digest * 32, None, cluster)

    one = (example(b"a", Split.TEST, b"1", 0), example(b"b", Split.TRAIN, b"2", 1))
    two = (example(b"c", Split.TRAIN, b"3", 0), example(b"d", Split.TEST, b"1", 1))
    three = (example(b"a", Split.TEST, b"4", 0),)
    digests = [dataset_of(("x",), each, Findings()).test_digest for each in (one, two, three)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("name", ["dataset.jsonl", "findings.json"])
def test_a_damaged_dataset_is_refused(dataset: Dataset, tmp_path: Path, name: str) -> None:
    write_dataset(tmp_path / "out", dataset)
    path = tmp_path / "out" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetInvalid):
        read_dataset(tmp_path / "out")
    path.unlink()
    with pytest.raises(DatasetInvalid):
        read_dataset(tmp_path / "out")


def test_changed_and_vanished_files_are_all_named(dataset: Dataset, tmp_path: Path) -> None:
    verify_dataset(tmp_path, dataset)
    (tmp_path / "a/0005.png").write_bytes(encoded(picture(500)))
    (tmp_path / "a/0007.png").unlink()
    with pytest.raises(DatasetChanged) as caught:
        verify_dataset(tmp_path, dataset)
    assert caught.value.files == (b"a/0005.png", b"a/0007.png")


def test_a_picture_is_checked_whenever_it_is_read(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(dataset.examples[0].path)
    with open_root(tmp_path) as root:
        assert read_example(root, dataset.examples[0]) == path.read_bytes()
        path.write_bytes(b"other")
        with pytest.raises(DatasetChanged):
            read_example(root, dataset.examples[0])


def test_verifying_stops_when_asked(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        verify_dataset(tmp_path, dataset, stop=lambda: True)
