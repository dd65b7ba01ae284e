"""Walking: each file once, in one order, and from any point on exactly the rest."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgq_workers import walking
from imgq_workers.walking import walk

#: Names that sort around '/', around each other's prefixes, and that are no UTF-8.
names = st.sampled_from(
    [b"a", b"a!", b"a.b", b"a0", b"ab", b"b", b"\n", b" ", b"-", b"\xff", b"\xed\xa0\x80", b".x"]
)
trees = st.recursive(
    st.just(None), lambda children: st.dictionaries(names, children, max_size=5), max_leaves=15
).filter(lambda tree: tree is not None)
Tree = dict[bytes, "Tree | None"]


def plant(folder: bytes, tree: Tree) -> None:
    for name, below in tree.items():
        path = folder + b"/" + name
        if below is None:
            os.close(os.open(path, os.O_CREAT))
        else:
            os.mkdir(path)  # noqa: PTH102 - the name is bytes
            plant(path, below)


def files(tree: Tree, prefix: bytes = b"") -> list[bytes]:
    here = sorted(prefix + name for name, below in tree.items() if below is None)
    folders = sorted((name, below) for name, below in tree.items() if below is not None)
    deeper = [path for name, below in folders for path in files(below, prefix + name + b"/")]
    return here + deeper


@settings(max_examples=60, deadline=None)
@given(trees)
def test_a_walk_gives_each_file_once_files_first_in_byte_order(tree: Tree) -> None:
    with TemporaryDirectory() as folder:
        root = os.fsencode(folder)
        plant(root, tree)
        assert list(walk(root)) == files(tree)
        assert list(walk(root, recursive=False)) == [p for p in files(tree) if b"/" not in p]


@settings(max_examples=60, deadline=None)
@given(trees)
def test_a_walk_resumed_after_any_file_gives_exactly_the_rest(tree: Tree) -> None:
    with TemporaryDirectory() as folder:
        root = os.fsencode(folder)
        plant(root, tree)
        whole = list(walk(root))
        for number, path in enumerate(whole):
            assert list(walk(root, after=path)) == whole[number + 1 :]


@settings(max_examples=30, deadline=None)
@given(trees, st.data())
def test_a_walk_goes_on_behind_a_file_that_was_deleted(tree: Tree, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        root = os.fsencode(folder)
        plant(root, tree)
        whole = list(walk(root))
        if whole:
            number = data.draw(st.integers(0, len(whole) - 1))
            os.unlink(root + b"/" + whole[number])  # noqa: PTH108 - the name is bytes
            assert list(walk(root, after=whole[number])) == whole[number + 1 :]


def test_links_to_files_are_files_and_links_to_folders_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").touch()
    (tmp_path / "to-file").symlink_to("real/x")
    (tmp_path / "to-folder").symlink_to("real")
    (tmp_path / "to-parent").symlink_to("..")
    (tmp_path / "real" / "loop").symlink_to("..")
    (tmp_path / "to-nothing").symlink_to("gone")
    (tmp_path / "to-itself").symlink_to("to-itself")
    found = list(walk(os.fsencode(tmp_path)))
    assert found == [b"to-file", b"to-itself", b"to-nothing", b"real/x"]


def test_pipes_and_sockets_are_listed_for_their_row_to_say_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert list(walk(os.fsencode(tmp_path))) == [b"pipe.jpg"]


@pytest.mark.parametrize("below", ["gone", "file"])
def test_a_root_that_cannot_be_read_raises(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        list(walk(os.fsencode(tmp_path / below)))


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A tree whose folder b/locked cannot be read, by whoever runs the tests."""
    root = os.fsencode(tmp_path)
    plant(root, {b"a": None, b"b": {b"locked": {b"x": None}, b"y": None, b"z": {b"w": None}}})
    scan = walking._scan

    def refuse(folder: bytes) -> tuple[list[bytes], list[bytes], int]:
        if folder.rstrip(b"/").endswith(b"locked"):
            raise PermissionError
        return scan(folder)

    monkeypatch.setattr(walking, "_scan", refuse)
    return root


def test_a_folder_that_cannot_be_read_is_given_itself(locked: bytes) -> None:
    assert list(walk(locked)) == [b"a", b"b/y", b"b/locked/", b"b/z/w"]


@pytest.mark.parametrize("number", range(4))
def test_a_walk_resumes_around_a_folder_that_cannot_be_read(number: int, locked: bytes) -> None:
    whole = list(walk(locked))
    assert list(walk(locked, after=whole[number])) == whole[number + 1 :]


@pytest.mark.parametrize(
    ("after", "rest"),
    [
        (b"c/0", [b"c/d/", b"e/5"]),
        (b"c/d/1", [b"c/d/", b"e/5"]),
        (b"c/d/f/3", [b"c/d/", b"e/5"]),
        (b"c/d/", [b"e/5"]),
    ],
)
def test_a_folder_that_can_be_read_no_more_is_given_once_and_closes_what_is_in_it(
    after: bytes, rest: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = os.fsencode(tmp_path)
    inner: Tree = {b"1": None, b"2": None, b"f": {b"3": None, b"4": None}}
    plant(root, {b"c": {b"0": None, b"d": inner}, b"e": {b"5": None}})
    scan = walking._scan
    refused = root + b"/c/d/"

    def refuse(folder: bytes) -> tuple[list[bytes], list[bytes], int]:
        if folder == refused:
            raise PermissionError
        return scan(folder)

    monkeypatch.setattr(walking, "_scan", refuse)
    assert list(walk(root, after=after)) == rest
    refused = b""
    assert list(walk(root, after=b"c/d/")) == [b"e/5"]


def record_scans(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    scanned: list[bytes] = []
    scan = walking._scan

    def record(folder: bytes) -> tuple[list[bytes], list[bytes], int]:
        scanned.append(folder)
        return scan(folder)

    monkeypatch.setattr(walking, "_scan", record)
    return scanned


def test_a_walk_is_lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = os.fsencode(tmp_path)
    plant(root, {b"a": None, b"b": {b"c": None}})
    scanned = record_scans(monkeypatch)
    assert next(walk(root)) == b"a"
    assert scanned == [root + b"/"]


def test_a_resumed_walk_reads_only_the_folders_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = os.fsencode(tmp_path)
    plant(root, {name: {b"x": None, b"y": None} for name in (b"a", b"b", b"c")})
    scanned = record_scans(monkeypatch)
    assert list(walk(root, after=b"b/x")) == [b"b/y", b"c/x", b"c/y"]
    assert scanned == [root + b"/", root + b"/b/", root + b"/c/"]
