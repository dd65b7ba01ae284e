"""The account that the servers run as: Postgres refuses root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from imgq_cli.stack.errors import AccountMissing

CANDIDATES = ("imgq", "postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine that is not root."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give the path, and all that is in it, to this account."""
        os.chown(path, self.uid, self.gid)
        if path.is_dir():
            for folder, directories, files in os.walk(path):
                for name in (*directories, *files):
                    os.chown(Path(folder, name), self.uid, self.gid, follow_symlinks=False)


def server_account() -> Account | None:
    """Return the account for the servers; None means: as ourselves, we are not root.

    Raises AccountMissing.
    """
    if os.geteuid() != 0:
        return None
    wanted = os.environ.get("IMGQ_RUN_AS")
    for name in (wanted,) if wanted else CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise AccountMissing(wanted or " or ".join(CANDIDATES))


def closed_folder(path: Path, account: Account | None) -> Path | None:
    """Return what keeps the account from entering a folder or running a program; None: nothing."""
    if account is None:
        return None
    way = path.resolve()
    steps = (*reversed(way.parents), way)
    return next((step for step in steps if not _may_enter(step.stat(), account)), None)


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
