"""Paths as text: UTF-8 where it is UTF-8, percent-escaped bytes where it is not."""

import re
from typing import Annotated

from pydantic import BeforeValidator

_AMBIGUOUS = re.compile(rb"%(?=[0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SURROGATE = re.compile("[\udc80-\udcff]")


def path_to_text(path: bytes) -> str:
    """Return a path as text that `path_from_text` turns back into the same bytes.

    A % that two hex digits follow becomes %25, so that no path is mistaken for an escape.
    """
    text = _AMBIGUOUS.sub(b"%25", path).decode("utf-8", "surrogateescape")
    return _SURROGATE.sub(lambda match: f"%{ord(match[0]) - 0xDC00:02X}", text)


def path_from_text(text: str) -> bytes:
    """Return the bytes of a path that `path_to_text` wrote."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.encode("utf-8"))


def _from_text(text: object) -> object:
    return path_from_text(text) if isinstance(text, str) else text


#: a path that pydantic reads from its text
FilePath = Annotated[bytes, BeforeValidator(_from_text)]
