"""Files that appear whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from imgq_cli.whole_files import whole_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_two_that_write_the_same_file_do_not_mix(folder: Path) -> None:
    path = folder / "labels.csv"

    with whole_file(path) as slow:
        slow.write(b"slow, ")
        with whole_file(path) as quick:
            quick.write(b"quick")
        seen = path.read_bytes()
        slow.write(b"and whole")

    assert (seen, path.read_bytes()) == (b"quick", b"slow, and whole")
    assert list(folder.iterdir()) == [path]


def test_no_file_of_the_users_is_taken_for_its_own(folder: Path) -> None:
    notes = folder / "labels.csv.tmp"
    notes.write_text("mine")

    with whole_file(folder / "labels.csv") as file:
        file.write(b"rows")

    assert notes.read_text() == "mine"


def test_what_breaks_off_leaves_what_was_there(folder: Path) -> None:
    path = folder / "labels.csv"
    path.write_text("old")

    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError

    assert [(found.name, found.read_text()) for found in folder.iterdir()] == [(path.name, "old")]


def test_a_link_is_written_through_and_a_mode_is_kept(folder: Path) -> None:
    real = folder / "elsewhere" / "real.csv"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o640)
    link = folder / "labels.csv"
    link.symlink_to(real)

    with whole_file(link) as file:
        file.write(b"new")

    assert (link.readlink(), real.read_text()) == (real, "new")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_that_the_umask_leaves(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole_file(folder / "labels.csv"):
            pass
    finally:
        os.umask(before)

    assert stat.S_IMODE((folder / "labels.csv").stat().st_mode) == 0o640


def test_a_pipe_is_written_to_and_stays_a_pipe(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(pipe) as file:
            file.write(b"rows")
        assert os.read(reader, 10) == b"rows"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_what_this_process_has_open_is_written_to_behind_what_is_there(folder: Path) -> None:
    path = folder / "all.csv"
    path.write_text("before, ")
    with path.open("ab") as opened, whole_file(Path(f"/dev/fd/{opened.fileno()}")) as file:
        file.write(b"rows")

    assert path.read_text() == "before, rows"
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_who_else_writes_to_what_is_open_writes_behind_it(folder: Path, name: str) -> None:
    path = folder / "all.csv"
    program = f"""
from pathlib import Path
from imgq_cli.whole_files import whole_file
print("header", end=", ")
with whole_file(Path({name!r})) as file:
    file.write(b"rows, ")
"""
    with path.open("wb", buffering=0) as opened:
        opened.write(b"before, ")
        subprocess.run([sys.executable, "-c", program], stdout=opened, check=True)
        opened.write(b"after")

    assert path.read_text() == "before, header, rows, after"
    assert list(folder.iterdir()) == [path]
