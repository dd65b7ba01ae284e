"""Keyset paging: a page of items, and the opaque cursor to the next."""

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from imgq_db.errors import CursorInvalid

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page. next_cursor is None on the last one."""

    items: tuple[T, ...]
    next_cursor: str | None


def write_cursor(*key: object) -> str:
    """Return an opaque cursor that holds the sort key of the last item shown."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *types: type) -> tuple[object, ...]:
    """Return the sort key in a cursor. Raises CursorInvalid unless it has exactly these types."""
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        key = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError) as error:
        raise CursorInvalid from error
    if not isinstance(key, list) or [type(part) for part in key] != list(types):
        raise CursorInvalid
    if not all(map(_fits_a_column, key)):
        raise CursorInvalid
    return tuple(key)


def _fits_a_column(part: object) -> bool:
    if isinstance(part, int):
        return abs(part) < 1 << 63
    return not isinstance(part, float) or math.isfinite(part)
