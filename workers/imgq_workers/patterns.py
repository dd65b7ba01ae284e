"""Glob patterns of --include and --exclude, on raw file names."""

import os
import re
from collections.abc import Callable, Sequence

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]")


def make_filter(include: Sequence[str], exclude: Sequence[str]) -> Callable[[bytes], bool]:
    """Return a test for relative paths: included by any pattern (or none given), not excluded.

    A pattern without / is held against the file's name, one with / against the whole path.
    * and ? stop at /, ** does not. Sub-folders that cannot be read (ending in /) always pass.
    """
    wanted = [_matcher(pattern) for pattern in include]
    unwanted = [_matcher(pattern) for pattern in exclude]

    def passes(path: bytes) -> bool:
        if path.endswith(b"/"):
            return True
        text = os.fsdecode(path)
        if wanted and not any(match(text) for match in wanted):
            return False
        return not any(match(text) for match in unwanted)

    return passes


def _matcher(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(_translate(pattern.strip("/")), re.DOTALL)
    if "/" in pattern.strip("/"):
        return lambda path: compiled.fullmatch(path) is not None
    return lambda path: compiled.fullmatch(path.rpartition("/")[2]) is not None


def _translate(pattern: str) -> str:
    parts, position = [], 0
    for token in _TOKENS.finditer(pattern):
        parts.append(re.escape(pattern[position : token.start()]))
        parts.append(_regex(token[0]))
        position = token.end()
    parts.append(re.escape(pattern[position:]))
    return "".join(parts)


def _regex(token: str) -> str:
    match token:
        case "**/":
            return "(?:.*/)?"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
    inside = token[1:-1]
    negated = inside.startswith("!")
    body = inside[1:] if negated else inside
    escaped = body.replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
    return f"[{'^' if negated else ''}{escaped}]"
