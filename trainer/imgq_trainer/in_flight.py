"""Telling others which picture a thread is at: should it end the process, or hold it for ever."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

#: for a picture that nobody is told of
UNMARKED = nullcontext()


class InFlight(Protocol):
    """Takes the first and the last place, in a call's names, of what the thread is about to decode.

    reading: it is about to open or read the file. The block of what is returned is entered once or
    more, only while that is underway.
    """

    def __call__(
        self, first: int, last: int, /, *, reading: bool = False
    ) -> AbstractContextManager[object]: ...


def untold(_first: int, _last: int, /, *, reading: bool = False) -> AbstractContextManager[object]:
    """Tell nobody."""
    return UNMARKED
