"""`imgq config`: the settings, and which place decided each."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.target import read_settings, running_stack
from imgq_cli.terminal import ACCENT, QUIET, emit_json, note, out, printable


@click.group("config")
def command() -> None:
    """Show the settings and where they come from."""


@command.command("show")
@click.option("--origin", is_flag=True, help="Tell where each value comes from.")
@pass_invocation
def show(invocation: Invocation, /, origin: bool) -> int:
    """Show every setting; secrets are masked.

    The strongest first: a flag, the environment (IMGQ_…), IMGQ_SECRETS_DIR, ./imgq.toml, the
    user's config.toml, the default.
    """
    from rich.table import Table
    from rich.text import Text

    from imgq_db.setting_origins import setting_origins

    home = read_settings(invocation.server).home
    settings = setting_origins()
    _tell_of_the_stack(home)
    if invocation.json:
        emit_json(
            {"items": [{"name": s.name, "value": s.value, "origin": s.origin} for s in settings]}
        )
        return Exit.OK
    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("setting", style=ACCENT, no_wrap=True)
    table.add_column("value", overflow="fold")
    if origin:
        table.add_column("origin", overflow="fold")
    for setting in settings:
        quiet = QUIET if setting.origin == "default" else ""
        cells = [Text(printable(setting.value), style=quiet), Text(setting.origin, style=quiet)]
        table.add_row(setting.name, *cells[: 2 if origin else 1])
    out().print(table)
    return Exit.OK


def _tell_of_the_stack(home: Path) -> None:
    stack = running_stack(home)
    if stack is not None:
        at = f" ({stack.url})" if stack.url else ""
        note(f"The running local stack{at} uses its own database, queue and folders.")
