"""`imgq keys`: the API keys of a server."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import rich_click as click

from imgq_cli.calls import create_key, list_keys, revoke_key
from imgq_cli.client import connect
from imgq_cli.errors import UsageFault
from imgq_cli.exits import Exit
from imgq_cli.formats import age, local_time
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.params import Duration
from imgq_cli.terminal import ACCENT, QUIET, emit_json, err, note, out, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

SCOPES = ["read", "submit", "train", "admin"]


@click.group("keys")
def command() -> None:
    """List, create and revoke API keys. Each needs a key with the scope admin."""


@command.command("list")
@pass_invocation
def list_(invocation: Invocation, /) -> int:
    """List the API keys, revoked ones too; secrets are never shown."""
    found = list_keys(connect(invocation))
    if invocation.json:
        emit_json({"items": found})
    elif found:
        out().print(_table(found))
    else:
        note("There is no key.")
    return Exit.OK


@command.command("create")
@click.option("--name", required=True, help="Who or what the key is for.")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True,
              default=["read", "submit"], show_default=True, help="What it may do. Repeatable.",
              )  # fmt: skip
@click.option("--expires-in", type=Duration(), metavar="90d", help="Default: never.")
@pass_invocation
def create(
    invocation: Invocation, /, name: str, scopes: tuple[str, ...], expires_in: float | None
) -> int:
    """Make an API key and print it, this once: only a hash is stored."""
    expires_at = _expiry(expires_in) if expires_in is not None else None
    body = {"name": name, "scopes": list(scopes), "expires_at": expires_at}
    key = create_key(connect(invocation), body)
    if invocation.json:
        emit_json(key)
        return Exit.OK
    click.echo(key["key"])
    err().print(f"Key {key['prefix']} may {', '.join(key['scopes'])}. It is not shown again.")
    if sys.stdout.isatty():
        note("Use it: export IMGQ_API_KEY=…")
    return Exit.OK


@command.command("revoke")
@click.argument("prefix")
@pass_invocation
def revoke(invocation: Invocation, /, prefix: str) -> int:
    """Refuse a key from now on.

    PREFIX is what `imgq keys list` shows.
    """
    revoke_key(connect(invocation), prefix)
    if invocation.json:
        emit_json({"prefix": prefix, "revoked": True})
    else:
        err().print(f"Key {prefix} is revoked.")
    return Exit.OK


def _expiry(seconds: float) -> str:
    try:
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
    except OverflowError:
        expires_at = None
    if seconds <= 0 or expires_at is None:
        raise UsageFault(
            "--expires-in is a time after which the key is refused: more than 0, in years that "
            "have four digits.",
            hint="--expires-in 90d, or leave it out for a key that does not expire",
        )
    return expires_at.isoformat()


def _table(keys: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("prefix", style=ACCENT, no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("may", overflow="fold")
    table.add_column("last used", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for key in keys:
        row = tuple(map(printable, (key["prefix"], key["name"], ", ".join(key["scopes"]))))
        style = QUIET if key["revoked_at"] else ""
        table.add_row(*row, age(key["last_used_at"]), _state(key), style=style)
    return table


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    return f"until {local_time(key['expires_at'])}" if key["expires_at"] else "valid"
