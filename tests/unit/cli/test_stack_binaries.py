"""Finding the programs of the servers."""

from pathlib import Path

import pytest

from imgq_cli.stack import binaries
from imgq_cli.stack.accounts import Account
from imgq_cli.stack.binaries import (
    PostgresPrograms,
    find_postgres,
    find_redis,
    reachable_postgres,
)
from imgq_cli.stack.errors import BinaryMissing, BinaryUnusable

STRANGER = Account("stranger", 54321, 54321)


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without wheels and servers, whose PATH is the folder returned."""
    monkeypatch.setattr(binaries, "wheel_folder", lambda package: None)
    monkeypatch.setattr(binaries, "PG_PLACES", ())
    for name in ("IMGQ_PG_BIN", "IMGQ_REDIS_BIN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "path"


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_without_servers_is_told_what_to_install() -> None:
    with pytest.raises(BinaryMissing) as postgres:
        find_postgres()
    with pytest.raises(BinaryMissing) as redis:
        find_redis()
    for error, package in ((postgres, "postgresql"), (redis, "redis-server")):
        assert "pip install 'imgq[local]'" in (error.value.hint or "")
        assert f"apt install {package}" in (error.value.hint or "")


def test_programs_on_the_path_are_found(bare_machine: Path) -> None:
    program(bare_machine / "initdb", "")
    program(bare_machine / "postgres", "postgres (PostgreSQL) 16.2 (Debian 16.2-1)")
    program(bare_machine / "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc")
    assert find_postgres() == PostgresPrograms(bare_machine, "16.2")
    assert find_postgres().major == 16
    assert find_redis().version == "7.0.15"


def test_a_server_that_is_too_old_is_refused(bare_machine: Path) -> None:
    program(bare_machine / "initdb", "")
    program(bare_machine / "postgres", "postgres (PostgreSQL) 13.9")
    program(bare_machine / "redis-server", "Redis server v=6.0.16")
    with pytest.raises(BinaryUnusable, match=r"13\.9 is older than 14"):
        find_postgres()
    with pytest.raises(BinaryUnusable, match=r"6\.0\.16 is older than 6\.2"):
        find_redis()


@pytest.mark.usefixtures("bare_machine")
def test_a_wrong_variable_is_told_rather_than_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_PG_BIN", str(tmp_path))
    monkeypatch.setenv("IMGQ_REDIS_BIN", str(tmp_path / "none"))
    with pytest.raises(BinaryUnusable, match="IMGQ_PG_BIN names it"):
        find_postgres()
    with pytest.raises(BinaryUnusable, match="IMGQ_REDIS_BIN names it"):
        find_redis()


def test_a_program_that_does_not_run_is_told_with_its_words(bare_machine: Path) -> None:
    broken = program(bare_machine / "redis-server", "")
    broken.write_text("#!/bin/sh\necho 'libssl.so.1.1 is missing' >&2\nexit 127\n")
    with pytest.raises(BinaryUnusable, match=r"libssl\.so\.1\.1 is missing"):
        find_redis()


def test_closed_programs_are_copied_with_what_they_need(tmp_path: Path) -> None:
    site = tmp_path / "closed"
    program(site / "wheel" / "pginstall" / "bin" / "postgres", "").chmod(0o700)
    (site / "wheel.libs").mkdir()
    (site / "wheel.libs" / "libpq.so").write_bytes(b"library")
    site.chmod(0o700)
    found = PostgresPrograms(site / "wheel" / "pginstall" / "bin", "18.6")
    copied = reachable_postgres(found, STRANGER, tmp_path / "home" / "bin")
    assert copied == reachable_postgres(found, STRANGER, tmp_path / "home" / "bin")
    assert copied.folder.is_relative_to(tmp_path / "home" / "bin")
    assert (copied.folder / "postgres").stat().st_mode & 0o777 == 0o755
    assert (copied.folder / "../../../wheel.libs/libpq.so").read_bytes() == b"library"


def test_programs_of_our_own_are_used_where_they_are(tmp_path: Path) -> None:
    found = PostgresPrograms(tmp_path, "18.6")
    assert reachable_postgres(found, None, tmp_path / "bin") is found
