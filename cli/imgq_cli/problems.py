"""From a server's answer to an error in words with an exit code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imgq_cli.errors import CliError, ServerUnreachable
from imgq_cli.exits import Exit
from imgq_cli.formats import short_id

JOB_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
EXIT_OF_STATUS: Mapping[int, Exit] = {
    401: Exit.AUTH,
    403: Exit.AUTH,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    422: Exit.USAGE,
    502: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}

#: Of a 401 the server says which header it wants, which nobody types here.
KEY_HINT = "set IMGQ_API_KEY to a key of this server (imgq keys create makes one)"
#: For an answer without a hint of its own.
HINT_OF_STATUS: Mapping[int, str] = {
    403: "use a key with the scope that is missing",
    422: "the same command with --help tells what it takes",
}


def error_of(status: int, body: object, *, url: str) -> CliError:
    """Return the error that an answer of status 300 or more stands for."""
    if not isinstance(body, dict) or "title" not in body:
        return ServerUnreachable(
            f"{url} answered {status}, but not as an imgq server does.",
            hint="imgq --server URL …, with the URL that imgq up printed",
        )
    detail = str(body.get("detail") or body["title"])
    message = "\n".join([detail, *_field_errors(body, detail)])
    hint = KEY_HINT if status == 401 else body.get("hint") or HINT_OF_STATUS.get(status)
    code = EXIT_OF_STATUS.get(status, Exit.UNEXPECTED)
    if code is Exit.UNREACHABLE:
        return ServerUnreachable(message, hint=hint, problem=body)
    return CliError(message, hint=hint, exit_code=code, problem=body)


def _field_errors(problem: dict[str, Any], detail: str) -> list[str]:
    errors = [error for error in problem.get("errors") or [] if isinstance(error, dict)]
    if len(errors) == 1 and str(errors[0].get("detail")) in detail:
        return []
    return [_field_error(error) for error in errors]


def _field_error(error: dict[str, Any]) -> str:
    pointer, detail = error.get("pointer"), str(error.get("detail"))
    return f"  {pointer}: {detail}" if pointer else f"  {_with_short_ids(detail)}"


def _with_short_ids(reason: str) -> str:
    return JOB_ID.sub(lambda found: short_id(found[0]), reason)
