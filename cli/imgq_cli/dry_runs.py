"""What a person reads when a dry run has ended, and the command that labels what it looked at."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imgq_cli.estimates import outlook, tally
from imgq_cli.formats import short_id
from imgq_cli.panels import source_text
from imgq_cli.shapes import DryRunResult, Job
from imgq_cli.terminal import ACCENT, QUIET, err, printable


@dataclass(frozen=True, slots=True)
class Typed:
    """How the user named what a job is about."""

    path: str
    model: str
    by_reference: bool


def show_dry_run(job: Job, result: DryRunResult) -> None:
    """Print on stderr what the job would do, were it no dry run."""
    from rich.text import Text

    console = err()
    how = f" ({job['precision']})" if job.get("precision") else ""
    folder = printable(source_text(job))
    told = f"Dry run of {folder} with {job['model']}{how}: nothing was labelled."
    identity = (f" {short_id(job['id'])}", QUIET)
    # Left to the terminal to wrap: what is copied from it must stay whole.
    console.print(Text.assemble((told, "bold"), identity), soft_wrap=True)
    console.print(f"  {tally(result)}", soft_wrap=True)
    console.print(f"  {outlook(result)}", soft_wrap=True)
    console.print()


def show_dry_run_steps(job: Job, typed: Typed | None = None) -> None:
    """Print what one can do after a dry run."""
    from rich.text import Text

    steps = {"label them": labelling_command(job, typed)}
    if job["progress"]["failed"]:
        steps["see what cannot be read"] = f"imgq results {short_id(job['id'])} --status failed"
    width = max(map(len, steps))
    for purpose, command in steps.items():
        line = Text.assemble((f"  {purpose:{width}}  ", QUIET), (printable(command), ACCENT))
        err().print(line, soft_wrap=True)


def labelling_command(job: Job, typed: Typed | None = None) -> str:
    """Return the command that does what a dry run only looked at.

    typed: None to name everything as the job does.
    """
    typed = typed or Typed(source_text(job), job["model"], by_reference=False)
    words = ["imgq", "submit-folder", typed.path]
    if typed.model != "imagenet":
        words += ["--model", typed.model]
    if typed.by_reference:
        words.append("--by-reference")
    return shlex.join([*words, *_flags(job)])


def _flags(job: Job) -> Iterator[str]:
    options: dict[str, Any] = job.get("options", {})
    if not options.get("recursive", True):
        yield "--no-recursive"
    for name in ("include", "exclude"):
        for glob in options.get(name, ()):
            yield from (f"--{name}", glob)
    defaults = {"top_k": 5, "min_confidence": None, "max_failures": None, "precision": "auto"}
    for name, default in defaults.items():
        value = options.get(name, default)
        if value != default:
            yield from ("--" + name.replace("_", "-"), str(value))
    if not options.get("cache", True):
        yield "--no-cache"
    if job["name"]:
        yield from ("--name", job["name"])
    for key, tag in job["tags"].items():
        yield from ("--tag", f"{key}={tag}")
    if job["priority"] != "normal":
        yield from ("--priority", job["priority"])
