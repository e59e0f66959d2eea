"""One gRPC connection, client side: purerpc's framing with the holes in its client closed.

A lost connection ends every call at once, a call has a deadline that the server learns, leaving a call resets its
stream, and trailers reach the caller, also those of a trailers-only answer.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import anyio
import anyio.abc
import h2.exceptions
import trio
from h2.errors import ErrorCodes
from purerpc.grpc_proto import GRPCProtoSocket, GRPCProtoStream
from purerpc.grpclib.config import GRPCConfiguration
from purerpc.grpclib.events import ResponseEnded
from purerpc.grpclib.exceptions import GRPCError
from purerpc.grpclib.status import StatusCode

from arbiter.rpc.client_errors import ArbiterClientError, NotConnected, error_of

M = TypeVar("M")
Metadata = tuple[tuple[str, str], ...]


class _Socket(GRPCProtoSocket):  # type: ignore[misc]  # purerpc has no types
    """Ends the calls when the connection ends."""

    _streams: dict[int, Any]

    async def _reader_thread(self) -> None:
        try:
            await super()._reader_thread()
        finally:
            for stream in tuple(self._streams.values()):
                stream._incoming_events[0].close()
            self._streams = _Gone()


class _Gone(dict[int, Any]):
    """The streams of a connection that is gone: no new one can be opened."""

    def __setitem__(self, _stream_id: int, _stream: Any) -> None:
        raise NotConnected("the connection to Arbiter is gone")


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
            raise ArbiterClientError(f"no answer within {seconds:g} s; whether the call took effect is unknown", "DEADLINE") from None

    @asynccontextmanager
    async def stream(self, path: str, request: Any, reply: type[M], metadata: Metadata) -> AsyncIterator[AsyncIterator[M]]:
        """A call with many answers, cancelled when the block is left."""
        async with self._call(path, request, reply, metadata, None) as stream:
            yield self._messages(stream)

    async def _messages(self, stream: GRPCProtoStream) -> AsyncIterator[Any]:
        while (message := await self._next(stream)) is not None:
            yield message

    @asynccontextmanager
    async def _call(
        self, path: str, request: Any, reply: type[M], metadata: Metadata, seconds: float | None
    ) -> AsyncIterator[GRPCProtoStream]:
        service, _, method = path.partition("/")
        timeout = timedelta(milliseconds=max(1, round(seconds * 1000))) if seconds is not None else None
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
        """Tell the server that nobody waits any more, and forget the stream."""
        connection = self._socket._grpc_connection
        with suppress(h2.exceptions.H2Error, GRPCError):  # it may have ended already
            connection.reset_stream(stream.stream_id, ErrorCodes.CANCEL)
        connection.message_read_buffers.pop(stream.stream_id, None)
        self._socket._streams.pop(stream.stream_id, None)
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


class _translated:  # noqa: N801 reads as a phrase
    """Foreign errors of the connection become NotConnected."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, h2.exceptions.H2Error, GRPCError)):
            raise NotConnected("the connection to Arbiter was lost") from error
