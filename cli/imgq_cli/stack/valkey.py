"""The stack's Valkey (or Redis): carries bells only, so that losing it costs seconds."""

import signal
import subprocess
from pathlib import Path

from imgq_cli.stack.accounts import Account
from imgq_cli.stack.binaries import RedisProgram
from imgq_cli.stack.home import Home
from imgq_cli.stack.ports import LOOPBACK
from imgq_cli.stack.postgres import server_environment
from imgq_cli.stack.servers import ServerKind
from imgq_cli.stack.spawning import spawn

STOPS = ((signal.SIGTERM, 15.0),)
BROKEN_FILE = "Bad file format"


def redis_url(port: int, secret: str) -> str:
    """Return the address of database 0."""
    return f"redis://:{secret}@{LOOPBACK}:{port}/0"


def valkey_kind(
    home: Home,
    program: RedisProgram,
    account: Account | None,
    *,
    durable: bool,
    keep_fds: tuple[int, ...],
) -> ServerKind:
    """Return how to run Valkey on the directory of this home. Needs the home's secret."""
    folder = home.servers / "valkey"
    secret = home.secret.read_text().strip()
    log = home.logs / "valkey.log"

    def launch(port: int) -> subprocess.Popen[bytes]:
        _ensure_folder(folder, account)
        return spawn(
            [program.path, "-"],
            log=log,
            env=server_environment(),
            cwd=Path("/"),
            account=account,
            # On standard input, so that the password is on no command line and in no file.
            stdin=_configuration(folder, port, secret, durable=durable),
            keep_fds=keep_fds,
        )

    def repair(lines: str) -> bool:
        return BROKEN_FILE in lines and _put_aside(folder)

    return ServerKind(
        name="valkey",
        log=log,
        command=program.path.name,
        launch=launch,
        ready=lambda pid, port: _is_answered_by(pid, port, secret),
        stops=STOPS,
        repair=repair,
    )


def _ensure_folder(folder: Path, account: Account | None) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if account and folder.stat().st_uid != account.uid:
        account.own(folder)


def _configuration(folder: Path, port: int, secret: str, *, durable: bool) -> str:
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        f"bind {LOOPBACK}",
        f"port {port}",
        "protected-mode yes",
        f"requirepass {secret}",
        f'dir "{quoted}"',
        'save ""',
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        "aof-load-truncated yes",
        # Without this an older Redis could not open what Valkey wrote.
        "aof-use-rdb-preamble no",
        "maxmemory 512mb",
        # Fail the write rather than drop a queued bell.
        "maxmemory-policy noeviction",
        "daemonize no",
        "tcp-keepalive 60",
    ]
    return "\n".join(lines) + "\n"


def _is_answered_by(pid: int, port: int, secret: str) -> bool:
    """Ask who listens: a connection could have reached another server."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis(
        host=LOOPBACK, port=port, password=secret, socket_timeout=2, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.info("server")["process_id"] == pid)
    except redis.RedisError:
        return False
    finally:
        client.close()


def _put_aside(folder: Path) -> bool:
    """Move an unreadable directory away: Postgres knows all jobs, and they are rung again."""
    number = sum(1 for _ in folder.parent.glob(f"{folder.name}.broken-*")) + 1
    folder.replace(folder.with_name(f"{folder.name}.broken-{number}"))
    return True
