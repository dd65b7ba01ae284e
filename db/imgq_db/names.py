"""File names as text: UTF-8 where it is UTF-8, percent-escaped bytes where it is not."""

import codecs
import re

_AMBIGUOUS = re.compile(rb"%(?=[0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def _percent(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _escapes(error.object[error.start : error.end]), error.end


def _escapes(name: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in name)


codecs.register_error("imgq_percent", _percent)


def name_to_text(name: bytes) -> str:
    """Return a name as text that `name_from_text` turns back into the same bytes.

    A % that two hex digits follow becomes %25, so that no name is mistaken for an escape.
    """
    return _AMBIGUOUS.sub(b"%25", name).decode("utf-8", "imgq_percent")


def name_from_text(text: str) -> bytes:
    """Return the bytes of a name that `name_to_text` wrote."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.encode("utf-8"))


def percent_escaped(text: str) -> str:
    """Return text with every character as an escape, which `name_from_text` reads as well."""
    return _escapes(text.encode("utf-8"))
