"""One gRPC connection, client side: purerpc's framing with the holes in its client closed.

A lost connection ends every call at once, a call has a deadline that the server learns, leaving a call resets its
stream, and trailers reach the caller, also those of a trailers-only answer.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Generic, TypeVar

import anyio
import anyio.abc
import h2.exceptions
import trio
from h2.errors import ErrorCodes
from purerpc.grpc_proto import GRPCProtoSocket, GRPCProtoStream
from purerpc.grpc_socket import SocketWrapper
from purerpc.grpclib.config import GRPCConfiguration
from purerpc.grpclib.events import Event, ResponseEnded, WindowUpdated
from purerpc.grpclib.exceptions import GRPCError
from purerpc.grpclib.status import StatusCode

from arbiter.rpc.client_errors import ArbiterClientError, NotConnected, UncertainError, error_of
from arbiter.rpc.wire import Connection, StreamReset, close_events

M = TypeVar("M")
R = TypeVar("R")
Metadata = tuple[tuple[str, str], ...]


class _Writer(SocketWrapper):  # type: ignore[misc]  # purerpc has no types
    """Takes a lost connection quietly: the reader sees it too, and tells the calls."""

    async def _writer_thread(self) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await super()._writer_thread()
        await anyio.aclose_forcefully(self._stream)


class _Stream(GRPCProtoStream):  # type: ignore[misc]  # purerpc has no types
    """Waits for window only as long as there is a connection."""

    async def _wait_flow_control_update(self) -> None:
        await super()._wait_flow_control_update()
        if isinstance(self._grpc_socket._streams, _Gone):
            raise NotConnected("the connection to Arbiter was lost")


class _Socket(GRPCProtoSocket):  # type: ignore[misc]  # purerpc has no types
    """Ends the calls when the connection ends, for whatever reason."""

    StreamClass = _Stream
    _streams: dict[int, Any]

    def __init__(self, config: GRPCConfiguration, stream: anyio.abc.SocketStream) -> None:
        super().__init__(config, stream)
        self._grpc_connection = Connection(config)
        self._socket = _Writer(self._grpc_connection, stream)

    async def _reader_thread(self) -> None:
        try:
            while True:
                data = await self._socket.recv(self._receive_buffer_size)
                events = self._grpc_connection.receive_data(data)
                await self._socket.flush()
                for event in events:
                    await self._pass_on(event)
        except Exception:  # noqa: BLE001, S110 lost, or no gRPC server: purerpc raises anything; the calls are told below
            pass
        finally:
            streams, self._streams = self._streams, _Gone()
            for stream in streams.values():
                await self._end(stream)

    async def _pass_on(self, event: Event) -> None:
        """To the call it belongs to, if that is still waited for."""
        if isinstance(event, WindowUpdated) and event.stream_id == 0:
            for stream in self._streams.values():
                await stream._set_flow_control_update()
            return
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        if isinstance(event, WindowUpdated):
            await stream._set_flow_control_update()
        elif isinstance(event, StreamReset):
            await self._end(stream)
        else:
            stream._incoming_events[0].send_nowait(event)
            if isinstance(event, ResponseEnded):
                stream._close_remote()

    async def _end(self, stream: GRPCProtoStream) -> None:
        """Wake the call, whether it reads or waits for window; it finds the reason itself. Never waits."""
        stream._incoming_events[0].close()
        await stream._set_flow_control_update()


class _Gone(dict[int, Any]):
    """The streams of a connection that is gone: no new one can be opened."""

    def __setitem__(self, _stream_id: int, stream: Any) -> None:
        close_events(stream)
        raise NotConnected("the connection to Arbiter is gone")


class _Replies(AsyncIterator[R], Generic[R]):
    """A call's answers. No generator, so that leaving it half read leaves nothing behind."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], read: Callable[[Any], R]) -> None:
        self._receive = receive
        self._read = read
        self._ended = False

    async def __anext__(self) -> R:
        message = None if self._ended else await self._receive()
        if message is None:
            self._ended = True
            raise StopAsyncIteration
        return self._read(message)


