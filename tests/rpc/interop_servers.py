"""The two servers of the interop tests, as `async with` blocks: an official one in its own process, and ours."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio

from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.server import Server
from tests.rpc.interop_service import our_service

SECONDS = 10
CORRELATION = "018f0000-0000-7000-8000-000000000000"


COMMAND = (sys.executable, str(Path(__file__).with_name("interop_service.py")))


@contextmanager
def official_process() -> Iterator[int]:
    """An official server to be shared: its port."""
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline())  # type: ignore[union-attr]
        finally:
            process.kill()


class OfficialServer:
    """A grpcio server that can be stopped or killed."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.port = 0

    async def line(self) -> str:
        """The next line that it tells."""
        text = b""
        with trio.fail_after(3 * SECONDS):
            while not text.endswith(b"\n"):
                data = await self._process.stdout.receive_some(1)  # type: ignore[union-attr]
                assert data, "the official server ended"
                text += data
        return text.decode().strip()

    async def stop(self, grace: float) -> None:
        """Tell it to stop; `line` then waits until it has."""
        await self._process.stdin.send_all(f"stop {grace}\n".encode())  # type: ignore[union-attr]

    def kill(self) -> None:
        self._process.kill()


@asynccontextmanager
async def official_server(**options: Any) -> AsyncIterator[OfficialServer]:
    """With channel arguments, dots written as two underscores: `grpc__max_concurrent_streams=1`."""
    named = {name.replace("__", "."): value for name, value in options.items()}
    process = await trio.lowlevel.open_process([*COMMAND, json.dumps(named)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        server = OfficialServer(process)
        server.port = int(await server.line())
        yield server
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()  # type: ignore[union-attr]
            await process.stdin.aclose()  # type: ignore[union-attr]


class OurServer:
    """Ours, in this process."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port


@asynccontextmanager
async def our_server() -> AsyncIterator[OurServer]:
    """The interop service on our engine."""
    server = Server([our_service()], lambda _: "somebody", lambda: CORRELATION)
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:

        async def serve() -> None:
            async with listener:  # as when a program that was stopped ends
                await server.serve(listener)

        nursery.start_soon(serve)
        yield OurServer(server, port_of(listener))
        nursery.cancel_scope.cancel()
