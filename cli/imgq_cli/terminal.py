"""The terminal: consoles, JSON on stdout, and one look for messages, hints and errors."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from imgq_cli.errors import CliError

ACCENT, GOOD, WARNING, BAD, QUIET = "cyan", "green", "yellow", "red", "dim"
#: Wide enough that nothing is cut when a table goes into a pipe.
PIPE_WIDTH = 400


def out() -> Console:
    """Return the console on stdout, for data."""
    return _console(sys.stdout)


def err() -> Console:
    """Return the console on stderr, for progress, hints and errors."""
    return _console(sys.stderr)


def _console(stream: IO[str]) -> Console:
    from rich.theme import Theme

    from imgq_cli.consoles import SafeConsole

    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    theme = Theme({"bar.back": "bright_black", "bar.complete": ACCENT, "bar.finished": GOOD})
    # Markup and emoji stay off: names of files and jobs are printed as they are.
    return SafeConsole(
        file=stream, width=width, theme=theme, markup=False, emoji=False, highlight=False
    )


def interactive(stream: IO[str]) -> bool:
    """Tell whether a person looks at this stream."""
    return stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def emit_json(document: object, *, line: bool = False) -> None:
    """Print one JSON document on stdout; line: compact, on one line, at once."""
    indent = None if line else 2
    sys.stdout.write(_json(document, indent) + "\n")
    sys.stdout.flush()


def _json(document: object, indent: int | None = None) -> str:
    """Return a document as text that a terminal may have: the same JSON, in other letters."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    return "".join(char if char == "\n" else _json_escaped(char) for char in text)


def _json_escaped(char: str) -> str:
    return char if printable(char) == char else json.dumps(char)[1:-1]


def printable(text: str) -> str:
    """Return text with everything that could move a terminal's cursor written as an escape."""
    return "".join(_escaped(char) for char in text)


def _escaped(char: str) -> str:
    # Cc control, Cf format (right-to-left overrides), Cs surrogate, Zl and Zp line ends.
    if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char
    return char.encode("unicode_escape", "surrogatepass").decode()


def note(text: str) -> None:
    """Print a quiet line on stderr."""
    err().print(text, style=QUIET)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    from rich.text import Text

    err().print(Text.assemble(("Warning: ", f"bold {WARNING}"), text))


def next_steps(*steps: tuple[str, str]) -> None:
    """Print commands to copy on stderr, each with what it does."""
    if not steps:
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for purpose, command in steps:
        table.add_row(f"  {purpose}", command, style=None)
    table.columns[0].style = QUIET
    table.columns[1].style = ACCENT
    table.columns[1].no_wrap = True
    err().print(table)


def show_error(error: CliError, *, as_json: bool, verbose: bool) -> None:
    """Print an error on stderr: what happened, and one thing to try."""
    if as_json:
        sys.stderr.write(_json(error.problem or _as_problem(error)) + "\n")
        return
    from rich.text import Text

    console = err()
    said = Text.assemble(("Error: ", f"bold {BAD}"), printable_lines(error.message))
    # Left to the terminal to wrap: a path that is copied from it must stay whole.
    console.print(said, soft_wrap=True)
    if error.hint:
        console.print(tried(error.hint), soft_wrap=True)
    if verbose and error.problem and error.problem.get("request_id"):
        note(f"Request id: {error.problem['request_id']}")


def tried(hint: str) -> Text:
    """Return a hint as a line that says what to try."""
    from rich.text import Text

    return Text.assemble(("Try: ", f"bold {ACCENT}"), printable_lines(hint))


def printable_lines(text: str) -> str:
    """Return text made printable, its line ends kept."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _as_problem(error: CliError) -> dict[str, Any]:
    return {
        "type": f"urn:imgq:problem:{error.slug}",
        "title": error.title,
        "detail": error.message,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }
