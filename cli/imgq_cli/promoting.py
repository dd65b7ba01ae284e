"""What a trainer does for the registry, to its end: a promotion's comparison, an export."""

from __future__ import annotations

from typing import Any

from imgq_cli.client import Client
from imgq_cli.errors import CliError
from imgq_cli.exits import Exit
from imgq_cli.formats import short_id
from imgq_cli.invocation import Invocation
from imgq_cli.model_calls import export_command, export_version, get_alias, move_alias
from imgq_cli.model_panels import comparison_sentence
from imgq_cli.shapes import Job
from imgq_cli.terminal import note
from imgq_cli.tracking import track

EXIT_OF_STATE = {"failed": Exit.JOB_FAILED, "cancelled": Exit.CANCELLED}


class NotPromoted(CliError):
    """The gate's answer."""

    slug = "promotion-refused"
    title = "The model does not pass the gate"


def promote(
    client: Client,
    invocation: Invocation,
    version: tuple[str, int],
    alias: str,
    *,
    force: bool,
    timeout_seconds: float | None,
) -> dict[str, Any]:
    """Return the alias after it moved.

    Raises CliError with the reasons if it did not; its exit code tells a refusal from a job that
    failed, was cancelled or still runs.
    """
    name, number = version
    reply = move_alias(client, name, alias, number, force=force)
    found: dict[str, Any] = reply.body
    if reply.status != 202:
        return found
    uid = found["job"]
    note(f"{name}:{number} is compared with {found['ref']} on pictures (job {short_id(uid)}).")
    job = track(client, invocation, uid, timeout_seconds=timeout_seconds, one_document=True)
    if job["state"] != "succeeded":
        raise _unended(
            job,
            "The two models were not compared",
            "The two models are still being compared, and the alias moves if the gate lets it",
        )
    found = get_alias(client, name, alias)
    change = next(each for each in found["history"] if each["job"] == uid)
    if not change["moved"]:
        raise _refused(name, alias, change)
    return found


def await_export(
    client: Client,
    invocation: Invocation,
    version: tuple[str, int],
    form: str,
    *,
    timeout_seconds: float | None,
) -> None:
    """Return when a version is there in another format. Raises CliError if it will not be."""
    uid = export_version(client, *version, form)
    if uid is None:
        return
    note(f"{version[0]}:{version[1]} is written as {form} (job {short_id(uid)}).")
    job = track(client, invocation, uid, timeout_seconds=timeout_seconds, one_document=True)
    if job["state"] != "succeeded":
        raise _unended(
            job,
            "The model was not exported",
            "The export still runs; the same command goes on waiting, and saves the files",
            command=export_command(f"{version[0]}:{version[1]}", form),
        )


def told(alias: dict[str, Any]) -> str:
    """Return what an alias means, and by which comparison."""
    moved = next((change for change in alias["history"] if change["moved"]), {"counts": None})
    return f"{alias['name']}@{alias['alias']} is {alias['ref']}.{comparison_sentence(moved)}"


def _unended(job: Job, failed: str, runs: str, *, command: str | None = None) -> CliError:
    """command: what to do about a job that still runs, if not to watch it."""
    problem = job["error"] or {}
    short = short_id(job["id"])
    if job["state"] in EXIT_OF_STATE:
        why = problem.get("detail") or f"it was {job['state']}"
        code = EXIT_OF_STATE[job["state"]]
        return CliError(
            f"{failed}: {why}",
            hint=problem.get("hint") or f"imgq why {short}",
            exit_code=code,
        )
    return CliError(f"{runs}.", hint=command or f"imgq watch {short}", exit_code=Exit.STILL_RUNNING)


def _refused(name: str, alias: str, change: dict[str, Any]) -> CliError:
    ref = f"{name}:{change['to_version']}"
    sentence = f"{ref} does not become {name}@{alias}.{comparison_sentence(change)}"
    again = change["decision"] == "outdated"
    return NotPromoted(
        "\n".join([sentence, *(f"  {reason}" for reason in change["reasons"])]),
        hint=f"imgq models promote {ref}" + ("" if again else " --force, which is recorded"),
        exit_code=Exit.CONFLICT,
    )
