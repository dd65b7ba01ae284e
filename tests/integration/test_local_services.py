"""The embedded Postgres and Valkey: real programs, real data directories, real kills."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from imgq_cli.stack import servers
from imgq_cli.stack.binaries import find_postgres, find_redis
from imgq_cli.stack.errors import (
    AlreadyUp,
    ForeignPostgres,
    HomeUnreachable,
    OtherMajor,
)
from imgq_cli.stack.ports import free_port
from imgq_cli.stack.services import Services, services
from imgq_cli.stack.state import read_state
from imgq_cli.stack.waiting import wait_until

DEBIAN_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
ROOT = os.geteuid() == 0
HOLD = """
import sys, time
from pathlib import Path
from imgq_cli.stack import spawning
from imgq_cli.stack.ports import free_port
from imgq_cli.stack.services import services
if sys.argv[2] == "orphans":  # as where the system cannot tie children to their parent
    spawning._death_notice = lambda number: None
with services(Path(sys.argv[1]), durable=False) as running:
    print(*(server.pid for server in running.servers), flush=True)
    time.sleep(120)
"""


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that the servers' account may enter, unlike pytest's own where root runs it."""
    with tempfile.TemporaryDirectory(prefix="imgq-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder for a home."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    """A home that was used before and is at rest, as each test leaves it: quick to start."""
    with reachable_folder() as folder:
        with services(folder, durable=False):
            pass
        yield folder


@pytest.fixture(scope="module")
def running(used: Path) -> Iterator[Services]:
    """Services for tests that only look."""
    with reachable_folder() as folder:
        shutil.copytree(used / "pg18", folder / "pg18")
        shutil.copy2(used / "secret", folder / "secret")
        with services(folder, durable=False) as found:
            yield found


@contextmanager
def held_by_another(home: Path, mode: str) -> Iterator[tuple[psutil.Popen, list[psutil.Process]]]:
    """Another process that runs the services of a home, and its servers."""
    argv = [sys.executable, "-c", HOLD, str(home), mode]
    owner = psutil.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        pids = owner.stdout.readline().split()
        yield owner, [psutil.Process(int(pid)) for pid in pids]
    finally:
        if owner.poll() is None:
            owner.kill()
        owner.wait(10)
        owner.stdout.close()


def query(running: Services, sql: str) -> object:
    connection = psycopg2.connect(running.database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone() if cursor.description else None
    finally:
        connection.close()


def all_gone(processes: list[psutil.Process]) -> bool:
    gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return all(not one.is_running() or one.status() in gone for one in processes)


def test_data_survives_a_stop_in_a_home_with_spaces_and_accents(place: Path) -> None:
    home = place / "mes données d'été"
    with services(home) as running:
        query(running, "CREATE TABLE kept AS SELECT lower('É') AS letter")
        with redis.Redis.from_url(running.redis_url) as client:
            client.set("bell", "rings")
    with services(home) as running:
        assert query(running, "SELECT letter FROM kept") == ("é",)
        with redis.Redis.from_url(running.redis_url) as client:
            assert client.get("bell") == b"rings"


def test_secrets_are_private_and_on_no_command_line(running: Services) -> None:
    secret = running.home.secret.read_text().strip()
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (running.home.secret, running.home.state, running.home.servers / "pg18")
    }
    lines = [psutil.Process(server.pid).cmdline() for server in running.servers]
    assert modes == {"secret": 0o600, "state.json": 0o600, "pg18": 0o700}
    assert len(secret) >= 32
    assert not any(secret in part for line in lines for part in line)


def test_a_wrong_password_is_refused_by_both(running: Services) -> None:
    secret = running.home.secret.read_text().strip()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(running.database_url.replace(secret, "guessed"))
    with redis.Redis.from_url(running.redis_url.replace(secret, "guessed")) as client:
        with pytest.raises(redis.AuthenticationError):
            client.ping()


def test_a_home_is_held_once(running: Services) -> None:
    with pytest.raises(AlreadyUp, match=f"already up.*{os.getpid()}"):
        with services(running.home.folder, durable=False):
            pytest.fail("the second one started")


def test_a_killed_postgres_comes_back_on_its_port_with_its_data(used: Path) -> None:
    with services(used) as running:
        postgres = running.servers[0]
        query(running, "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS number")
        assert postgres.pid
        os.kill(postgres.pid, signal.SIGKILL)
        assert wait_until(lambda: postgres.exit_code() == -signal.SIGKILL, timeout_seconds=10)
        postgres.restart()
        postgres.await_ready(timeout_seconds=30)
        assert query(running, "SELECT number FROM kept") == (7,)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties children to their parent")
def test_killing_the_owner_leaves_nothing_running(used: Path) -> None:
    with held_by_another(used, "tied") as (owner, children):
        owner.kill()
        assert wait_until(lambda: all_gone(children), timeout_seconds=20)


def test_what_a_killed_owner_left_is_stopped_at_the_next_start(used: Path) -> None:
    with held_by_another(used, "orphans") as (owner, orphans):
        owner.kill()
        owner.wait(10)
        assert not all_gone(orphans)
        with services(used, durable=False) as running:
            assert all_gone(orphans)
            assert query(running, "SELECT 1") == (1,)


def test_a_garbled_state_and_pid_file_are_no_obstacle(used: Path) -> None:
    (used / "state.json").write_text("{")
    (used / "pg18" / "postmaster.pid").write_text("\x00not a number\n")
    with services(used, durable=False) as running:
        assert query(running, "SELECT 1") == (1,)
        state = read_state(running.home.state)
    assert state and {record.name for record in state.processes} == {"postgres", "valkey"}


def test_a_postgres_of_somebody_else_is_left_alone(used: Path) -> None:
    folder = used / "pg18"
    argv = [sys.executable, "-c", "input()", str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as stranger:
        (folder / "postmaster.pid").write_text(f"{stranger.pid}\n")
        with pytest.raises(ForeignPostgres, match=str(stranger.pid)):
            with services(used, durable=False):
                pytest.fail("it started")
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_data_of_another_major_version_is_refused(place: Path) -> None:
    (place / "pg12").mkdir()
    (place / "pg12" / "PG_VERSION").write_text("12\n")
    with pytest.raises(OtherMajor, match="written by Postgres 12"):
        with services(place, durable=False):
            pytest.fail("it started")
    assert not (place / "pg18").exists()


def test_a_port_that_is_taken_first_is_exchanged(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1]] * 2)
        monkeypatch.setattr(servers, "free_port", lambda: next(ports, None) or free_port())
        with services(used, durable=False) as running:
            assert taken.getsockname()[1] not in {server.port for server in running.servers}
            assert query(running, "SELECT 1") == (1,)


