import errno
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgq_trainer.errors import RootUnavailable
from imgq_trainer.outcomes import Code, Rejection, Status
from imgq_trainer.reading import Content, Root, find, open_root, read

CONTENT = b"picture"
OUTSIDE = (Status.SKIPPED, Code.OUTSIDE_ROOT)
HIDDEN = (Status.SKIPPED, Code.NOT_AN_IMAGE)
VANISHED = (Status.FAILED, Code.VANISHED)
UNREADABLE = (Status.FAILED, Code.UNREADABLE)
NOT_REGULAR = (Status.FAILED, Code.NOT_REGULAR_FILE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(CONTENT)
    (tmp_path / "root-2").mkdir()
    for outside in (tmp_path / "secret.jpg", tmp_path / "root-2" / "near.jpg"):
        outside.write_bytes(CONTENT)
    return folder


@pytest.fixture
def root(folder: Path) -> Iterator[Root]:
    with open_root(folder) as root:
        yield root


def read_name(root: Root, name: bytes, max_file_bytes: int = 100) -> Content | Rejection:
    found = find(root, name, max_file_bytes=max_file_bytes)
    if isinstance(found, Rejection):
        return found
    with found:
        return read(found)


def outcome(root: Root, name: bytes) -> object:
    content = read_name(root, name)
    return (content.status, content.code) if isinstance(content, Rejection) else content.data


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe\x80.jpg", "Zürich/日本.png".encode(), b"new\nline,\t'\".jpg", b" ", b"x" * 255],
)
def test_a_file_of_any_name_is_read_with_its_digest(root: Root, folder: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(folder), name)  # noqa: PTH118
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    Path(os.fsdecode(path)).write_bytes(CONTENT)

    assert read_name(root, name) == Content(CONTENT, hashlib.sha256(CONTENT).digest())


def link(target: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "link.jpg").symlink_to(target)


LINKS = [
    (link("a.jpg"), CONTENT),
    (link("sub/../a.jpg"), CONTENT),
    (link("../root/a.jpg"), CONTENT),
    (link("../secret.jpg"), OUTSIDE),
    (link("../root-2/near.jpg"), OUTSIDE),
    (link("/etc/passwd"), OUTSIDE),
    (link("/proc/self/environ"), OUTSIDE),
    (link("nowhere.jpg"), VANISHED),
    (link("link.jpg"), UNREADABLE),
    (link("sub"), NOT_REGULAR),
    (link(".."), OUTSIDE),
]


@pytest.mark.parametrize(("make", "expected"), LINKS)
def test_links_are_followed_inside_the_root_only(
    root: Root, folder: Path, make: Callable[[Path], object], expected: object
) -> None:
    make(folder)

    assert outcome(root, b"link.jpg") == expected


def test_a_linked_directory_does_not_lead_out_of_the_root(root: Root, folder: Path) -> None:
    (folder / "out").symlink_to("../root-2")
    (folder / "in").symlink_to("sub")
    (folder / "sub" / "b.jpg").write_bytes(CONTENT)

    assert (outcome(root, b"out/near.jpg"), outcome(root, b"in/b.jpg")) == (OUTSIDE, CONTENT)


def test_the_real_place_is_checked_without_proc_too(
    root: Root, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_trainer.reading._location", lambda fd: None)
    (folder / "link.jpg").symlink_to("../secret.jpg")
    (folder / "out").symlink_to("../root-2")

    names = [b"a.jpg", b"link.jpg", b"out/near.jpg"]
    assert [outcome(root, name) for name in names] == [CONTENT, OUTSIDE, OUTSIDE]


def test_a_root_that_is_itself_reached_through_a_link_is_read(folder: Path) -> None:
    (folder.parent / "alias").symlink_to("root")

    with open_root(folder.parent / "alias") as root:
        assert outcome(root, b"a.jpg") == CONTENT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"gone.jpg", VANISHED),
        (b"a.jpg/b.jpg", VANISHED),
        (b"", UNREADABLE),
        (b"a\0b.jpg", UNREADABLE),
        (b"x" * 256, UNREADABLE),
        (b"sub", (Status.SKIPPED, Code.NOT_REGULAR_FILE)),
        (b"sub/", UNREADABLE),
        (b"/etc/passwd", OUTSIDE),
        (b"../secret.jpg", HIDDEN),
        (b".DS_Store", HIDDEN),
        (b".git/a.jpg", HIDDEN),
        (b".git/", HIDDEN),
        (b"sub/._a.jpg", HIDDEN),
        (b"sub/Thumbs.db", HIDDEN),
        (b"DESKTOP.INI", HIDDEN),
    ],
)
def test_names_that_are_not_to_be_read(root: Root, name: bytes, expected: object) -> None:
    assert outcome(root, name) == expected


