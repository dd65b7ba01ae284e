"""TCP ports on the loopback address: free ones, and keeping one for the API."""

import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgq_cli.stack.errors import PortTaken
from imgq_cli.stack.locks import held

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8765


def free_port() -> int:
    """Return a port that was free a moment ago; another program may still take it first."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def kept_port(asked: int | None) -> Iterator[int]:
    """Yield the API's port, the one asked for or a free one. Raises PortTaken.

    Our other stacks are kept off it from now on, though the API listens only seconds later.
    """
    port = DEFAULT_PORT if asked is None else asked
    # A lock, for the API itself makes sure that it can have the port alone.
    lock = Path(tempfile.gettempdir(), f"imgq-{os.getuid()}-port-{port}.lock")
    with held(lock) as lock_fd:
        try:
            if lock_fd is not None and _is_free(port):
                yield port
            elif asked is None:
                yield free_port()
            else:
                raise PortTaken(asked)
        finally:
            if lock_fd is not None:
                lock.unlink(missing_ok=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing down counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
