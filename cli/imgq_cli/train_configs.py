"""The TOML file of `imgq train --config`: read here, understood by the server."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from imgq_cli.errors import CliError, NotFound, UsageFault

EVERY_KNOB = "docs/training.md has a file with every knob"
CONFIG = "#/options/config"


def read_config(path: Path | None) -> dict[str, Any]:
    """Return the knobs of a file, none without one. Raises NotFound, UsageFault."""
    if path is None:
        return {}
    try:
        config = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"No such file: {path}", hint="check the path after --config") from error
    except OSError as error:
        raise UsageFault(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageFault(f"{path} is not TOML: {error}.", hint=EVERY_KNOB) from error
    try:
        json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageFault(
            f"{path} holds a date, a time, an infinity or a NaN, which no knob takes.",
            hint="leave that key out",
        ) from error
    return config


def told_of_file(error: CliError, path: Path | None) -> CliError:
    """Return what a server said of the knobs as said of their file; other errors as they are."""
    if path is None:
        return error
    faults = (error.problem or {}).get("errors")
    if not isinstance(faults, list) or [_pointer(fault) for fault in faults] != [CONFIG]:
        return error
    message = error.message.replace("options.config", str(path), 1)
    return CliError(message, hint=EVERY_KNOB, exit_code=error.exit_code, problem=error.problem)


def _pointer(fault: object) -> object:
    return fault.get("pointer") if isinstance(fault, dict) else None
