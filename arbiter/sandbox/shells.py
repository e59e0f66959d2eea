"""Where the engines meet the world of tasks: over loopback sockets, or over memory.

Both run the same `serve_stream` on a byte stream. Whoever ticks the sandbox wakes the connections to send what the
engines wrote.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import trio

from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.http import App, Connection

LOOPBACK = "127.0.0.1"
TICK_SECONDS = 0.02
CHUNK = 65_536
CONNECTION_CAP = 200
"""Open connections of one venue's server. One more is closed at once."""
WRITE_SECONDS = 10.0
"""A peer that takes nothing for this long is dropped."""
CLOSE_SECONDS = 5.0
"""How long a peer may leave a closing handshake unanswered."""


class Wake:
    """Looks whether something happened that a connection waits for; wakes only those for which it did."""

    def __init__(self) -> None:
        self._waiting: dict[trio.Event, Callable[[], bool]] = {}

    async def until(self, happened: Callable[[], bool]) -> None:
        """Until `happened` is true at an `all`."""
        event = trio.Event()
        self._waiting[event] = happened
        try:
            await event.wait()
        finally:
            self._waiting.pop(event, None)

    def all(self) -> None:
        """Something may have happened."""
        for event in [event for event, happened in self._waiting.items() if happened()]:
            del self._waiting[event]
            event.set()


class Ticked(Protocol):
    """What moves on with time."""

    def tick(self, now_ms: int) -> None:
        """It is `now_ms` (Unix ms)."""


T = TypeVar("T", bound=Ticked)


@dataclass(frozen=True)
class Shell(Generic[T]):
    """A sandbox, or one engine of its own, with its clock (Unix ms), ticking."""

    sandbox: T
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
                nursery.start_soon(self._guard, connection, nursery.cancel_scope)
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
            connection.resume(self.unix_ms())
            data = connection.data_to_send()
            if data:
                with trio.fail_after(WRITE_SECONDS):
                    await stream.send_all(data)
            elif connection.closed:
                scope.cancel()
                return
            else:
                await self.wake.until(lambda: connection.pending)

    async def _guard(self, connection: Connection, scope: trio.CancelScope) -> None:
        """Ends what the reader and the writer cannot: a cut while they wait for the peer, a close that it never answers."""
        while not connection.cut and not connection.closing:
            await self.wake.until(lambda: connection.cut or connection.closing)
        if connection.closing:
            await trio.sleep(CLOSE_SECONDS)
        scope.cancel()


class Ports(NamedTuple):
    """Where a served sandbox listens, on 127.0.0.1."""

    polymarket: int
    kalshi: int


async def serve_sandbox(
    shell: Shell[Sandbox], *, polymarket_port: int = 0, kalshi_port: int = 0, task_status: trio.TaskStatus[Ports] = trio.TASK_STATUS_IGNORED
) -> None:
    """Tick, and serve both venues on loopback (port 0: any). Raises OSError when a port is busy."""
    async with await _listen(polymarket_port) as polymarket, await _listen(kalshi_port) as kalshi, trio.open_nursery() as nursery:
        nursery.start_soon(shell.tick_for_ever)
        nursery.start_soon(_accept, shell, shell.sandbox.polymarket, polymarket)
        nursery.start_soon(_accept, shell, shell.sandbox.kalshi, kalshi)
        task_status.started(Ports(_port_of(polymarket), _port_of(kalshi)))


async def serve_sockets(shell: Shell[T], app: App, port: int, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve one app on 127.0.0.1; `task_status` tells the actual port. Raises OSError when the port is busy. Does not tick."""
    async with await _listen(port) as listener:
        task_status.started(_port_of(listener))
        await _accept(shell, app, listener)


async def serve_ticking(shell: Shell[T], app: App, port: int, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """`serve_sockets`, and tick: all that an engine of its own needs."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shell.tick_for_ever)
        await serve_sockets(shell, app, port, task_status=task_status)


async def _listen(port: int) -> trio.SocketListener:
    (listener,) = await trio.open_tcp_listeners(port, host=LOOPBACK)
    return listener


def _port_of(listener: trio.SocketListener) -> int:
    port: int = listener.socket.getsockname()[1]
    return port


async def _accept(shell: Shell[T], app: App, listener: trio.SocketListener) -> None:
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

    await trio.serve_listeners(serve, [listener])


class MemoryNetwork:
    """A `Network` without sockets: host names lead to engines, each connection is a task of the nursery handed in.

    The streams hold whatever a client leaves unread: the bound is the simulation's, which holds both ends.
    """

    def __init__(self, shell: Shell[T], hosts: Mapping[str, App], nursery: trio.Nursery) -> None:
        self._shell = shell
        self._hosts = hosts
        self._nursery = nursery
        self.reachable = True
        """Set to False, new connections fail as in an outage; those that stand go on."""

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """A stream to the engine of that name. Raises OSError for an unknown one, or while nothing is reachable."""
        await trio.lowlevel.checkpoint()
        if host not in self._hosts or not self.reachable:
            raise OSError(f"no route to {host}:{port}")
        # imported here: `trio.testing` imports pytest where there is one, and the program uses no memory network
        from trio.testing import memory_stream_pair

        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._shell.serve_stream, self._hosts[host], theirs)
        return ours
