"""Manifests: what is taken, and what is refused with the line that is wrong."""

from pathlib import Path

import pytest

from imgq_trainer.datasets.errors import (
    DatasetError,
    GroupByInvalid,
    LabelsDifferByCase,
    ManifestInvalid,
    ManifestNamesMissing,
)
from imgq_trainer.datasets.listing import Listed, Listing
from imgq_trainer.datasets.manifests import list_manifest
from imgq_trainer.datasets.values import Split


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c, d.png", "50%25.png"):
        (root / name).touch()
    return root


def read(root: Path, text: str, name: str = "list.csv", group_by: str | None = None) -> Listing:
    manifest = root.parent / name
    manifest.write_text(text, "utf-8")
    return list_manifest(root, manifest, group_by=group_by, stop=lambda: False)


def test_a_csv_names_paths_labels_splits_and_groups(root: Path) -> None:
    rows = ["a.png,cat,,", f"{root}/b.png, dog,valid,g1", '"sub/c, d.png",cat,TEST,']
    text = "\n".join(["\ufeffpath,label,split,group", *rows])
    assert read(root, text).files == (
        Listed(b"a.png", "cat", None, None),
        Listed(b"b.png", "dog", Split.VAL, "g1"),
        Listed(b"sub/c, d.png", "cat", Split.TEST, None),
    )


def test_a_jsonl_says_the_same(root: Path) -> None:
    text = '{"path":"a.png","label":"cat"}\n\n{"path":"./sub/../b.png","label":7,"split":"train"}\n'
    assert read(root, text, "list.jsonl").files == (
        Listed(b"a.png", "cat", None, None),
        Listed(b"b.png", "7", Split.TRAIN, None),
    )


def test_a_path_is_taken_literally_before_it_is_taken_for_an_escape(root: Path) -> None:
    (root / "é.png").touch()
    files = read(root, "path,label\n50%25.png,a\n%C3%A9.png,b\n").files
    assert {file.path for file in files} == {b"50%25.png", "é.png".encode()}


def test_another_column_can_be_the_group(root: Path) -> None:
    text = "path,label,camera\na.png,x,north\nb.png,y,\n"
    assert [file.group for file in read(root, text, group_by="camera").files] == ["north", None]
    with pytest.raises(GroupByInvalid):
        read(root, "path,label\na.png,x\n", group_by="camera")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("path\na.png\n", 1),
        ("path,label,colour\na.png,x,red\n", 1),
        ("path,label,label\na.png,x,x\n", 1),
        ("path,label\na.png,x\nb.png\n", 3),
        ("path,label\na.png,\n", 2),
        ("path,label,split\na.png,x,dev\n", 2),
        ("path,label\n../secret.png,x\n", 2),
        ("path,label\n/etc/hostname,x\n", 2),
        ("path,label\na.png,x\nsub/../a.png,y\n", 3),
        ('path,label\n"a.png,x\n', 2),
    ],
)
def test_what_is_wrong_is_said_with_its_line(root: Path, text: str, line: int) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        read(root, text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text", ["[1]\n", "{\n", '{"path":"a.png","label":true}\n', '{"path":1}\n']
)
def test_json_that_is_no_row_is_refused(root: Path, text: str) -> None:
    with pytest.raises(ManifestInvalid, match="Line 1"):
        read(root, text, "list.jsonl")


def test_missing_files_are_named(root: Path) -> None:
    with pytest.raises(ManifestNamesMissing) as caught:
        read(root, "path,label\na.png,x\ngone.png,x\nsub/gone.png,y\n")
    assert caught.value.files == (b"gone.png", b"sub/gone.png")


def test_a_row_that_is_there_twice_counts_once_and_is_said(root: Path) -> None:
    listing = read(root, "path,label\na.png,x\n./a.png,x\nb.png,y\n")
    assert len(listing.files) == 2
    assert listing.notes == ("The manifest names 1 picture more than once.",)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("list.txt", b"path,label\na.png,x\n", ManifestInvalid),
        ("list.csv", b"path,label\na.png,\xe9\n", ManifestInvalid),
        ("list.csv", b"path,label\na.png,x\nb.png,X\n", LabelsDifferByCase),
    ],
)
def test_other_faults_are_typed(
    root: Path, name: str, content: bytes, error: type[DatasetError]
) -> None:
    manifest = root.parent / name
    manifest.write_bytes(content)
    with pytest.raises(error):
        list_manifest(root, manifest, group_by=None, stop=lambda: False)