class Channel:
    """An open connection. Made by `connect`."""

    def __init__(self, socket: _Socket, authority: str) -> None:
        self._socket = socket
        self._authority = authority

    async def unary(self, path: str, request: Any, reply: type[M], metadata: Metadata, seconds: float) -> M:
        """One call with one answer, within `seconds`. Raises ArbiterClientError."""
        try:
            with trio.fail_after(seconds):
                async with self._call(path, request, reply, metadata, seconds) as stream:
                    message: M | None = await self._next(stream)
                    if message is None:
                        raise ArbiterClientError("the server ended the call without an answer", "NO_ANSWER")
                    await self._next(stream)  # the status
                    return message
        except trio.TooSlowError:
            text = f"no answer within {seconds:g} s; whether the call took effect is unknown"
            raise UncertainError(text, StatusCode.DEADLINE_EXCEEDED.name) from None

    @asynccontextmanager
    async def stream(
        self, path: str, request: Any, reply: type[M], metadata: Metadata, read: Callable[[M], R]
    ) -> AsyncIterator[AsyncIterator[R]]:
        """A call with many answers, each passed through `read`; cancelled when the block is left."""
        async with self._call(path, request, reply, metadata, None) as stream:
            yield _Replies(lambda: self._next(stream), read)

    @asynccontextmanager
    async def _call(
        self, path: str, request: Any, reply: type[M], metadata: Metadata, seconds: float | None
    ) -> AsyncIterator[GRPCProtoStream]:
        service, _, method = path.partition("/")
        timeout = _grpc_timeout(seconds) if seconds is not None else None
        with _translated():
            stream = await self._socket.start_request(
                "http", service, method, None, self._authority, timeout=timeout, custom_metadata=metadata
            )
            stream.expect_message_type(reply)
        try:
            with _translated():
                await stream.send_message(request)
                await stream.close()
            yield stream
        finally:
            if stream.end_stream_event is None:
                self._reset(stream)
            self._forget(stream)

    async def _next(self, stream: GRPCProtoStream) -> Any:
        """The next message; None after an OK status; what a failed status means, raised."""
        with _translated():
            message = await stream.receive_message()
        if message is None:
            ended = stream.end_stream_event
            if not isinstance(ended, ResponseEnded):
                raise NotConnected("the connection to Arbiter was lost")
            if ended.status.status_code is not StatusCode.OK:
                started = stream.start_stream_event
                trailers = dict(getattr(started, "custom_metadata", ())) | dict(ended.custom_metadata)
                raise error_of(ended.status, trailers)
        return message

    def _reset(self, stream: GRPCProtoStream) -> None:
        """Tell the server that nobody waits any more."""
        with suppress(h2.exceptions.H2Error, GRPCError):  # it may have ended already
            self._socket._grpc_connection.reset_stream(stream.stream_id, ErrorCodes.CANCEL)

    def _forget(self, stream: GRPCProtoStream) -> None:
        self._socket._grpc_connection.forget(stream.stream_id)
        self._socket._streams.pop(stream.stream_id, None)
        close_events(stream)
        self._socket._socket._flush_event.set()


@asynccontextmanager
async def connect(host: str, port: int) -> AsyncIterator[Channel]:
    """A channel for the length of the block. Raises NotConnected."""
    try:
        stream = await anyio.connect_tcp(host, port)
    except OSError as error:
        raise NotConnected(f"no Arbiter answers at {host}:{port}") from error
    try:
        async with stream, _Socket(GRPCConfiguration(client_side=True), stream) as socket:
            yield Channel(socket, f"{host}:{port}")
    except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # the writer found the connection gone; calls have been told by the reader


def _grpc_timeout(seconds: float) -> timedelta:
    """The deadline as it can be sent: purerpc writes fractions as microseconds, and the protocol allows eight digits."""
    return timedelta(seconds=math.ceil(seconds)) if seconds >= 99 else timedelta(milliseconds=max(1, round(seconds * 1000)))


class _translated:  # noqa: N801 reads as a phrase
    """Foreign errors of the connection become NotConnected."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, h2.exceptions.H2Error, GRPCError)):
            raise NotConnected("the connection to Arbiter was lost") from error