def test_an_unreadable_valkey_directory_is_put_aside(used: Path) -> None:
    with services(used):
        pass
    written = list((used / "valkey" / "appendonlydir").glob("*.aof"))
    assert written
    for file in written:
        file.write_bytes(b"not what Valkey wrote" * 100)
    with services(used) as running, redis.Redis.from_url(running.redis_url) as client:
        assert client.ping()
    assert (used / "valkey.broken-1").is_dir()


def test_given_urls_are_used_and_start_nothing(place: Path) -> None:
    urls = ("postgresql://db/imgq", "redis://queue/0")
    with services(place, database_url=urls[0], redis_url=urls[1]) as running:
        assert (running.database_url, running.redis_url, running.servers) == (*urls, ())


@pytest.mark.skipif(not DEBIAN_POSTGRES, reason="needs a Postgres of the distribution")
def test_an_older_postgres_of_the_system_works(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGQ_PG_BIN", str(DEBIAN_POSTGRES[0].parent))
    with services(place, durable=False) as running:
        assert query(running, "SELECT lower('É')") == ("é",)


@pytest.mark.skipif(not ROOT, reason="only root changes its account")
def test_programs_in_a_private_folder_are_made_reachable(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = used / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(find_postgres().folder.parent, private / "wheel" / "pginstall")
    shutil.copy2(find_redis().path, private / "valkey-server")
    monkeypatch.setenv("IMGQ_PG_BIN", str(private / "wheel" / "pginstall" / "bin"))
    monkeypatch.setenv("IMGQ_REDIS_BIN", str(private / "valkey-server"))
    with services(used, durable=False) as running:
        for process in (psutil.Process(server.pid) for server in running.servers):
            assert Path(process.exe()).is_relative_to(used / "bin")
            assert process.uids().effective != 0


@pytest.mark.skipif(not ROOT, reason="only root changes its account")
def test_a_home_behind_a_private_folder_is_refused_with_its_name(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(HomeUnreachable, match=str(private)):
        with services(private / "home"):
            pytest.fail("it started")
