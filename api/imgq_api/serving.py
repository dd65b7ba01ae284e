"""The API as a process: Granian with one worker process and enough threads for long polls."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import Any

import structlog
from flask import Flask
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server

from imgq_api.app import WAITING_SEATS, check_exposure, create_app
from imgq_api.bodies import READING_SEATS
from imgq_api.errors import AddressUnusable
from imgq_api.services import services
from imgq_db.logs import configure_logs
from imgq_db.settings import Settings

# Every seat may be taken and 16 requests are still answered at the same time.
THREADS = WAITING_SEATS + READING_SEATS + 16
# Open connections, idle ones too; further ones wait in the backlog.
CONNECTIONS = 512
STOP_SECONDS = 10

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises KeylessOffLoopback, AddressUnusable before anything listens.
    """
    configure_logs(settings, process="api")
    check_exposure(settings)
    address = free_address(settings.host, settings.port)
    log.info("api starts", url=f"http://{settings.host}:{settings.port}", pid=os.getpid())
    server = Server(
        "imgq_api",
        address=address,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        blocking_threads=THREADS,
        backpressure=CONNECTIONS,
        workers_kill_timeout=STOP_SECONDS,
        # Granian's own words would stand beside our JSON lines; its errors still come.
        log_level=LogLevels.error,
    )
    server.serve(target_loader=partial(load_app, settings), wrap_loader=False)


def free_address(host: str, port: int) -> str:
    """Return the host's IP address if nobody listens there. Raises AddressUnusable.

    Granian itself would share a port with a server that runs already (SO_REUSEPORT).
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.create_server((host, port), family=family):
            return str(address[0])
    except OSError as error:
        raise AddressUnusable(host, port, _why(error)) from error


def _why(error: OSError) -> str:
    # A failed look-up of the host's name has a code of its own, and its text in strerror.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def load_app(settings: Settings) -> Flask:
    """Make the app inside Granian's worker process, and watch over that process's end."""
    configure_logs(settings, process="api")
    app = create_app(settings)
    _watch_the_end(services(app).waiting.close)
    return app


def _watch_the_end(close: Callable[[], None]) -> None:
    """Send long polls home when this process is told to stop, or its parent died."""
    woken, alarm = socket.socketpair()
    alarm.setblocking(False)
    # Granian sets its handlers later; the descriptor stays, whoever handles the signal.
    signal.set_wakeup_fd(alarm.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end, args=(woken, alarm, close), name="end", daemon=True).start()


def _end(woken: socket.socket, alarm: socket.socket, close: Callable[[], None]) -> None:
    parent = parent_process()
    ends: list[Any] = [woken, *([parent.sentinel] if parent else [])]
    ended = wait(ends)
    close()
    if woken not in ended:
        # Without a parent nobody else enforces the time to stop.
        deadline = threading.Timer(STOP_SECONDS, os._exit, (1,))
        deadline.daemon = True
        deadline.start()
        os.kill(os.getpid(), signal.SIGTERM)
    # Later signals are written there too: both ends stay open as long as the process.
    with alarm:
        while woken.recv(64):
            continue
