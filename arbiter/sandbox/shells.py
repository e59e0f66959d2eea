"""Where the engines meet the world of tasks: over loopback sockets, or over memory.

Both run the same `serve_stream` on a byte stream. Whoever ticks the sandbox wakes the connections to send what the
engines wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio
from trio.testing import memory_stream_pair

from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.http import App, Connection

TICK_SECONDS = 0.02
CHUNK = 65_536
CONNECTION_CAP = 200
WRITE_SECONDS = 10.0
"""A peer that takes nothing for this long is dropped."""


class Wake:
    """Tells every connection that something may be waiting to be sent."""

    def __init__(self) -> None:
        self._event = trio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    def all(self) -> None:
        event, self._event = self._event, trio.Event()
        event.set()


@dataclass(frozen=True)
class Shell:
    """A sandbox with its clock, ticking."""

    sandbox: Sandbox
    unix_ms: Callable[[], int]
    wake: Wake

    async def tick_for_ever(self) -> None:
        """Move the world on every 20 ms."""
        while True:
            self.sandbox.tick(self.unix_ms())
            self.wake.all()
            await trio.sleep(TICK_SECONDS)

    async def serve_stream(self, app: App, stream: trio.abc.Stream) -> None:
        """One connection, until either side ends it."""
        connection = Connection(app)
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._write, connection, stream, nursery.cancel_scope)
                await self._read(connection, stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # the peer left, or does not read
        finally:
            connection.end()

    async def _read(self, connection: Connection, stream: trio.abc.Stream) -> None:
        while not connection.closed:
            data = await stream.receive_some(CHUNK)
            connection.receive(bytes(data), self.unix_ms())
            self.wake.all()

    async def _write(self, connection: Connection, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        while True:
            data = connection.data_to_send()
            if data:
                with trio.fail_after(WRITE_SECONDS):
                    await stream.send_all(data)
            elif connection.closed:
                scope.cancel()
                return
            else:
                await self.wake.wait()


async def serve_sockets(shell: Shell, app: App, port: int, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve one venue on 127.0.0.1; `task_status` tells the actual port. Raises OSError when the port is busy."""
    (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    open_now = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal open_now
        if open_now >= CONNECTION_CAP:
            await stream.aclose()
            return
        open_now += 1
        try:
            await shell.serve_stream(app, stream)
        finally:
            open_now -= 1

    async with trio.open_nursery() as nursery:
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(serve, [listener], handler_nursery=nursery)


class MemoryNetwork:
    """A `Network` without sockets: host names lead to engines, each connection is a task of the nursery handed in."""

    def __init__(self, shell: Shell, hosts: dict[str, App], nursery: trio.Nursery) -> None:
        self._shell = shell
        self._hosts = hosts
        self._nursery = nursery
        self.reachable = True

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """A stream to the engine of that name. Raises OSError for an unknown one, or while nothing is reachable."""
        await trio.lowlevel.checkpoint()
        if host not in self._hosts or not self.reachable:
            raise OSError(f"no route to {host}:{port}")
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._shell.serve_stream, self._hosts[host], theirs)
        return ours
