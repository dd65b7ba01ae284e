"""Bytes on the wire that are no proper HTTP: the server refuses them and answers the next."""

import socket
import subprocess
from contextlib import suppress

import requests
from tests.integration.api.test_serving import environment, server, url_of

__all__ = ["environment", "server"]

HOST = b"Host: 127.0.0.1\r\n"
JUNK = {
    "nothing": b"",
    "one byte": b"G",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/9": b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /v1/jobs HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
    "a length and chunks": b"POST /v1/jobs HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    "a negative length": b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "a length that is a lie": b"POST /v1/jobs HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: application/json\r\nContent-Length: 999999\r\n\r\n{}",
    "a chunk that is none": b"POST /v1/jobs HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a header that goes on": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "a bare line end": b"GET /healthz HTTP/1.1\nHost: x\nX-Evil: 1\n\n",
    "NUL in a header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: \0\r\n\r\n",
    "long headers": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 2_000_000 + b"\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 20_000 + b"\r\n",
    "a long address": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "an address that is no UTF-8": b"GET /\xff\xfe%ff HTTP/1.1\r\n" + HOST + b"\r\n",
    "another server's address": b"GET http://evil.example/v1/jobs HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
}


def answer(port: int, sent: bytes) -> bytes:
    """Send bytes, say that no more come, and return what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        with suppress(OSError):  # it may have hung up already
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError, TimeoutError):
            return connection.recv(65_536)
    return b""


def test_junk_on_the_wire_is_refused_and_the_next_request_answered(
    environment: dict[str, str], server: subprocess.Popen[str]
) -> None:
    port = int(environment["IMGQ_PORT"])
    answers = {name: answer(port, sent) for name, sent in JUNK.items()}

    assert [name for name, got in answers.items() if got.startswith(b"HTTP/1.1 5")] == []
    assert [name for name, got in answers.items() if b"X-Evil" in got] == []
    assert requests.get(f"{url_of(environment)}/healthz", timeout=20).json() == {"status": "ok"}
    assert server.poll() is None
