"""What the user reads once the stack is up."""

import shlex
from pathlib import Path
from typing import Any

from imgq_cli.stack.home import Home
from imgq_cli.stack.state import State
from imgq_cli.target import read_settings
from imgq_cli.terminal import out


def show_panel(state: State, home: Home, *, detached: bool) -> None:
    """Print where everything is, and what to do next."""
    from rich.panel import Panel
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    for title, text in panel_rows(state, home, detached=detached):
        rows.add_row(title, text)
    out().print(Panel(rows, title="imgq is up", expand=False))


def state_document(state: State, home: Home) -> dict[str, Any]:
    """Return the stack as `imgq up --json` prints it."""
    return {
        "url": state.url,
        "home": str(home.folder),
        "logs": str(home.logs),
        "key_file": state.key_file,
        "workers": count_workers(state),
        "started_at": state.started_at.isoformat().replace("+00:00", "Z"),
    }


def count_workers(state: State) -> int:
    """Return how many worker processes the stack runs."""
    return sum(record.name.startswith("worker-") for record in state.processes)


def panel_rows(state: State, home: Home, *, detached: bool) -> list[tuple[str, str]]:
    """Return the panel's lines as title and text."""
    down = f"imgq down{home_flag(home.folder)}"
    stop = down if detached else f"Ctrl-C stops everything, nothing is lost (or: {down})"
    return [
        ("API", f"{state.url}"),
        ("Docs", f"{state.url}/docs"),
        ("Workers", str(count_workers(state))),
        ("Home", str(home.folder)),
        ("Logs", str(home.logs)),
        ("Next", f"{home_variable(home.folder)}imgq submit-folder ./images"),
        ("Stop", stop),
    ]


def home_flag(folder: Path) -> str:
    """Return the option that names a home, empty for the default one."""
    return "" if _is_default(folder) else f" --home {shlex.quote(str(folder))}"


def home_variable(folder: Path) -> str:
    """Return the assignment by which other commands find the stack, empty for the default home."""
    return "" if _is_default(folder) else f"IMGQ_HOME={shlex.quote(str(folder))} "


def _is_default(folder: Path) -> bool:
    return folder == read_settings().home.resolve()
