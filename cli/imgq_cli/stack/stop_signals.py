"""Ctrl-C and its kin, as facts to look at rather than exceptions out of nowhere."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class StopSignals:
    """How often the user asked to stop."""

    count: int = 0

    def asked(self) -> bool:
        """Return whether the stack should stop."""
        return self.count >= 1

    def hurried(self) -> bool:
        """Return whether it should stop at once."""
        return self.count >= 2


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Count the signals that ask to stop, for as long as the block lasts."""
    signals = StopSignals()

    def note(number: int, frame: FrameType | None) -> None:
        signals.count += 1

    before = {}
    for number in STOPPING:
        # Under nohup a hang-up is ignored, and stays so.
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue
        before[number] = signal.signal(number, note)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
