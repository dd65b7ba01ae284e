"""Locks that the system releases when their holders end, however they end."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from imgq_cli.stack.waiting import wait_until


@contextlib.contextmanager
def held(path: Path) -> Iterator[int | None]:
    """Yield a locked file descriptor, or None when somebody else holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield None
        return
    try:
        yield descriptor
    finally:
        # No unlock: children that inherited the descriptor keep the lock while they live.
        os.close(descriptor)


@contextlib.contextmanager
def taken(path: Path, *, timeout_seconds: float) -> Iterator[int | None]:
    """Yield what held() yields, after waiting a while for a lock that somebody else holds."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []

        def take() -> bool:
            descriptor = stack.enter_context(held(path))
            found.extend([] if descriptor is None else [descriptor])
            return bool(found)

        wait_until(take, timeout_seconds=timeout_seconds, pause_seconds=0.05)
        yield found[0] if found else None
