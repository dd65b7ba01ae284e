"""What one call of `imgq` was asked for globally, and the options that every command takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rich_click as click

from imgq_cli.clocks import Clock

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter


COMMON = "Common options"


@dataclass(slots=True)
class Invocation:
    """The global options. Commands find it with `@pass_invocation`."""

    json: bool = False
    verbose: bool = False
    server: str | None = None
    #: Carries the HTTP requests; None means the network.
    adapter: BaseAdapter | None = None
    clock: Clock = time


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def _recorder(field: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def record(ctx: click.Context, _: click.Parameter, value: object) -> None:
        # The option may stand before the command and after it: a given one is never unset.
        if value:
            setattr(ctx.ensure_object(Invocation), field, value)

    return record


def common_options() -> list[click.Parameter]:
    """Return fresh copies of the options that stand before a command or after it."""
    return [
        click.RichOption(
            ["--server"],
            metavar="URL",
            expose_value=False,
            callback=_recorder("server"),
            help="The server to talk to. Default: IMGQ_SERVER, or the local stack.",
            panel=COMMON,
        ),
        click.RichOption(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_recorder("json"),
            help="Print JSON with the fields of the REST API.",
            panel=COMMON,
        ),
        click.RichOption(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_recorder("verbose"),
            help="Show request ids, and tracebacks of unexpected errors.",
            panel=COMMON,
        ),
    ]


def add_common_options(command: click.Command) -> None:
    """Add the common options to a command, and below it, unless it has options of those names."""
    taken = {name for parameter in command.params for name in parameter.opts}
    missing = [option for option in common_options() if taken.isdisjoint(option.opts)]
    command.params += missing
    if missing and isinstance(command, click.RichCommand):
        command.panels += _panels(command)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            add_common_options(child)


def _panels(command: click.Command) -> list[click.RichPanel[Any, Any]]:
    # Named here so that a command's own options come first in its help.
    named = (getattr(option, "panel", None) for option in command.params)
    own = [name for name in dict.fromkeys(named) if isinstance(name, str) and name != COMMON]
    commands = [click.RichCommandPanel("Commands")] if isinstance(command, click.Group) else []
    return [*commands, *(click.RichOptionPanel(name) for name in (*own, "Options", COMMON))]
