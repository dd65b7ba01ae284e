"""`imgq doctor`: check this machine, the local stack and the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.params import Place
from imgq_cli.terminal import ACCENT, BAD, GOOD, WARNING, emit_json, out, printable_lines

if TYPE_CHECKING:
    from imgq_cli.stack.checks import Check


@click.command("doctor")
@click.option("--home", type=Place(), help="The stack's directory.")
@pass_invocation
def command(invocation: Invocation, /, home: Path | None) -> int:
    """Check what this machine, the local stack and the server lack.

    Exits with 1 if something is broken; warnings alone are fine.
    """
    from imgq_cli.stack.checks import Level, machine_checks
    from imgq_cli.target import read_settings

    folder = (home or read_settings().home).expanduser().resolve()
    checks = machine_checks(folder) + _server_checks(invocation, folder, own=home is not None)
    broken = any(check.level == Level.FAILED for check in checks)
    if invocation.json:
        emit_json({"ok": not broken, "checks": [_document(check) for check in checks]})
    else:
        _print(checks)
    return Exit.UNEXPECTED if broken else Exit.OK


def _server_checks(invocation: Invocation, folder: Path, *, own: bool) -> list[Check]:
    """Ask the server that other commands would talk to; own: the stack of this home only."""
    from imgq_cli.stack.server_checks import server_checks
    from imgq_cli.stack.state import running_state
    from imgq_cli.target import find_target, read_settings

    state = running_state(folder / "state.json")
    if own and not invocation.server:
        if state is None or state.url is None or state.key_file is None:
            return []
        return server_checks(state.url, Path(state.key_file).read_text().strip())
    if state is None and not read_settings(invocation.server).server:
        return []
    target = find_target(invocation.server)
    return server_checks(target.url, target.key)


def _document(check: Check) -> dict[str, str | None]:
    return {
        "name": check.name,
        "level": check.level.value,
        "text": check.text,
        "hint": check.hint,
    }


def _print(checks: list[Check]) -> None:
    from rich.text import Text

    marks = {"ok": ("✓", GOOD), "warning": ("!", WARNING), "failed": ("✗", BAD)}
    width = max(len(check.name) for check in checks)
    console = out()
    for check in checks:
        mark, colour = marks[check.level.value]
        name = f" {check.name.ljust(width)}  "
        console.print(
            Text.assemble((mark, colour), (name, "bold"), printable_lines(check.text)),
            soft_wrap=True,
        )
        if check.hint:
            pad = " " * (width + 4)
            line = Text.assemble(pad, ("Try: ", ACCENT), printable_lines(check.hint))
            console.print(line, soft_wrap=True)
