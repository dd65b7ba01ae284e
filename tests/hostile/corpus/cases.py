"""What a hostile file is: how it is made, and what must become of it."""

from collections.abc import Callable
from dataclasses import dataclass

OK = "ok"
TRUNCATED = "failed truncated"
CORRUPT = "failed corrupt"
TOO_LARGE = "failed too_large"
UNSUPPORTED = "failed unsupported_format"
NOT_AN_IMAGE = "failed not_an_image"
NO_IMAGE = "skipped not_an_image"

Make = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One file. path: below the corpus. outcome: "ok", or status and code."""

    path: bytes
    make: Make
    outcome: str
    #: the picture that must have the same label, and the same confidence but for the tolerance
    like: bytes | None = None
    tolerance: float = 0.0

    def __str__(self) -> str:
        return ascii(self.path.decode("utf-8", "backslashreplace"))[1:-1][:60]


def good(path: str, make: Make, like: str | None = None, tolerance: float = 0.0) -> Case:
    """Return a picture that is classified."""
    return Case(path.encode(), make, OK, like.encode() if like else None, tolerance)


def bad(path: str, make: Make, outcome: str) -> Case:
    """Return a file that comes to a status and a code."""
    return Case(path.encode(), make, outcome)
