"""`imgq models`: the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from imgq_cli.calls import get_model, import_model, list_models
from imgq_cli.client import Client, connect
from imgq_cli.errors import NotFound, UsageFault
from imgq_cli.exits import Exit
from imgq_cli.formats import age, local_time, number
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.sources import check_source, source_uri
from imgq_cli.terminal import ACCENT, QUIET, emit_json, err, next_steps, note, out, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_LABELS = 12


@click.group("models")
def command() -> None:
    """List, show and import models."""


@command.command("list")
@pass_invocation
def list_(invocation: Invocation, /) -> int:
    """List every version of every model."""
    found = list_models(connect(invocation))
    if invocation.json:
        emit_json({"items": found})
    elif found:
        out().print(_table(found))
    else:
        note("There is no model.")
    return Exit.OK


@command.command("show")
@click.argument("model")
@pass_invocation
def show(invocation: Invocation, /, model: str) -> int:
    """Show one version of a model.

    MODEL is NAME, NAME:VERSION or NAME@ALIAS; a plain NAME means its champion, else its newest
    version.
    """
    client = connect(invocation)
    found = get_model(client, *_resolve(client, model))
    if invocation.json:
        emit_json(found)
    else:
        out().print(_details(found))
    return Exit.OK


@command.command("import")
@click.argument("folder")
@click.option("--name", required=True, help="The model's name; it gets its next version.")
@click.option("--by-reference", is_flag=True, help="The server sees the same path.")
@pass_invocation
def import_(invocation: Invocation, /, folder: str, name: str, by_reference: bool) -> int:
    """Register an artifact: a folder with model.json and weights.safetensors."""
    check_source(folder)
    if Path(folder).is_dir() and not Path(folder, "model.json").is_file():
        raise UsageFault(f"There is no model.json in {folder}.", hint="imgq models import --help")
    client = connect(invocation)
    uri = source_uri(folder, shares_disk=client.target.local or by_reference)
    found = import_model(client, name, uri)
    if invocation.json:
        emit_json(found)
        return Exit.OK
    click.echo(found["ref"])
    err().print(f"{found['ref']} is registered: {number(found['classes'])} labels.")
    next_steps(("use it", f"imgq submit-folder ./images --model {found['ref']}"))
    return Exit.OK


def _resolve(client: Client, ref: str) -> tuple[str, int]:
    name, colon, version = ref.partition(":")
    if colon and version.isdecimal():
        return name, int(version)
    name, at, alias = ref.partition("@")
    versions = [model for model in list_models(client) if model["name"] == name]
    wanted = [model for model in versions if (alias or "champion") in model["aliases"]]
    if not wanted and not at:
        wanted = sorted(versions, key=lambda model: -int(model["version"]))
    if not wanted or colon:
        raise NotFound(f"There is no model {ref!r}.", hint="imgq models list")
    return name, wanted[0]["version"]


def _table(models: list[dict[str, Any]]) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, header_style=QUIET, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model", style=ACCENT, no_wrap=True)
    table.add_column("aliases")
    table.add_column("architecture", overflow="fold")
    table.add_column("labels", justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    table.add_column("created", no_wrap=True)
    for model in models:
        table.add_row(
            model["ref"],
            ", ".join(model["aliases"]) or "–",
            model["architecture"],
            number(model["classes"]),
            printable(model["source"]),
            age(model["created_at"]),
        )
    return table


def _details(model: dict[str, Any]) -> RenderableType:
    from rich.table import Table

    labels = model["labels"]
    more = f", … ({number(len(labels))} in all)" if len(labels) > SHOWN_LABELS else ""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("model", model["ref"])
    grid.add_row("aliases", ", ".join(model["aliases"]) or "–")
    grid.add_row("architecture", model["architecture"])
    grid.add_row("labels", printable(", ".join(labels[:SHOWN_LABELS])) + more)
    for title in ("preprocessing", "metrics"):
        for name, value in model[title].items():
            grid.add_row(f"{title[:-1] if title == 'metrics' else title}: {name}", str(value))
    grid.add_row("source", printable(model["source"]))
    grid.add_row("digest", model["digest"] or "– (made by the first worker that needs it)")
    grid.add_row("created", local_time(model["created_at"]))
    return grid
