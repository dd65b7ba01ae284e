"""The children's log files: their ends, and their cap."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from imgq_cli.stack.events import recorded
from imgq_cli.stack.logs import last_lines, rotate


def test_the_last_lines_of_a_run_leave_out_the_run_before(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("old\n" * 5 + "one\ntwo\nthree\n")
    assert last_lines(log, count=2) == "two\nthree"
    assert last_lines(log, since_bytes=4 * 5) == "one\ntwo\nthree"
    assert last_lines(log, since_bytes=log.stat().st_size) == ""


def test_a_log_that_was_cut_meanwhile_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("new\n")
    assert last_lines(log, since_bytes=1000) == "new"


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none.log") == ""


def test_a_writer_goes_on_while_its_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(5):
        os.write(writer, f"line {number}\n".encode() * 2)
        assert rotate(log, max_bytes=10, keep=3)
    os.write(writer, b"now\n")
    os.close(writer)
    assert {file.name: file.read_text()[:6] for file in tmp_path.glob("api.log*")} == {
        "api.log": "now\n",
        "api.log.1": "line 4",
        "api.log.2": "line 3",
        "api.log.3": "line 2",
    }


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("short")
    assert not rotate(log, max_bytes=5)
    assert [file.name for file in tmp_path.glob("api.log*")] == ["api.log"]


def test_a_full_disk_costs_the_old_lines_not_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "api.log"
    log.write_text("x" * 100)

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert rotate(log, max_bytes=10)
    assert {file.name: file.read_text() for file in tmp_path.glob("api.log*")} == {"api.log": ""}


def test_what_is_said_is_also_written_with_its_time(tmp_path: Path) -> None:
    said: list[str] = []
    recorded(said.append, tmp_path / "events.log")("api stopped")
    stamp, _, text = (tmp_path / "events.log").read_text().partition(" ")
    assert (said, text, stamp[-1]) == (["api stopped"], "api stopped\n", "Z")


def test_a_closed_terminal_does_not_end_the_stack(tmp_path: Path) -> None:
    def hang_up(text: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    recorded(hang_up, tmp_path / "events.log")("api stopped")
    assert "api stopped" in (tmp_path / "events.log").read_text()
