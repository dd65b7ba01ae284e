"""`imgq down`: stop the local stack."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.params import Place
from imgq_cli.terminal import emit_json, err


@click.command("down")
@click.option("--home", type=Place(), help="The stack's directory.")
@pass_invocation
def command(invocation: Invocation, /, home: Path | None) -> int:
    """Stop the local stack. Work in hand is given back, nothing is lost."""
    from imgq_cli.stack.stopping import Stopped, stop_stack
    from imgq_cli.target import read_settings

    folder = home or read_settings().home
    stopped = stop_stack(folder, lambda text: err().print(text))
    if invocation.json:
        emit_json({"home": str(folder), "stopped": stopped.value})
        return Exit.OK
    err().print(
        {
            Stopped.STACK: "Stopped. imgq up starts it again, with all that was there.",
            Stopped.ORPHANS: "The stack was gone already; what it had left running is stopped now.",
            Stopped.NOTHING: f"Nothing is running in {folder}.",
        }[stopped]
    )
    return Exit.OK
