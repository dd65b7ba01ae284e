"""The clock that waiting code is given, so that a test need not wait."""

from typing import Protocol


class Clock(Protocol):
    """What the module `time` offers."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...
