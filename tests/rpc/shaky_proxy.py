"""A TCP proxy before a server: it cuts, holds back, swallows, goes away and comes back on the same port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class ShakyProxy:
    """`behind` is the server's port, and may change: then the next connection leads to another server."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self.port = 0
        self.connections = 0
        """So many were taken, ever."""
        self._open: set[trio.SocketStream] = set()
        self._requests, self._answers = trio.Event(), trio.Event()
        self._requests.set()
        self._answers.set()
        self._listener: trio.SocketListener | None = None
        self._up = trio.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection at once."""
        for stream in tuple(self._open):
            stream.socket.close()
        self._open.clear()

    def down(self) -> None:
        """Take no connection any more, and cut those that there are."""
        self._up = trio.Event()
        assert self._listener is not None
        self._listener.socket.close()
        self.cut()

    def up(self) -> None:
        """Take connections again."""
        self._up.set()

    def hold_requests(self) -> None:
        """Pass nothing more on to the server."""
        self._requests = trio.Event()

    def hold_answers(self) -> None:
        """Pass nothing more on to the client."""
        self._answers = trio.Event()

    def release(self) -> None:
        """Pass on what was held, and what comes."""
        self._requests.set()
        self._answers.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ShakyProxy"]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve, nursery)
            yield self
            nursery.cancel_scope.cancel()

    async def _serve(self, nursery: trio.Nursery, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        while True:
            (self._listener,) = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            if not self.port:
                self.port = self._listener.socket.getsockname()[1]
                task_status.started()
            try:
                while True:
                    nursery.start_soon(self._carry, await self._listener.accept())
            except (trio.ClosedResourceError, OSError):
                await self._up.wait()
            finally:
                self._listener.socket.close()

    async def _carry(self, client: trio.SocketStream) -> None:
        self.connections += 1
        server: trio.SocketStream | None = None
        try:
            self._open.add(client)
            server = await trio.open_tcp_stream("127.0.0.1", self.behind)
            self._open.add(server)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, client, server, "_requests", nursery.cancel_scope)
                nursery.start_soon(self._pump, server, client, "_answers", nursery.cancel_scope)
        except OSError:
            pass  # nobody behind: the client is hung up on
        finally:
            for stream in (client, server):
                if stream is not None:
                    self._open.discard(stream)
                    stream.socket.close()

    async def _pump(self, source: trio.SocketStream, target: trio.SocketStream, gate: str, scope: trio.CancelScope) -> None:
        try:
            while data := await source.receive_some():
                await getattr(self, gate).wait()
                await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()
