"""What a killed supervisor left behind: found, stopped, and only then replaced."""

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from imgq_cli.stack.errors import AlreadyUp, OrphansRemain
from imgq_cli.stack.home import Home
from imgq_cli.stack.locks import held, taken
from imgq_cli.stack.processes import (
    ProcessRecord,
    live_process,
    record_process,
    stop_processes,
)
from imgq_cli.stack.state import State, read_state

RELEASE_SECONDS = 30.0
LOOK_SECONDS = 0.3
GRACE_SECONDS = 10.0
SERVERS = ("postgres", "valkey")


@contextlib.contextmanager
def sole_holder(home: Home) -> Iterator[State | None]:
    """Hold the home; yield the state that an earlier holder left. Raises AlreadyUp."""
    # Those who only look hold the lock for a moment.
    with taken(home.lock, timeout_seconds=LOOK_SECONDS) as lock_fd:
        if lock_fd is None:
            state, owner = read_state(home.state), lock_owner(home.lock)
            raise AlreadyUp(home.folder, state.url if state else None, owner.pid if owner else None)
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, json.dumps(asdict(ourselves())).encode(), 0)
        yield read_state(home.state)


@contextlib.contextmanager
def servers_lock(home: Home, previous: State | None) -> Iterator[int]:
    """Stop what an earlier run left, then yield the lock that our children will share.

    Raises OrphansRemain.
    """
    stop_orphans(previous.processes if previous else ())
    with taken(home.servers_lock, timeout_seconds=RELEASE_SECONDS) as lock_fd:
        if lock_fd is None:
            raise OrphansRemain(home.folder)
        yield lock_fd


def stop_orphans(records: Iterable[ProcessRecord]) -> tuple[ProcessRecord, ...]:
    """Stop those of the recorded processes that still run, servers last; tell which."""
    left = tuple(record for record in records if live_process(record))
    others = [record for record in left if record.name not in SERVERS]
    stop_processes(others, grace_seconds=GRACE_SECONDS)
    for name, number in zip(SERVERS, (signal.SIGINT, signal.SIGTERM), strict=True):
        named = [record for record in left if record.name == name]
        stop_processes(named, stop_signal=number, grace_seconds=GRACE_SECONDS)
    return left


def lock_owner(lock: Path) -> ProcessRecord | None:
    """Return the live process that holds the home; None when it is free or cannot be told."""
    with held(lock) as free:
        if free is not None:
            return None
    try:
        record = ProcessRecord(**json.loads(lock.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if live_process(record) else None


def ourselves() -> ProcessRecord:
    """Return the record of this process."""
    import psutil

    return record_process("supervisor", os.getpid(), psutil.Process().name())
