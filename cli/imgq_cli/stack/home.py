"""The stack's home: its directories, its files and its secret."""

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgq_cli.stack.accounts import Account, closed_folder
from imgq_cli.stack.errors import DiskFull, HomeUnreachable, HomeUnusable


@dataclass(frozen=True, slots=True)
class Home:
    """Where the stack keeps its things. Only the account of the servers enters `servers`."""

    folder: Path
    servers: Path

    @property
    def logs(self) -> Path:
        """One file a child."""
        return self.folder / "logs"

    @property
    def data(self) -> Path:
        """The artifacts: IMGQ_DATA_DIR of the children."""
        return self.folder / "data"

    @property
    def lock(self) -> Path:
        """Held by the one process that runs the stack."""
        return self.folder / "lock"

    @property
    def servers_lock(self) -> Path:
        """Held by the children too, so that it outlives a supervisor that was killed."""
        return self.folder / "lock.servers"

    @property
    def secret(self) -> Path:
        """The password of both servers."""
        return self.folder / "secret"

    @property
    def state(self) -> Path:
        """What runs, and where."""
        return self.folder / "state.json"

    @property
    def api_key(self) -> Path:
        """The key that the command line sends to this stack."""
        return self.folder / "api-key"


def make_home(folder: Path, account: Account | None) -> Home:
    """Create what is missing of the home. Raises HomeUnusable, DiskFull."""
    folder = folder.resolve()
    with explained(folder):
        if not folder.exists():
            folder.mkdir(parents=True)
            # The servers run as somebody else when we are root: they must get through.
            folder.chmod(0o711 if account else 0o700)
        for name in ("logs", "data"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
    return Home(folder, folder)


@contextlib.contextmanager
def reachable_home(home: Home, account: Account | None, *, durable: bool) -> Iterator[Home]:
    """Yield a home whose servers' part the account may enter. Raises HomeUnreachable.

    durable=False: the data is thrown away anyhow, so it may lie in the temporary directory.
    """
    closed = closed_folder(home.servers, account)
    if closed is None or account is None:
        yield home
        return
    if durable:
        raise HomeUnreachable(home.folder, closed, account.name)
    with tempfile.TemporaryDirectory(prefix="imgq-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o711)
        still_closed = closed_folder(Path(scratch), account)
        if still_closed:
            raise HomeUnreachable(Path(scratch), still_closed, account.name)
        yield Home(home.folder, Path(scratch))


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the system's complaints about a folder into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(folder) from error
        named = f" ({error.filename})" if error.filename else ""
        raise HomeUnusable(folder, f"{error.strerror or error}{named}") from error


def read_secret(home: Home) -> str | None:
    """Return the servers' password, None when there is none yet."""
    try:
        return home.secret.read_text().strip() or None
    except FileNotFoundError:
        return None


def ensure_secret(home: Home) -> str:
    """Return the servers' password, made on the first call."""
    known = read_secret(home)
    if known:
        return known
    fresh = secrets.token_urlsafe(24)
    write_private(home.secret, fresh + "\n")
    return fresh


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: readers see the old text or the new one."""
    half = path.with_name(f".{path.name}.half")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
