"""Files of breadcrumbs: whose process lives, whose is dead, and which are not to be touched."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from imgq_db.settings import Settings
from imgq_workers.crumb_files import (
    BEGINNING_SECONDS,
    LEFT_SECONDS,
    crumb_folder,
    find_crumbs,
    find_left,
    has_begun,
    leave_breadcrumbs,
)

OWNER = UUID(int=5)
#: It leaves breadcrumbs, marks a picture, says so, and then does what it is told.
PROCESS = """
import ctypes, os, sys, time
from uuid import UUID
from imgq_db.settings import Settings
from imgq_workers.crumb_files import leave_breadcrumbs
settings = Settings(data_dir=sys.argv[1])
crumbs = leave_breadcrumbs(settings, owner=UUID(int=5), worker=UUID(int=6), threads=2)
with crumbs.in_flight(1, [9], [b"a"])(0, 0):
    print("ready", flush=True)
    sys.stdin.readline()
    eval(sys.argv[2])
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(deed: str = "None") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROCESS, str(tmp_path), deed]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[bytes]) -> int:
    process.communicate(b"\n", timeout=20)
    return process.returncode


def test_a_living_process_is_not_taken_for_dead(settings: Settings, start: Start) -> None:
    start()
    (found,) = find_crumbs(crumb_folder(settings))
    assert not found.dead
    assert found.trail is not None
    assert (found.trail.owner, found.trail.flights[0].first) == (OWNER, 9)


def test_a_stopped_process_is_not_taken_for_dead(settings: Settings, start: Start) -> None:
    os.kill(start().pid, signal.SIGSTOP)
    (found,) = find_crumbs(crumb_folder(settings))
    assert not found.dead


def test_a_killed_process_leaves_its_picture_and_no_fault(settings: Settings, start: Start) -> None:
    process = start()
    process.kill()
    process.wait()
    for found in find_crumbs(crumb_folder(settings)):
        assert (found.dead, found.fault()) == (True, "")
        assert found.trail is not None
        assert found.trail.flights[0].first == 9


@pytest.mark.parametrize(
    ("deed", "status", "words"),
    [
        ("ctypes.string_at(0)", -signal.SIGSEGV, "Fatal Python error: Segmentation fault"),
        ("os.abort()", -signal.SIGABRT, "Fatal Python error: Aborted"),
    ],
)
def test_a_crashed_process_says_how(
    settings: Settings, start: Start, deed: str, status: int, words: str
) -> None:
    assert finish(start(deed)) == status
    for found in find_crumbs(crumb_folder(settings)):
        assert found.dead
        assert found.fault().startswith(words)


def test_a_process_that_ended_well_has_nothing_in_flight(settings: Settings, start: Start) -> None:
    assert finish(start()) == 0
    for found in find_crumbs(crumb_folder(settings)):
        assert found.trail is not None
        assert (found.dead, found.trail.flights) == (True, ())


def test_a_dead_one_is_locked_by_whoever_looks_at_it(settings: Settings, start: Start) -> None:
    finish(start())
    folder = crumb_folder(settings)
    for found in find_crumbs(folder):
        (again,) = find_crumbs(folder)
        assert (found.dead, again.dead) == (True, False)
        found.remove()
    assert list(folder.iterdir()) == []


def test_one_that_was_removed_under_a_late_looker_is_left_alone(
    settings: Settings, start: Start
) -> None:
    finish(start())
    folder = crumb_folder(settings)
    (path,) = folder.glob("*.crumbs")
    shutil.copy(path, folder / "later.crumbs")
    looking = find_crumbs(folder)
    assert next(looking).path == path
    (folder / "later.crumbs").unlink()
    assert list(looking) == []


def test_a_process_that_is_about_to_lock_its_file_is_left_alone(settings: Settings) -> None:
    folder = crumb_folder(settings)
    folder.mkdir(parents=True)
    beginning = folder / f"{OWNER}.crumbs"
    beginning.touch()
    assert [has_begun(found) for found in find_crumbs(folder)] == [False]
    long_ago = time.time() - BEGINNING_SECONDS - 1
    os.utime(beginning, (long_ago, long_ago))
    assert [has_begun(found) for found in find_crumbs(folder)] == [True]


def test_without_a_place_for_files_a_process_works_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(data_dir=tmp_path / "file")
    with structlog.testing.capture_logs() as logs:
        crumbs = leave_breadcrumbs(settings, owner=OWNER, worker=OWNER, threads=1)
    with crumbs.in_flight(1, [9], [b"a"])(0, 0):
        pass
    assert [line["event"] for line in logs] == ["no_breadcrumbs"]


def test_on_a_full_disk_a_process_works_on_and_leaves_no_half_file(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
        patch.setattr(os, "write", lambda _fd, data: len(data) // 2)
        crumbs = leave_breadcrumbs(settings, owner=OWNER, worker=OWNER, threads=1)
    with crumbs.in_flight(1, [9], [b"a"])(0, 0):
        pass
    assert [line["why"] for line in logs] == ["[Errno 28] No space left on device"]
    assert list(crumb_folder(settings).iterdir()) == []


def test_an_old_file_that_cannot_be_removed_keeps_no_other(settings: Settings) -> None:
    left = crumb_folder(settings).with_name("another")
    (left / "1.fault").mkdir(parents=True)
    long_ago = time.time() - LEFT_SECONDS - 60
    for name in ("1.crumbs", "2.crumbs"):
        (left / name).touch()
        os.utime(left / name, (long_ago, long_ago))
    assert list(find_left(settings)) == []
    assert [path.name for path in left.glob("*.crumbs")] == ["1.crumbs"]


def test_no_file_handle_outlives_a_look(settings: Settings, start: Start) -> None:
    start()
    (found,) = find_crumbs(crumb_folder(settings))
    with pytest.raises(OSError, match="Bad file descriptor"):
        fcntl.flock(found.fd, fcntl.LOCK_UN)
