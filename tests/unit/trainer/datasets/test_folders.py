"""Class folders as they are found on disks."""

import os
import unicodedata
from pathlib import Path

import pytest

from imgq_trainer.datasets.errors import LabelsDifferByCase, LayoutInvalid
from imgq_trainer.datasets.folders import list_folders
from imgq_trainer.datasets.listing import Listed, Listing, grouping_by
from imgq_trainer.datasets.values import Ignored, Split
from imgq_trainer.errors import Stopped


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def list_root(root: Path, group_by: str | None = None) -> Listing:
    return list_folders(root, group_of=grouping_by(group_by), stop=lambda: False)


def test_class_folders_may_have_any_name_and_folders_in_them(tmp_path: Path) -> None:
    touch(tmp_path, "bears & co/a b.png", "bears & co/deep/c.png", "Füchse/d.png")
    assert list_root(tmp_path).files == (
        Listed("Füchse/d.png".encode(), "Füchse", None, None),
        Listed(b"bears & co/a b.png", "bears & co", None, None),
        Listed(b"bears & co/deep/c.png", "bears & co", None, None),
    )


def test_a_folder_name_that_is_not_utf_8_becomes_a_label_with_escapes(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.png").touch()
    assert list_root(tmp_path).files == (Listed(b"caf\xe9/a.png", "caf%E9", None, None),)


def test_hidden_files_are_none_and_strays_and_links_are_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/.hidden.png", ".git/b.png", "stray.png", "b/2.png")
    (tmp_path / "linked").symlink_to("a")
    listing = list_root(tmp_path)
    assert [file.path for file in listing.files] == [b"a/1.png", b"b/2.png"]
    assert listing.ignored == (
        Ignored(b"linked", "a link to a folder"),
        Ignored(b"stray.png", "it lies in no class folder"),
    )


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing")])
def test_split_folders_are_told_by_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        touch(tmp_path, f"{name}/cat/{name}.png")
    files = list_root(tmp_path).files
    assert {file.split for file in files} == set(Split)
    assert {file.label for file in files} == {"cat"}


def test_a_train_among_cars_is_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "car/2.png")
    listing = list_root(tmp_path)
    assert listing.labels == ("car", "train")
    assert listing.notes == ("Beside other folders, 'train' was taken for a class, not a split.",)


def test_split_folders_without_class_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "test/2.png")
    with pytest.raises(LayoutInvalid, match="no class folder in it"):
        list_root(tmp_path)


def test_names_that_differ_by_case_or_encoding_alone_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "case", "Cat/1.png", "cat/2.png")
    with pytest.raises(LabelsDifferByCase):
        list_root(tmp_path / "case")
    nfc, nfd = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    touch(tmp_path / "form", f"{nfc}/1.png", f"{nfd}/2.png")
    with pytest.raises(LayoutInvalid, match="encoded"):
        list_root(tmp_path / "form")


def test_groups_are_found_in_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a/p1_x.png", "a/p2_x.png", "b/other.png")
    files = list_root(tmp_path, r"/(p\d+)_").files
    assert [file.group for file in files] == ["p1", "p2", None]


def test_listing_stops_when_asked(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a/{i}.png" for i in range(1000)))
    with pytest.raises(Stopped):
        list_folders(tmp_path, group_of=grouping_by(None), stop=lambda: True)
