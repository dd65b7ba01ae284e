"""A worker that is stopped in the middle of a commit holds its chunk for seconds, not for ever."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import OperationalError

from imgq_db import engine as connecting
from imgq_db.chunks import ChunkLease, expire_leases, finish_chunk
from imgq_db.engine import SessionTimeouts, make_engine
from imgq_db.jobs import Job
from imgq_db.ledger import LedgerRow
from imgq_db.settings import Settings

from .conftest import LEASE_SECONDS

IDLE_SECONDS = 0.3
#: Reached only by a failure.
PATIENCE_SECONDS = 10


@dataclass(slots=True)
class Relay:
    """A connection to Postgres that passes on a part of a chunk's rows, and then nothing more."""

    to: tuple[str, int]
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    stopped: Event = field(default_factory=Event)
    _ends: list[socket.socket] = field(default_factory=list)

    def run(self) -> None:
        client, server = self.listener.accept()[0], socket.create_connection(self.to)
        self._ends += [client, server]
        Thread(target=self._answer, args=(server, client), daemon=True).start()
        with suppress(OSError):
            while piece := client.recv(4096):
                server.sendall(piece)
                if b" prediction (" in piece:
                    self.stopped.set()
                    return

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while answer := server.recv(4096):
                client.sendall(answer)
        self.close()

    def close(self) -> None:
        for each in self._ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for each in (*self._ends, self.listener):
            each.close()


@pytest.fixture
def relay(settings: Settings) -> Iterator[Relay]:
    url = make_url(settings.database_url)
    with closing(Relay((url.host or "127.0.0.1", url.port or 5432))) as relay:
        Thread(target=relay.run, daemon=True).start()
        yield relay


@pytest.fixture
def stopping(settings: Settings, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Connections of a worker that is stopped while it sends a chunk's rows."""
    limits = SessionTimeouts(statement_seconds=1, idle_in_transaction_seconds=IDLE_SECONDS)
    monkeypatch.setitem(connecting.TIMEOUTS, "worker", limits)
    url = make_url(settings.database_url)
    relayed = url.set(host="127.0.0.1", port=relay.listener.getsockname()[1])
    through = relayed.render_as_string(hide_password=False)
    engine = make_engine(settings.model_copy(update={"database_url": through}), role="worker")
    yield engine
    engine.dispose()


def test_a_worker_stopped_while_it_sends_its_rows_loses_its_chunk(
    engine: Engine,
    stopping: Engine,
    relay: Relay,
    listed: Callable[..., Job],
    claim: Callable[..., ChunkLease],
    rows: Callable[[ChunkLease], list[LedgerRow]],
    move_clock: Callable[[float], None],
    count: Callable[[str], int],
) -> None:
    listed(256)
    lease = claim()
    with ThreadPoolExecutor(1) as worker, closing(relay):
        finished = worker.submit(finish_chunk, stopping, lease, rows(lease))
        assert relay.stopped.wait(PATIENCE_SECONDS)
        move_clock(LEASE_SECONDS + 1)
        wait_for(lambda: expire_leases(engine) == 1)
    assert isinstance(finished.exception(), OperationalError)
    assert count("prediction") == 0


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait for a server that acts by its own clock."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.05)
