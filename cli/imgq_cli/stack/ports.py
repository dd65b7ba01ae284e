"""TCP ports on the loopback address: free ones, and keeping one for the API."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from imgq_cli.stack.errors import PortTaken

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
    """Yield the API's port and keep other stacks off it: the one asked for, or a free one.

    The API's server shares its port with whoever binds it in the same way, so that two stacks
    that start at once would answer each other's requests. Raises PortTaken.
    """
    with socket.socket() as socket_kept:
        if asked is not None:
            if not _keep(socket_kept, asked):
                raise PortTaken(asked)
        elif not _keep(socket_kept, DEFAULT_PORT):
            _keep(socket_kept, 0)
        port: int = socket_kept.getsockname()[1]
        if sys.platform != "linux":
            # Elsewhere a socket that does not listen could still be handed connections.
            socket_kept.close()
        yield port


def _keep(candidate: socket.socket, port: int) -> bool:
    """Bind for ourselves alone, then let the API bind the same port; False if it is in use."""
    # As servers do: a port whose last connections are still closing down counts as free.
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((LOOPBACK, port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return True
