"""The REST calls of the registry, and which version a reference means."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from imgq_cli.calls import list_models
from imgq_cli.client import Client, Reply
from imgq_cli.errors import NotFound

Body = dict[str, Any]


def version_path(name: str, version: int) -> str:
    """Return where the server has a version."""
    return f"/v1/models/{quote(name, safe='')}/versions/{version}"


def export_command(ref: str, form: str) -> str:
    """Return what saves a version in another format."""
    return f"imgq models export {ref} --format {form} -o DIR"


def get_alias(client: Client, name: str, alias: str) -> Body:
    """Return an alias with its history, newest first."""
    found: Body = client.get(_alias_path(name, alias))
    return found


def move_alias(client: Client, name: str, alias: str, version: int, *, force: bool) -> Reply:
    """Ask for an alias to mean a version; 202: a job decides it."""
    return client.put(_alias_path(name, alias), {"version": version, "force": force})


def roll_back(client: Client, name: str, alias: str, version: int) -> Body:
    """Move an alias back from this version."""
    found: Body = client.post(f"{_alias_path(name, alias)}/rollback", {"version": version}).body
    return found


def export_version(client: Client, name: str, version: int, form: str) -> str | None:
    """Ask for a version in another format; return the job that writes it, None if it is there."""
    found: Body = client.post(f"{version_path(name, version)}/exports", {"format": form}).body
    job: str | None = found["job"]
    return job


def delete_version(client: Client, name: str, version: int) -> None:
    """Delete a version that nothing needs."""
    client.delete(version_path(name, version))


def resolve(client: Client, ref: str, *, newest: bool = False) -> tuple[str, int]:
    """Return the name and the number that NAME, NAME:VERSION or NAME@ALIAS means.

    newest: a plain name means its newest version, not its champion. Raises NotFound.
    """
    name, colon, version = ref.partition(":")
    if colon and version.isdecimal():
        return name, int(version)
    name, at, alias = ref.partition("@")
    versions = [model for model in list_models(client) if model["name"] == name]
    wanted = [model for model in versions if (alias or "champion") in model["aliases"]]
    if not at and (newest or not wanted):
        wanted = sorted(versions, key=lambda model: -int(model["version"]))
    if not wanted or colon:
        raise NotFound(f"There is no model {ref!r}.", hint="imgq models list")
    return name, wanted[0]["version"]


def _alias_path(name: str, alias: str) -> str:
    return f"/v1/models/{quote(name, safe='')}/aliases/{quote(alias, safe='')}"
