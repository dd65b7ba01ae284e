"""The state file, the home's files, and knowing a process again."""

import errno
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from imgq_cli.stack.accounts import Account, closed_folder
from imgq_cli.stack.children import Child, ChildSpec
from imgq_cli.stack.errors import AccountMissing, DiskFull, HomeUnreachable, HomeUnusable
from imgq_cli.stack.home import (
    Home,
    ensure_secret,
    explained,
    make_home,
    reachable_home,
    write_private,
)
from imgq_cli.stack.orphans import ourselves
from imgq_cli.stack.processes import ProcessRecord, live_process, record_process
from imgq_cli.stack.state import State, StateFile, Status, read_state, running_state

STRANGER = Account("stranger", 54321, 54321)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_state_reads_back_as_it_was_written(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", State(supervisor=ourselves()))
    file.put(ProcessRecord("api", 7, 1.5, "imgq_api"))
    file.put(ProcessRecord("api", 8, 2.5, "imgq_api"))
    file.update(status=Status.READY, url="http://127.0.0.1:8765", key_file="/home/é/api-key")
    assert read_state(file.path) == file.state
    assert file.state.processes == (ProcessRecord("api", 8, 2.5, "imgq_api"),)
    assert mode(file.path) == 0o600


def test_a_full_disk_harms_no_child_and_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = State()
    file = StateFile(tmp_path / "state.json", before)
    spec = ChildSpec("child", (sys.executable, "-c", "input()"), "python", {})
    child = Child(spec, log=tmp_path / "log", lock_fd=2, noted=file.put)
    with monkeypatch.context() as full:
        full.setattr("imgq_cli.stack.state.write_private", refuse)
        child.start()
        child.kill()
        fault = file.save()
    assert (fault and fault.errno, read_state(file.path)) == (errno.ENOSPC, before)
    assert (file.save(), read_state(file.path)) == (None, file.state)
    assert [record.pid for record in file.state.processes] == [child.pid]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "ready"}', "\x00\x01"])
def test_a_garbled_state_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert read_state(tmp_path / "state.json") is None


def test_the_state_of_a_dead_supervisor_is_not_running(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    StateFile(path, State(supervisor=ourselves()))
    assert running_state(path) is not None
    StateFile(path, State(supervisor=replace(ourselves(), created=1.0)))
    assert running_state(path) is None


def test_a_process_is_known_by_number_start_and_command() -> None:
    me = ourselves()
    assert live_process(me) is not None
    assert live_process(replace(me, created=me.created - 10)) is None
    assert live_process(replace(me, command="another program")) is None
    assert live_process(record_process("gone", 2**22 + 1, "gone")) is None


def test_a_private_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert list(tmp_path.glob("*secret*")) == [path]


def test_the_secret_is_made_once_and_is_hard_to_guess(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)
    first = ensure_secret(home)
    assert (ensure_secret(home), len(first) >= 32) == (first, True)


def test_a_home_of_ones_own_is_closed_to_others(tmp_path: Path) -> None:
    home = make_home(tmp_path / "deep" / "home", None)
    assert [mode(path) for path in (home.folder, home.logs, home.data)] == [0o700] * 3


def test_a_home_of_root_lets_the_servers_through(tmp_path: Path) -> None:
    assert mode(make_home(tmp_path / "home", STRANGER).folder) == 0o711


def test_a_home_that_is_a_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable, match=r"cannot be used: Not a directory"):
        make_home(tmp_path / "file", None)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_words(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskFull, match="is full"), explained(tmp_path):
        raise OSError(number, "No space left on device")


def test_a_folder_that_keeps_an_account_out_is_found(tmp_path: Path) -> None:
    closed, inner = tmp_path / "closed", tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    closed.chmod(0o700)
    own = Account("own", closed.stat().st_uid, closed.stat().st_gid)
    assert closed_folder(inner, None) is None
    assert closed_folder(inner, own) is None
    assert closed_folder(inner, STRANGER) in (closed, *closed.parents)


def test_throwaway_data_moves_where_the_account_may_go(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = Home(tmp_path, tmp_path)
    with pytest.raises(HomeUnreachable), reachable_home(home, STRANGER, durable=True):
        pytest.fail("the account cannot enter")
    with reachable_home(home, STRANGER, durable=False) as moved:
        assert closed_folder(moved.servers, STRANGER) is None
        assert moved.folder == tmp_path
    assert not moved.servers.exists()


def test_an_unknown_account_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from imgq_cli.stack.accounts import server_account

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("IMGQ_RUN_AS", "nobody-of-that-name")
    with pytest.raises(AccountMissing, match="nobody-of-that-name"):
        server_account()
