"""The stack's Postgres: one data directory a major version, TCP on the loopback, a password."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from imgq_cli.stack.accounts import Account
from imgq_cli.stack.binaries import PostgresPrograms
from imgq_cli.stack.errors import DiskFull, ForeignPostgres, OtherMajor, ServerNotStarted
from imgq_cli.stack.home import Home, write_private
from imgq_cli.stack.ports import LOOPBACK
from imgq_cli.stack.servers import ServerKind
from imgq_cli.stack.spawning import spawn

USER = "imgq"
DATABASE = "imgq"
INIT_SECONDS = 120
#: SIGTERM would wait for clients for ever: fast shutdown, then immediate.
STOPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 15.0))
SETTINGS = (
    f"listen_addresses={LOOPBACK}",
    "unix_socket_directories=",
    "max_connections=100",
    "shared_buffers=128MB",
    "max_wal_size=1GB",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
)
THROWAWAY_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def postgres_url(port: int, secret: str, database: str = DATABASE) -> str:
    """Return the address of one database."""
    return f"postgresql://{USER}:{secret}@{LOOPBACK}:{port}/{database}"


def postgres_kind(
    home: Home,
    programs: PostgresPrograms,
    account: Account | None,
    *,
    durable: bool,
    keep_fds: tuple[int, ...],
) -> ServerKind:
    """Return how to run Postgres on the data directory of this home."""
    folder = data_folder(home, programs)
    settings = SETTINGS if durable else (*SETTINGS, *THROWAWAY_SETTINGS)
    log = home.logs / "postgres.log"

    def launch(port: int) -> subprocess.Popen[bytes]:
        clear_pid_file(folder)
        arguments = [part for setting in settings for part in ("-c", setting)]
        return spawn(
            [programs.folder / "postgres", "-D", folder, "-c", f"port={port}", *arguments],
            log=log,
            env=server_environment(),
            cwd=Path("/"),
            account=account,
            keep_fds=keep_fds,
            death_signal=signal.SIGINT,
        )

    return ServerKind(
        name="postgres",
        log=log,
        command="postgres",
        launch=launch,
        ready=lambda pid, port: _says_ready(folder, pid),
        stops=STOPS,
    )


def data_folder(home: Home, programs: PostgresPrograms) -> Path:
    """Return the data directory of this major version."""
    return home.servers / f"pg{programs.major}"


def ensure_cluster(
    home: Home, programs: PostgresPrograms, account: Account | None, *, durable: bool
) -> None:
    """Make the data directory if there is none. Raises OtherMajor, ServerNotStarted, DiskFull."""
    folder = data_folder(home, programs)
    if folder.exists():
        _check_major(folder, programs)
        if account and folder.stat().st_uid != account.uid:
            account.own(folder)
        return
    for other in sorted(home.servers.glob("pg*/PG_VERSION")):
        # Starting an empty database beside the user's data would look like a loss of all of it.
        if other.parent.suffix != ".half":
            raise OtherMajor(other.parent, other.read_text().strip(), programs.major)
    half = folder.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    if account:
        account.own(half)
    _init(home, programs, account, half, durable=durable)
    half.replace(folder)


def ensure_database(port: int, secret: str) -> None:
    """Create imgq's database if it is missing."""
    import psycopg2

    connection = psycopg2.connect(postgres_url(port, secret, "postgres"), connect_timeout=10)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        connection.close()


def clear_pid_file(folder: Path) -> None:
    """Remove what a killed Postgres left, however garbled. Raises ForeignPostgres.

    We hold the lock that our own servers hold, so a live one here was started by somebody else.
    """
    file = folder / "postmaster.pid"
    try:
        pid = int(file.read_text(errors="replace").splitlines()[0])
    except FileNotFoundError:
        return
    except (ValueError, IndexError):
        pid = 0
    if pid > 0 and _works_in(pid, folder):
        raise ForeignPostgres(folder, pid)
    file.unlink(missing_ok=True)


def server_environment() -> dict[str, str]:
    """Return the few variables that a server needs: none of ours."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _init(
    home: Home, programs: PostgresPrograms, account: Account | None, folder: Path, *, durable: bool
) -> None:
    secret_file = home.servers / ".initial-password"
    write_private(secret_file, home.secret.read_text())
    try:
        if account:
            account.own(secret_file)
        run = subprocess.run(  # noqa: S603 - our own initdb, no shell
            [
                *(programs.folder / "initdb", "-D", folder, "-U", USER),
                *(f"--pwfile={secret_file}", "--auth=scram-sha-256", "--encoding=UTF8"),
                *_locale(programs.major),
                *([] if durable else ["--no-sync"]),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INIT_SECONDS,
            cwd="/",
            env=server_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        lines = f"(none within {INIT_SECONDS} s)"
        raise ServerNotStarted("initdb", "took too long", home.logs, lines) from error
    finally:
        secret_file.unlink(missing_ok=True)
    if run.returncode != 0:
        if "No space left" in run.stderr:
            raise DiskFull(home.folder)
        log = home.logs / "initdb.log"
        log.write_text(run.stdout + run.stderr)
        lines = "\n".join(run.stderr.splitlines()[-10:])
        raise ServerNotStarted("initdb", f"failed (exit {run.returncode})", log, lines)


def _locale(major: int) -> Sequence[str]:
    """Byte order with Unicode's upper and lower case, whatever the machine's locales."""
    if major >= 17:
        return ("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    return ("--locale=C.UTF-8",) if os.uname().sysname == "Linux" else ("--no-locale",)


def _check_major(folder: Path, programs: PostgresPrograms) -> None:
    try:
        theirs = (folder / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        theirs = "of an unknown version"
    if theirs != str(programs.major):
        raise OtherMajor(folder, theirs, programs.major)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return str(folder) in psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _says_ready(folder: Path, pid: int) -> bool:
    """Read the server's own word: a connection could have reached another server."""
    try:
        lines = (folder / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
