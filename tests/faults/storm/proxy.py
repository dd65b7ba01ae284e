"""TCP proxies between the processes of a storm and their servers: a network that can be broken."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
BLOCK_BYTES = 1 << 16
#: Closing a socket that lingers for no time sends a reset.
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """A port that leads to another one, as long as nothing is wrong with it.

    Its methods are for the thread of the event loop: see `Network`.
    """

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self._delay_seconds = 0.0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._refuses = True
        self.reset()

    def slow_down(self, seconds: float) -> None:
        """Let every block of bytes take so much longer."""
        self._delay_seconds = seconds

    def fall_silent(self) -> None:
        """Take bytes and pass none on, without an end to any connection."""
        self._open.clear()

    def reset(self) -> None:
        """End every connection as a crashed host does."""
        for writer in self._writers:
            connection: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def calm(self) -> None:
        """Mend it; connections that fell silent are over."""
        if not self._open.is_set():
            self.reset()
        self._refuses = False
        self._delay_seconds = 0.0
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._refuses:
                return
            further, onward = await asyncio.open_connection(LOOPBACK, self._to_port)
            self._writers.add(onward)
            try:
                await self._join(self._pump(reader, onward), self._pump(further, writer))
            finally:
                self._end(onward)
        except OSError:
            return  # the server is down: its client sees the connection end
        finally:
            self._end(writer)

    async def _join(self, *pumps: Coroutine[Any, Any, None]) -> None:
        """Run until one direction has ended: then the whole connection has."""
        tasks = {asyncio.create_task(pump) for pump in pumps}
        self._pumps |= tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._pumps -= tasks

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BLOCK_BYTES):
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            await self._open.wait()
            writer.write(data)
            await writer.drain()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()


class Network:
    """Proxies in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._proxies: dict[str, Proxy] = {}

    def add(self, name: str, to_port: int) -> int:
        """Make a proxy and return its port."""

        async def listen() -> Proxy:
            proxy = Proxy(to_port)
            await proxy.listen()
            return proxy

        self._proxies[name] = self._run(listen())
        return self._proxies[name].port

    def port(self, name: str) -> int:
        return self._proxies[name].port

    @property
    def names(self) -> list[str]:
        return sorted(self._proxies)

    def change(self, name: str, what: str, *values: float) -> None:
        """Call a method of a proxy; see `Proxy`."""
        self._loop.call_soon_threadsafe(getattr(self._proxies[name], what), *values)

    def calm_all(self) -> None:
        for name in self._proxies:
            self.change(name, "calm")

    @contextlib.contextmanager
    def running(self) -> Iterator["Network"]:
        """Run the event loop as long as the block does."""
        thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            for proxy in self._proxies.values():
                self._run(proxy.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
