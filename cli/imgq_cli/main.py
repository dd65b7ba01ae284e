"""The `imgq` command: its root, and the one place where errors become words and exit codes."""

from __future__ import annotations

import io
import os
import sys
from difflib import get_close_matches
from typing import Any

import rich_click as click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand

from imgq_cli.catalogue import CATALOGUE, LazyCommand
from imgq_cli.errors import CliError, UsageFault
from imgq_cli.exits import Exit
from imgq_cli.invocation import COMMON, Invocation, common_options
from imgq_cli.terminal import note, show_error

HELP_LOOK: dict[str, Any] = {
    "theme": "cargo-slim",
    "text_markup": "rich",
    "enable_theme_env_var": False,
    "options_table_column_types": ["opt_long", "opt_short", "metavar", "help"],
    "options_table_help_sections": ["help", "required", "default", "deprecated"],
    "max_width": 100,
}


class Program(click.RichGroup):
    """The root command. `main` returns by SystemExit, whatever happens."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the catalogue, not of the alphabet."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that is only half of a name ("submit") is suggested whole."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            heads = {name.partition("-")[0]: name for name in self.commands}
            near = get_close_matches(error.command_name, heads)
            if error.possibilities or not near:
                raise
            fuller = [heads[head] for head in near]
            raise NoSuchCommand(fuller[0], error.message, possibilities=fuller, ctx=ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would end one whose reader has gone with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            ctx.exit(Exit.CLOSED_PIPE)

    def main(self, *args: Any, **extra: Any) -> Any:
        given = args[0] if args else extra.pop("args", None)
        arguments = list(sys.argv[1:] if given is None else given)
        invocation = extra.pop("obj", None) or Invocation()
        extra.update(standalone_mode=False, obj=invocation)
        try:
            code = super().main(arguments, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            code = Exit.CLOSED_PIPE
        except (click.Abort, KeyboardInterrupt):
            note("Interrupted.")
            code = Exit.INTERRUPTED
        except Exception as error:
            as_json = invocation.json or "--json" in arguments
            code = report(error, as_json=as_json, verbose=invocation.verbose)
        finally:
            _drop_unwritable_output()
        sys.exit(code if isinstance(code, int) else Exit.OK)


def _drop_unwritable_output() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # It was told already: what is still buffered must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: Exception, *, as_json: bool, verbose: bool) -> int:
    """Tell the user about an error and return the exit code."""
    if isinstance(error, NoArgsIsHelpError):
        click.echo(error.message, err=True)
        return Exit.USAGE
    told = _told(error)
    if verbose and not isinstance(error, click.ClickException | CliError):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    show_error(told, as_json=as_json, verbose=verbose)
    return told.exit_code


def _told(error: Exception) -> CliError:
    if isinstance(error, CliError):
        return error
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "imgq"
        return UsageFault(error.format_message(), hint=f"{path} --help")
    if isinstance(error, click.ClickException):
        return CliError(error.format_message(), exit_code=error.exit_code)
    if isinstance(error, OSError) and error.strerror:
        place = f": {os.fsdecode(error.filename)}" if error.filename else ""
        return CliError(f"The system refused: {error.strerror}{place}.")
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return CliError(
        f"Something unexpected happened ({what}).",
        hint="the same command with -v shows where; please report it",
    )


@click.group(
    cls=Program,
    params=common_options(),
    panels=[
        *(click.RichCommandPanel(name) for name in dict.fromkeys(e.panel for e in CATALOGUE)),
        click.RichOptionPanel(COMMON),
        click.RichOptionPanel("Options"),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "rich_help_config": HELP_LOOK},
    epilog="Start here: [cyan]imgq up[/], then [cyan]imgq submit-folder ./images[/]",
)
@click.version_option(package_name="imgq", message="imgq %(version)s")
def cli() -> None:
    """Label very large folders of pictures, and keep a ledger of every file."""


for _entry in CATALOGUE:
    cli.add_command(LazyCommand(_entry))


def main() -> None:
    """Run `imgq`."""
    _buffer_stdout()
    cli.main(prog_name="imgq")


def _buffer_stdout() -> None:
    # With PYTHONUNBUFFERED a write on a full disk ends half-way and says nothing.
    raw = getattr(sys.stdout, "buffer", None)
    if isinstance(raw, io.RawIOBase):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            line_buffering=sys.stdout.isatty(),
        )
