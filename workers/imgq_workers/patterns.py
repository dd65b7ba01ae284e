"""Glob patterns of --include and --exclude, on raw file names."""

import os
import re
from collections.abc import Callable, Sequence

#: A set of characters ("[ab]", "[!]a-z]"), a run of stars, or one character.
_TOKENS = re.compile(r"\[(?:!(?:\][^\]]*|[^\]]+)|(?!!)(?:\][^\]]*|[^\]]+))\]|\*+|.", re.DOTALL)
_ANY_FOLDERS = None
_Step = re.Pattern[str] | None


def make_filter(include: Sequence[str], exclude: Sequence[str]) -> Callable[[bytes], bool]:
    """Return a test for relative paths: included by any pattern (or none given), not excluded.

    A pattern without / is held against the file's name, one with / against the whole path.
    * and ? stop at /; a step ** stands for any number of folders, at the end for all below.
    A pattern that ends in / means all that lies in such a folder, wherever that is if it is a
    plain name, as in .gitignore.
    Sub-folders that cannot be read (ending in /) always pass. No pattern is an error, and none
    takes long: each is tried in time that grows with the lengths of pattern and path only.
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
    parts = pattern.strip("/").split("/")
    if pattern.endswith("/"):
        parts = [*(["**"] if len(parts) == 1 else []), *parts, "**"]
    if len(parts) == 1:
        name = _compile(parts[0])
        return lambda path: name.fullmatch(path.rpartition("/")[2]) is not None
    if parts[-1] == "**":
        parts.append("*")
    steps = [_ANY_FOLDERS if part == "**" else _compile(part) for part in parts]
    return lambda path: _matches(steps, path.split("/"))


def _matches(steps: Sequence[_Step], names: Sequence[str]) -> bool:
    """Match names with steps one by one; on a mismatch, let the last ** take one name more."""
    at = position = 0
    resume: tuple[int, int] | None = None
    while position < len(names):
        step = steps[at] if at < len(steps) else None
        if at < len(steps) and step is _ANY_FOLDERS:
            at, resume = at + 1, (at + 1, position)
        elif step is not None and step.fullmatch(names[position]):
            at, position = at + 1, position + 1
        elif resume is not None:
            resume = (resume[0], resume[1] + 1)
            at, position = resume
        else:
            return False
    return all(step is _ANY_FOLDERS for step in steps[at:])


def _compile(part: str) -> re.Pattern[str]:
    between = [""]
    for glob in _TOKENS.findall(part):
        if glob.startswith("*"):
            between.append("")
        else:
            between[-1] += _regex(glob)
    first, *rest = between
    if not rest:
        return re.compile(first, re.DOTALL)
    # All but the last star may take as little as they can, for good: no backtracking.
    middle = "".join(f"(?>.*?{fixed})" for fixed in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def _regex(glob: str) -> str:
    if glob == "?":
        return "."
    if len(glob) == 1:
        return re.escape(glob)
    negated = glob[1] == "!"
    members = _members(glob[2 if negated else 1 : -1])
    if not members:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{members}]"


def _members(inside: str) -> str:
    """Return what stands in a regex's brackets for what stands in a glob's."""
    members, position = "", 0
    while position < len(inside):
        first, last = inside[position], inside[position]
        if inside[position + 1 : position + 2] == "-" and position + 2 < len(inside):
            last = inside[position + 2]
            position += 2
        if first <= last:  # "z-a" holds nothing
            members += f"{re.escape(first)}-{re.escape(last)}"
        position += 1
    return members
