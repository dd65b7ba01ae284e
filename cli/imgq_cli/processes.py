"""Becoming another process of imgq: `python -m imgq_…`, its flags as environment settings."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from imgq_cli.errors import CliError
from imgq_cli.target import read_settings

WORKER_MODULES = ("torch", "torchvision", "timm", "PIL", "numpy", "safetensors")


def become(module: str, *arguments: str, flags: Mapping[str, object] | None = None) -> NoReturn:
    """Replace this process by `python -m module arguments`.

    flags: settings given on the command line; None means not given.
    """
    # Told in words here; the process itself would end with a traceback.
    read_settings(**(flags or {}))
    given = {f"IMGQ_{name.upper()}": value for name, value in (flags or {}).items()}
    environment = os.environ | {
        name: _as_text(value) for name, value in given.items() if value is not None
    }
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell, our own interpreter


def require_worker_extra() -> None:
    """Raise CliError unless what a worker imports is installed."""
    missing = [name for name in WORKER_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise CliError(
            f"A worker needs {', '.join(missing)}, which this installation lacks.",
            hint="pip install 'imgq[worker]'",
        )


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
