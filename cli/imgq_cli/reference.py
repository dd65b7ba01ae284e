"""`python -m imgq_cli.reference`: the commands as Markdown, for docs/cli.md."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence

import rich_click as click

from imgq_cli.catalogue import CATALOGUE, LazyCommand
from imgq_cli.exits import Exit
from imgq_cli.invocation import common_options

HEAD = """\
# imgq: every command

Written by `python -m imgq_cli.reference > docs/cli.md`; a test compares.

Data goes to stdout; progress, hints and errors go to stderr. Settings: a flag wins over the
environment (`IMGQ_…`), then `./imgq.toml`, then the user's `config.toml`, then the default.
`JOB` is a job's id, six or more characters of its start or end, or `last`.
"""

MEANING_OF_EXIT = {
    Exit.OK: "ok",
    Exit.UNEXPECTED: (
        "a conflict such as deleting a job that runs, a check that found something broken, "
        "or something unexpected"
    ),
    Exit.USAGE: "the command cannot be done as typed, or the server refused what it asks for",
    Exit.SOME_FAILED: "the job finished, but some pictures failed",
    Exit.AUTH: "no key, a wrong key, or a key that may not do this",
    Exit.NOT_FOUND: "no such job, model, key or folder",
    Exit.UNREACHABLE: "no server is known, it does not answer, or it is not ready (503)",
    Exit.JOB_FAILED: "the job failed",
    Exit.STILL_RUNNING: "the job was still running at `--timeout`",
    Exit.CANCELLED: "the job was cancelled",
    Exit.INTERRUPTED: "Ctrl-C; a job that was followed goes on",
    Exit.CLOSED_PIPE: "what reads the output wants no more, such as `head`",
}


def reference() -> str:
    """Return the whole page."""
    parts = [HEAD, "## Exit codes\n", _exits(), "## Common options\n"]
    parts.append("They stand before the command or after it.\n")
    parts.append(_options(common_options(), click.Context(click.Command("imgq"))))
    for entry in CATALOGUE:
        parts += _sections(LazyCommand(entry).load(), f"imgq {entry.name}", None)
    return "\n".join(parts)


def _exits() -> str:
    rows = [f"| {code.value} | {MEANING_OF_EXIT[code]} |\n" for code in Exit]
    return "| code | meaning |\n|---|---|\n" + "".join(rows)


def _sections(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    level = "##" if parent is None else "###"
    yield f"{level} {path}\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{path} {usage}\n```\n"
    yield _prose(command.help or "") + "\n"
    common = {name for option in common_options() for name in option.opts}
    own = [
        parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and common.isdisjoint(parameter.opts)
    ]
    if own:
        yield _options(own, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _sections(command.commands[name], f"{path} {name}", context)


def _options(options: Sequence[click.Parameter], context: click.Context) -> str:
    rows = []
    for option in options:
        record = option.get_help_record(context)
        assert record is not None
        names, text = (_cell(part) for part in record)
        rows.append(f"| `{names}` | {text} |\n")
    return "| option | does |\n|---|---|\n" + "".join(rows)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def _prose(text: str) -> str:
    return inspect.cleandoc(text).replace("\b", "")


if __name__ == "__main__":
    sys.stdout.write(reference())
