"""From a server's answer to an error in words with an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgq_cli.errors import CliError, ServerUnreachable
from imgq_cli.exits import Exit

EXIT_OF_STATUS: Mapping[int, Exit] = {
    401: Exit.AUTH,
    403: Exit.AUTH,
    404: Exit.NOT_FOUND,
    422: Exit.USAGE,
    502: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}


def error_of(status: int, body: object, *, url: str) -> CliError:
    """Return the error that an answer of status 300 or more stands for."""
    if not isinstance(body, dict) or "title" not in body:
        return ServerUnreachable(
            f"{url} answered {status}, but not as an imgq server does.",
            hint="imgq --server URL …, with the URL that imgq up printed",
        )
    detail = str(body.get("detail") or body["title"])
    message = "\n".join([detail, *_field_errors(body)])
    hint = body.get("hint") or _default_hint(status)
    code = EXIT_OF_STATUS.get(status, Exit.UNEXPECTED)
    if code is Exit.UNREACHABLE:
        return ServerUnreachable(message, hint=hint, problem=body)
    return CliError(message, hint=hint, exit_code=code, problem=body)


def _field_errors(problem: dict[str, Any]) -> list[str]:
    return [
        f"  {error.get('pointer') or '/'}: {error.get('detail')}"
        for error in problem.get("errors") or []
        if isinstance(error, dict)
    ]


def _default_hint(status: int) -> str | None:
    if status == 401:
        return "set IMGQ_API_KEY to a key of this server (imgq keys create makes one)"
    if status == 403:
        return "use a key with the scope that is missing"
    return None
