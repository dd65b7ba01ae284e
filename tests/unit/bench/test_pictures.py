"""The pictures that the bench makes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from bench.pictures import Kind, few_of, make_folder, pictures_in, renew
from PIL import Image

TINY = Kind("60x45", (60, 45), (6, 16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path, TINY, 6, composed=3, say=lambda text: None)


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures_in(folder)}


def pixels(folder: Path) -> list[bytes]:
    return [np.asarray(Image.open(path)).tobytes() for path in pictures_in(folder)]


def test_all_files_differ_and_show_as_many_pictures_as_were_composed(folder: Path) -> None:
    assert (len(digests(folder)), len(set(pixels(folder)))) == (6, 3)


def test_a_folder_that_is_there_is_not_made_again(folder: Path) -> None:
    again = make_folder(folder.parent, TINY, 6, composed=3, say=pytest.fail)

    assert again == folder


def test_renewed_files_are_other_files_that_show_the_same(folder: Path) -> None:
    before, shown = digests(folder), pixels(folder)

    renew(folder, "round 2")
    renew(folder, "round 3")

    assert pixels(folder) == shown
    assert before.isdisjoint(digests(folder))


def test_the_first_few_stay_when_the_folder_is_renewed(folder: Path) -> None:
    few = few_of(folder, 2)
    before = digests(few)

    renew(folder, "round 2")

    assert digests(few) == before
    assert pixels(few) == pixels(folder)[:2]
