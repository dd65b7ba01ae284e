"""Telling others what is being decoded: should a picture end the process, they know which."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

#: Takes the first and the last place, in a call's names, of what the thread is about to decode.
#: The block of what it returns is entered once or more, only while decoding is underway.
InFlight = Callable[[int, int], AbstractContextManager[object]]

#: for a picture that nobody is told of
UNMARKED = nullcontext()


def untold(_first: int, _last: int) -> AbstractContextManager[object]:
    """Tell nobody."""
    return UNMARKED
