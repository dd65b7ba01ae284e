"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable


def never() -> bool:
    """Return False: nobody asks to stop."""
    return False


def wait_until(
    condition: Callable[[], bool],
    *,
    timeout_seconds: float,
    pause_seconds: float = 0.02,
    stop: Callable[[], bool] = never,
) -> bool:
    """Return True once the condition holds, False when time is up or stop() says so."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if stop() or time.monotonic() >= deadline:
            return False
        time.sleep(pause_seconds)
    return True
