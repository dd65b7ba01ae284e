"""`imgq up`: start the local stack, and look after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from imgq_cli.exits import Exit
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.params import Place
from imgq_cli.terminal import emit_json, err

if TYPE_CHECKING:
    from imgq_cli.stack.home import Home
    from imgq_cli.stack.running import UpOptions
    from imgq_cli.stack.services import Services
    from imgq_cli.stack.state import State


@click.command("up")
@click.option("-d", "--detach", is_flag=True, help="Return once the stack is up.")
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    default=1,
    show_default=True,
    help="Worker processes; they share this machine's cores.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port of the API. Default: 8765, or a free one if that is taken.",
)
@click.option(
    "--home",
    type=Place(file_okay=False),
    help="Where data, logs and keys are kept. Default: IMGQ_HOME, or a directory of yours.",
)
@pass_invocation
def command(
    invocation: Invocation, /, detach: bool, workers: int, port: int | None, home: Path | None
) -> int:
    """Start Postgres, Valkey, the API and the workers on this machine.

    Ctrl-C stops everything in order; nothing is lost.
    """
    from imgq_cli.stack.running import UpOptions
    from imgq_cli.target import read_settings

    folder = (home or read_settings().home).expanduser().resolve()
    options = UpOptions(folder, workers, port)
    if detach:
        return _detached(invocation, options)
    return _foreground(invocation, options)


def _foreground(invocation: Invocation, options: UpOptions) -> int:
    from imgq_cli.stack.running import run_stack
    from imgq_cli.stack.stop_signals import stop_signals

    def on_ready(running: Services) -> None:
        try:
            _show(invocation, running.state.state, running.home, detached=False)
        except OSError as error:  # nobody reads: no reason to stop what runs
            _say(f"The summary could not be shown: {error.strerror}")

    with stop_signals() as signals:
        run_stack(options, signals, _say, on_ready=on_ready)
        _say("Stopped. Nothing is lost: imgq up goes on where it was.")
    return Exit.OK


def _detached(invocation: Invocation, options: UpOptions) -> int:
    from imgq_cli.stack.accounts import server_account
    from imgq_cli.stack.detached import running_already, start_detached
    from imgq_cli.stack.home import make_home
    from imgq_cli.stack.running import check_options

    home = make_home(options.home, server_account())
    state = running_already(home)
    if state is None:
        check_options(options)
        _say(f"Starting the stack in the background; its words go to {home.logs / 'up.log'} …")
        state = start_detached(options, home)
    else:
        _say("imgq is already up.")
    _show(invocation, state, home, detached=True)
    return Exit.OK


def _show(invocation: Invocation, state: State, home: Home, *, detached: bool) -> None:
    from imgq_cli.stack.panel import show_panel, state_document

    if invocation.json:
        emit_json(state_document(state, home))
    else:
        show_panel(state, home, detached=detached)


def _say(text: str) -> None:
    try:
        err().print(text)
    except OSError:
        return  # the terminal is gone; the events log has it too
