"""The storm's network: what each of its troubles does to a connection."""

import socket
import threading
from collections.abc import Iterator

import pytest
from tests.faults.storm.proxy import LOOPBACK, Network


@pytest.fixture
def echo_port() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server((LOOPBACK, 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket) -> None:
    try:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()
    except OSError:
        return  # closed: the test is over


def _echo(connection: socket.socket) -> None:
    try:
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)
    except OSError:
        return  # reset, as the test asked for


@pytest.fixture
def network(echo_port: int) -> Iterator[Network]:
    with Network().running() as made:
        made.add("echo", echo_port)
        yield made


@pytest.fixture
def client(network: Network) -> Iterator[socket.socket]:
    with connect(network) as made:
        made.sendall(b"one")
        assert made.recv(100) == b"one"
        yield made


def connect(network: Network) -> socket.socket:
    return socket.create_connection((LOOPBACK, network.port("echo")), timeout=5)


def test_a_silent_connection_passes_nothing_on_and_ends_in_a_reset(
    network: Network, client: socket.socket
) -> None:
    network.change("echo", "fall_silent")
    client.sendall(b"two")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(100)
    client.settimeout(5)
    network.change("echo", "calm")
    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_a_reset_ends_connections_and_takes_new_ones(
    network: Network, client: socket.socket
) -> None:
    network.change("echo", "reset")
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with connect(network) as another:
        another.sendall(b"again")
        assert another.recv(100) == b"again"


def test_a_cut_refuses_until_it_is_mended(network: Network, client: socket.socket) -> None:
    network.change("echo", "cut")
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with connect(network) as refused:
        assert refused.recv(100) == b""
    network.change("echo", "calm")
    with connect(network) as another:
        another.sendall(b"again")
        assert another.recv(100) == b"again"


def test_a_slow_connection_loses_nothing(network: Network, client: socket.socket) -> None:
    network.change("echo", "slow_down", 0.05)
    client.sendall(b"two")
    assert client.recv(100) == b"two"