def test_hidden_files_are_told_as_such(root: Root) -> None:
    assert read_name(root, b".DS_Store") == Rejection(*HIDDEN, "hidden file")


def test_a_pipe_does_not_hold_the_reader(root: Root, folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")

    assert outcome(root, b"pipe.jpg") == NOT_REGULAR


#: Holds a file as a file server does, and gives it up when it is asked.
LEASE_HOLDER = """
import fcntl, os, signal, sys
def give_up(*_):
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    sys.exit()
signal.signal(signal.SIGIO, give_up)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="file leases are Linux's")
def test_a_file_under_a_write_lease_is_read_when_its_holder_lets_it_go(
    root: Root, folder: Path
) -> None:
    (folder / "a.jpg").write_bytes(b"picture")
    command = [sys.executable, "-c", LEASE_HOLDER, str(folder / "a.jpg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        found = find(root, b"a.jpg", max_file_bytes=100)
        assert holder.wait(60) == 0
    assert not isinstance(found, Rejection)
    with found:
        assert read(found) == Content(b"picture", hashlib.sha256(b"picture").digest())


def test_a_socket_is_not_read(root: Root, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")

    assert outcome(root, b"socket.jpg") == NOT_REGULAR


def test_sizes_have_two_ends(root: Root, folder: Path) -> None:
    (folder / "empty.jpg").touch()
    (folder / "large.jpg").write_bytes(bytes(101))

    assert read_name(root, b"empty.jpg") == Rejection(
        Status.FAILED, Code.EMPTY_FILE, "it has no content"
    )
    assert read_name(root, b"large.jpg") == Rejection(
        Status.FAILED, Code.TOO_LARGE, "101 bytes, over the limit of 100 bytes"
    )


def test_what_claims_to_be_no_picture_is_skipped_where_a_picture_fails(
    root: Root, folder: Path
) -> None:
    (folder / "empty.lock").touch()
    os.mkfifo(folder / "pipe")

    assert read_name(root, b"empty.lock") == Rejection(
        Status.SKIPPED, Code.EMPTY_FILE, "it has no content"
    )
    assert outcome(root, b"pipe") == (Status.SKIPPED, Code.NOT_REGULAR_FILE)


def grow(path: Path) -> None:
    path.write_bytes(CONTENT * 2)


def shrink(path: Path) -> None:
    path.write_bytes(CONTENT[:3])


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [grow, shrink, touch])
def test_a_file_that_changes_while_it_is_read_is_told(
    root: Root, folder: Path, change: Callable[[Path], None]
) -> None:
    found = find(root, b"a.jpg", max_file_bytes=100)
    assert not isinstance(found, Rejection)
    with found:
        change(folder / "a.jpg")
        content = read(found)

    assert content == Rejection(Status.FAILED, Code.CHANGED, "it changed while it was read")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, UNREADABLE),
        (errno.EPERM, UNREADABLE),
        (errno.EIO, UNREADABLE),
        (errno.ESTALE, VANISHED),
        (errno.ENOMEM, (Status.FAILED, Code.OUT_OF_MEMORY)),
    ],
)
def test_what_the_system_says_becomes_an_outcome(
    root: Root, monkeypatch: pytest.MonkeyPatch, number: int, expected: object
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    assert outcome(root, b"a.jpg") == expected


def test_too_many_open_files_is_not_blamed_on_the_file(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Too many"):
        outcome(root, b"a.jpg")


def test_nothing_stays_open(root: Root, folder: Path) -> None:
    (folder / "empty.jpg").touch()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for name in (b"a.jpg", b"empty.jpg", b"sub", b"/etc/passwd", b"gone"):
        outcome(root, name)

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_folder_that_cannot_be_opened_is_no_files_fault(folder: Path) -> None:
    with pytest.raises(RootUnavailable, match="No such file"), open_root(folder / "gone"):
        pass
