"""Clients that are not ours: the official one in threads and in processes of its own, and HTTP/2 by hand."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
import trio

from arbiter.v1 import user_pb2
from tests.rpc.patience import SECONDS


class Official:
    """The official client, run in worker threads. Every call is by path, so that nothing of ours is generated for it."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.channel = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)

    def unary(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        return self._callable("unary_unary", path, reply)(request, timeout=options.pop("timeout", SECONDS), **options)

    def with_call(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        return self._callable("unary_unary", path, reply).with_call(request, timeout=SECONDS, **options)

    def stream(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        return self._callable("unary_stream", path, reply)(request, **options)

    def _callable(self, kind: str, path: str, reply: Any) -> Any:
        serialize = lambda message: message.SerializeToString()  # noqa: E731
        return getattr(self.channel, kind)(f"/{path}", request_serializer=serialize, response_deserializer=reply.FromString)

    async def call(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        """Answer of a unary call; grpc.RpcError as the official client raises it."""
        with trio.fail_after(SECONDS):
            return await trio.to_thread.run_sync(lambda: self.unary(path, request, reply, **options), abandon_on_cancel=True)

    async def refusal(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        """The error of a call that must fail."""
        with pytest.raises(grpc.RpcError) as caught:
            await self.call(path, request, reply, **options)
        return caught.value

    async def first(self, call: Any) -> Any:
        """The next message of a streaming call."""
        with trio.fail_after(SECONDS):
            return await trio.to_thread.run_sync(next, call, abandon_on_cancel=True)


class Raw:
    """HTTP/2 by hand, to do what no well-behaved client does. `events` holds all that came."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []

    def begin(self, path: str, *, end: bool = False, extra: tuple[tuple[str, str], ...] = ()) -> int:
        number = self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test")]
        headers += [("te", "trailers"), ("content-type", "application/grpc"), *extra]
        self.h2.send_headers(number, headers, end_stream=end)
        return number

    def message(self, number: int, body: bytes, *, compressed: bool = False, end: bool = True) -> None:
        self.h2.send_data(number, bytes([compressed]) + len(body).to_bytes(4, "big") + body, end_stream=end)

    async def send(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def read_until(self, done: Callable[[h2.events.Event], bool]) -> h2.events.Event:
        """The first event, of those that came and those that will, for which `done`."""
        with trio.fail_after(SECONDS):
            while True:
                for event in self.events:
                    if done(event):
                        return event
                data = await self.stream.receive_some(65_536)
                assert data, f"the server hung up after {self.events}"
                self.events += self.h2.receive_data(bytes(data))
                await self.send()

    async def ended(self, number: int) -> None:
        await self.read_until(lambda event: isinstance(event, h2.events.StreamEnded) and event.stream_id == number)

    def header_blocks(self, number: int) -> list[dict[str, str]]:
        kinds = (h2.events.ResponseReceived, h2.events.TrailersReceived)
        return [dict(e.headers) for e in self.events if isinstance(e, kinds) and e.stream_id == number]

    async def hung_up(self) -> None:
        """Until the server has closed the connection."""
        with trio.fail_after(SECONDS), pytest.raises((AssertionError, trio.BrokenResourceError)):
            await self.read_until(lambda event: False)


class Probes:
    """`official_probes.py` as processes of their own."""

    def __init__(self) -> None:
        self._command = [sys.executable, str(Path(__file__).parent / "official_probes.py")]

    async def lines(self, what: str, address: str, *arguments: str) -> list[str]:
        """All that it tells until it ends."""
        with trio.fail_after(3 * SECONDS):
            done = await trio.run_process(
                [*self._command, what, address, *arguments], capture_stdout=True, capture_stderr=True, check=False
            )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().splitlines()

    @asynccontextmanager
    async def telling(self, what: str, address: str, *arguments: str) -> AsyncIterator[Callable[[], Any]]:
        """Within, it runs; what is yielded waits for its next line."""
        async with trio.open_nursery() as nursery:
            start = partial(trio.run_process, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            process = await nursery.start(start, [*self._command, what, address, *arguments])
            buffered = bytearray()

            async def line() -> str:
                with trio.fail_after(3 * SECONDS):
                    while b"\n" not in buffered:
                        data = await process.stdout.receive_some()
                        assert data, "it ended"
                        buffered.extend(data)
                first, _, rest = buffered.partition(b"\n")
                buffered[:] = rest
                return first.decode()

            yield line
            nursery.cancel_scope.cancel()
