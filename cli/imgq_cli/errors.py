"""What the command line can fail with: a sentence, a hint and an exit code."""

from typing import Any, ClassVar

from imgq_cli.exits import Exit


class CliError(Exception):
    """A failure that the user is told in words, never as a traceback.

    hint: what to try, without the leading "Try:".
    problem: the server's problem object, if it sent one.
    """

    slug: ClassVar[str] = "command-failed"
    title: ClassVar[str] = "The command failed"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        exit_code: int = Exit.UNEXPECTED,
        problem: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.problem = problem


class UsageFault(CliError):
    """The command cannot be done as it was typed."""

    slug = "usage"
    title = "The command cannot be done as typed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, exit_code=Exit.USAGE)


class NotFound(CliError):
    """A file, folder or job that was named is not there."""

    slug = "not-found"
    title = "Not found"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, exit_code=Exit.NOT_FOUND)


class ServerUnreachable(CliError):
    """No server is known, or the known one does not answer."""

    slug = "server-unreachable"
    title = "No server answers"

    def __init__(
        self, message: str, *, hint: str | None = None, problem: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint, exit_code=Exit.UNREACHABLE, problem=problem)


class ExportFailed(CliError):
    """The results could not be written to a file; no half file is left."""

    slug = "export-failed"
    title = "The results could not be written"
