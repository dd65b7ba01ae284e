"""What the command line can fail with: a sentence, a hint and an exit code."""

from typing import Any

from imgq_cli.exits import Exit


class CliError(Exception):
    """A failure that the user is told in words, never as a traceback.

    hint: what to try, without the leading "Try:". problem: the server's problem object, if it sent one.
    """

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


class ServerUnreachable(CliError):
    """No server is known, or the known one does not answer."""

    def __init__(
        self, message: str, *, hint: str | None = None, problem: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint, exit_code=Exit.UNREACHABLE, problem=problem)
