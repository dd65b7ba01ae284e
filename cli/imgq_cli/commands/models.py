"""`imgq models`: the registry."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from imgq_cli.archives import check_artifact, check_new_folder, check_nothing, download_folder
from imgq_cli.calls import get_model, import_model, list_models
from imgq_cli.client import connect
from imgq_cli.errors import CliError, UsageFault
from imgq_cli.exits import Exit
from imgq_cli.formats import number
from imgq_cli.invocation import Invocation, pass_invocation
from imgq_cli.model_calls import delete_version, get_alias, resolve, roll_back, version_path
from imgq_cli.model_panels import model_card, models_table
from imgq_cli.params import Duration, Place
from imgq_cli.promoting import await_export, promote, told
from imgq_cli.sources import check_source, source_uri
from imgq_cli.terminal import emit_json, err, interactive, next_steps, note, out

CHAMPION = "champion"


@click.group("models")
def command() -> None:
    """List, show, promote, export, import and delete models."""


@command.command("list")
@pass_invocation
def list_(invocation: Invocation, /) -> int:
    """List every version of every model."""
    found = list_models(connect(invocation))
    if invocation.json:
        emit_json({"items": found})
    elif found:
        out().print(models_table(found))
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
    name, version = resolve(client, model)
    found = get_model(client, name, version)
    if invocation.json:
        emit_json(found)
        return Exit.OK
    try:
        history = get_alias(client, name, CHAMPION)["history"]
    except CliError as error:  # of a model that never had one
        if error.exit_code != Exit.NOT_FOUND:
            raise
        history = []
    out().print(model_card(found, history))
    return Exit.OK


@command.command("report")
@click.argument("model")
@click.option("-o", "--output", "folder", required=True, type=Place(),
              metavar="DIR", help="A new folder.")  # fmt: skip
@pass_invocation
def report(invocation: Invocation, /, model: str, folder: Path) -> int:
    """Save the report of a version's training: a page, its figures, and every plot."""
    check_new_folder(folder)
    client = connect(invocation)
    path = f"{version_path(*resolve(client, model))}/report.tar"
    files = download_folder(client, path, folder, check=check_nothing)
    _say_written(invocation, folder / "report.html", files)
    return Exit.OK


@command.command("promote")
@click.argument("model")
@click.option("--alias", default=CHAMPION, show_default=True, help="Only champion has a gate.")
@click.option("--force", is_flag=True, help="Do not ask the gate; the history says so.")
@click.option("--timeout", type=Duration(), metavar="2h",
              help="Stop waiting after so long; the comparison goes on.")  # fmt: skip
@pass_invocation
def promote_(
    invocation: Invocation, /, model: str, alias: str, force: bool, timeout: float | None
) -> int:
    """Let an alias mean a version, if the gate lets it.

    MODEL is NAME:VERSION; a plain NAME means its newest version. A trainer compares the version
    with the champion, on the champion's test pictures that it never saw: it must not be worse
    (exact one-sided McNemar test at 0.05), no class of 20 pictures or more may lose over 5 points,
    and the labels must be the same. The first champion needs no gate. A refusal is exit 1.
    """
    client = connect(invocation)
    version = resolve(client, model, newest=True)
    found = promote(client, invocation, version, alias, force=force, timeout_seconds=timeout)
    if invocation.json:
        emit_json(found)
    else:
        click.echo(told(found))
    return Exit.OK


@command.command("rollback")
@click.argument("model")
@pass_invocation
def rollback(invocation: Invocation, /, model: str) -> int:
    """Let an alias mean again what it meant before; again, what it meant before that.

    MODEL is NAME, which means NAME@champion, or NAME@ALIAS.
    """
    name, _, alias = model.partition("@")
    client = connect(invocation)
    current = get_alias(client, name, alias or CHAMPION)
    if current["version"] is None:
        raise UsageFault(f"{name}@{alias or CHAMPION} means no version yet.")
    found = roll_back(client, name, alias or CHAMPION, current["version"])
    if invocation.json:
        emit_json(found)
    else:
        click.echo(told(found))
    return Exit.OK


@command.command("export")
@click.argument("model")
@click.option("-o", "--output", "folder", required=True, type=Place(),
              metavar="DIR", help="A new folder.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["imgq", "onnx"]), default="imgq",
              show_default=True, help="imgq: as imgq models import takes it.")  # fmt: skip
@click.option("--timeout", type=Duration(), metavar="2h",
              help="Stop waiting for a trainer after so long.")  # fmt: skip
@pass_invocation
def export(
    invocation: Invocation, /, model: str, folder: Path, form: str, timeout: float | None
) -> int:
    """Save a version's files, every byte checked.

    As onnx: a trainer writes model.onnx once, and parity.json says how near it is to the model.
    """
    check_new_folder(folder)
    client = connect(invocation)
    name, version = resolve(client, model)
    path = f"{version_path(name, version)}/artifact?format={form}"
    if form == "imgq":
        check = check_artifact(get_model(client, name, version)["digest"] or "")
    else:
        check = check_nothing
        await_export(client, invocation, (name, version), form, timeout_seconds=timeout)
    files = download_folder(client, path, folder, check=check)
    _say_written(invocation, folder, files)
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


@command.command("delete")
@click.argument("model")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_invocation
def delete(invocation: Invocation, /, model: str, yes: bool) -> int:
    """Delete a version that no alias, job or other version needs.

    MODEL is NAME:VERSION. Its number is never given again. On a terminal it asks first.
    """
    name, colon, version = model.partition(":")
    if not colon or not version.isdecimal():
        raise UsageFault(f"{model!r} names no version.", hint=f"imgq models delete {name}:1")
    if not yes and not invocation.json and interactive(sys.stdin):
        click.confirm(f"Delete {model} and its files?", abort=True, err=True)
    delete_version(connect(invocation), name, int(version))
    if invocation.json:
        emit_json({"ref": model, "deleted": True})
    else:
        err().print(f"{model} and its files are deleted.")
    return Exit.OK


def _say_written(invocation: Invocation, place: Path, files: list[str]) -> None:
    if invocation.json:
        emit_json({"path": str(place), "files": files})
    else:
        click.echo(str(place))
