"""One gRPC connection, client side, on the same wire as the server.

A lost connection ends every call at once, a call has a deadline that the server learns, leaving a call resets its stream, and
trailers reach the caller, also those of a trailers-only answer. A server that says nothing for a while is asked whether it lives.
"""

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar

import trio
from google.protobuf.message import DecodeError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.answer_head import AnswerHead, read_answer, status_of_reset
from arbiter.rpc.client_errors import ArbiterClientError, NotConnected, UncertainError, error_of
from arbiter.rpc.frames import Code
from arbiter.rpc.header_blocks import METHOD_POST, SCHEME_HTTP, literal, literal_authority, literal_path
from arbiter.rpc.messages import MessageReader, Unreadable, framed, unpacked
from arbiter.rpc.parking import Parking
from arbiter.rpc.pipe import Lost, Pipe, SocketPipe
from arbiter.rpc.sending import Stream
from arbiter.rpc.wire import Broken, Wire

M = TypeVar("M")
R = TypeVar("R")
Metadata = tuple[tuple[str, str], ...]

SILENT_SECONDS = 20.0
"""Without a byte while a call waits, until the server is asked whether it lives."""
PONG_SECONDS = 10.0
CONNECT_SECONDS = 10.0
HOLD = 256 * 1024
"""Bytes of answers that wait for the caller, of one call; above it the server gets no window back."""
EACH = 128
LOST = "the connection to Arbiter was lost"
_FIELDS = literal(b"te", b"trailers") + literal(b"content-type", b"application/grpc") + literal(b"grpc-accept-encoding", b"identity,gzip")


class _Call(Stream):
    """A call that waits for its answers."""

    __slots__ = ("encoding", "error", "inbox", "metadata", "news", "queued", "reader", "status", "unreturned")

    def __init__(self, id_: int, send_window: int) -> None:
        super().__init__(id_, send_window, ended_there=False)
        self.reader = MessageReader()
        self.inbox: deque[tuple[int, bytes]] = deque()
        self.queued = 0
        self.unreturned = 0
        self.encoding = b""
        self.metadata: dict[str, str | bytes] = {}
        self.status: Status | None = None
        """What it ended with, once it has."""
        self.error: ArbiterClientError | None = None
        """Why nothing more comes, where that is no status."""
        self.news = Parking()

    def end(self, status: Status | None, error: ArbiterClientError | None = None) -> None:
        """Nothing more comes."""
        if self.status is None and self.error is None:
            self.status, self.error = status, error
            self.news.wake()

    async def next(self, wire: Wire[AnswerHead], flush: Callable[[], None]) -> bytes | None:
        """The next message; None after an OK status. Raises ArbiterClientError."""
        while not self.inbox:
            if self.error is not None:
                raise self.error
            if self.status is not None:
                if self.status.status_code is StatusCode.OK:
                    return None
                raise error_of(self.status, self.metadata)
            await self.news.wait()
        flag, packed = self.inbox.popleft()
        self.queued -= len(packed) + EACH
        if self.queued <= HOLD and self.unreturned:
            wire.took(self, self.unreturned)
            self.unreturned = 0
            flush()
        try:
            return unpacked(flag, packed, self.encoding)
        except Unreadable as error:
            raise ArbiterClientError(f"the server sent what cannot be read: {error}", "BAD_ANSWER") from None


class _Replies(AsyncIterator[R], Generic[R]):
    """A call's answers. No generator, so that leaving it half read leaves nothing behind."""

    def __init__(self, channel: "Channel", call: _Call, kind: type[M], read: Callable[[M], R]) -> None:
        self._channel = channel
        self._call = call
        self._kind: Any = kind
        self._read: Any = read
        self._ended = False

    async def __anext__(self) -> R:
        await trio.lowlevel.checkpoint_if_cancelled()
        data = None if self._ended else await self._call.next(self._channel.wire, self._channel.flush)
        if data is None:
            self._ended = True
            raise StopAsyncIteration
        read: R = self._read(_parsed(self._kind, data))
        return read


class Channel:
    """An open connection. Made by `connect`."""

    def __init__(self, pipe: Pipe, authority: str) -> None:
        self._pipe = pipe
        self._authority = authority.encode("ascii")
        self.wire: Wire[AnswerHead] = Wire(self, read_answer, client=True)
        self._writer = Parking()
        self._room = trio.Event()
        """Set and made anew when a call ends: another may begin."""
        self._heads: dict[tuple[str, Metadata], bytes] = {}
        """The block of a call without its deadline, since calls repeat it."""
        self._lost: ArbiterClientError | None = None
        self._heard_at = trio.current_time()
        self._pinged_at = math.inf

    @property
    def usable(self) -> bool:
        """Whether a new call can be made."""
        return self._lost is None and not self.wire.refusing

    # -- calls --

    async def unary(self, path: str, request: Any, reply: type[M], metadata: Metadata, seconds: float) -> M:
        """One call with one answer, within `seconds`. Raises ArbiterClientError."""
        try:
            with trio.fail_after(seconds):
                async with self._call(path, request, metadata, seconds) as call:
                    data = await call.next(self.wire, self.flush)
                    if data is None:
                        raise ArbiterClientError("the server ended the call without an answer", "NO_ANSWER")
                    message = _parsed(reply, data)
                    await call.next(self.wire, self.flush)  # the status
                    return message
        except trio.TooSlowError:
            text = f"no answer within {seconds:g} s; whether the call took effect is unknown"
            raise UncertainError(text, StatusCode.DEADLINE_EXCEEDED.name) from None

    @asynccontextmanager
    async def stream(
        self, path: str, request: Any, reply: type[M], metadata: Metadata, read: Callable[[M], R]
    ) -> AsyncIterator[AsyncIterator[R]]:
        """A call with many answers, each passed through `read`; cancelled when the block is left."""
        async with self._call(path, request, metadata, None) as call:
            yield _Replies(self, call, reply, read)

    @asynccontextmanager
    async def _call(self, path: str, request: Any, metadata: Metadata, seconds: float | None) -> AsyncIterator[_Call]:
        body = framed(request.SerializeToString())
        await self._may_begin()
        call = _Call(self.wire.next_id(), self.wire.first_window)
        block = self._head(path, metadata)
        if seconds is not None:
            block += literal(b"grpc-timeout", _grpc_timeout(seconds))
        self.wire.open(call, block)
        self.wire.send(call, body)
        self.wire.finish(call)
        self.flush()
        try:
            yield call
        finally:
            self.wire.reset(call, Code.CANCEL)  # nothing where it has ended
            self._ended()
            self.flush()

    async def _may_begin(self) -> None:
        """Wait until the server takes one more call. Raises NotConnected."""
        while True:
            if self._lost is not None:
                raise self._lost
            if self.wire.refusing:
                raise NotConnected("Arbiter is going away; connect again")
            if len(self.wire.streams) < self.wire.peer_streams:
                return
            await self._room.wait()

    def _head(self, path: str, metadata: Metadata) -> bytes:
        key = (path, metadata)
        block = self._heads.get(key)
        if block is None:
            block = b"".join(
                (
                    METHOD_POST,
                    SCHEME_HTTP,
                    literal_path(b"/" + path.encode("ascii")),
                    literal_authority(self._authority),
                    _FIELDS,
                    *(literal(name.encode("ascii"), value.encode("ascii")) for name, value in metadata),
                )
            )
            if len(self._heads) >= 64:
                self._heads.clear()
            self._heads[key] = block
        return block

    def _ended(self) -> None:
        self._room.set()
        self._room = trio.Event()

    # -- its life --

    async def serve(self) -> None:
        """Read and write until cancelled, or the connection is gone; then every call has been told."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._stay_alive)
                await self._read()
                nursery.cancel_scope.cancel()
        except* (Lost, Broken):
            pass  # not to be read any more, as the calls are told below
        finally:
            self._lose()

    async def _read(self) -> None:
        wire, pipe = self.wire, self._pipe
        while True:
            data = await pipe.receive()
            if not data:
                return
            self._heard_at = trio.current_time()
            try:
                wire.receive(data, self._heard_at)
            finally:
                self.flush()

    async def _write(self) -> None:
        wire, pipe = self.wire, self._pipe
        while True:
            while wire.out or pipe.backlog:
                pipe.send(wire.take())
                await pipe.flushed()
            await self._writer.wait()

    async def _stay_alive(self) -> None:
        """Ends the connection where a ping is not answered. Raises Lost."""
        while True:
            await trio.sleep(PONG_SECONDS / 2)
            now = trio.current_time()
            if now - self._pinged_at >= PONG_SECONDS:
                raise Lost("the server does not answer")
            if self.wire.streams and now - self._heard_at >= SILENT_SECONDS and self._pinged_at == math.inf:
                self._pinged_at = now
                self.wire.ping()
                self.flush()

    def flush(self) -> None:
        """Send what is in `out`: at once, where the writer is not at it."""
        if not self.wire.out or self._lost is not None:
            return
        if self._writer.taken:
            try:
                if self._pipe.send(self.wire.take()) and not self.wire.out:
                    return
            except Lost:
                return  # the reader finds it too
        self._writer.wake()

    def _lose(self) -> None:
        self._lost = self._lost or NotConnected(LOST)
        for stream in tuple(self.wire.streams.values()):
            assert isinstance(stream, _Call)
            self.wire.forget(stream)
            stream.end(None, NotConnected(LOST))
        self._ended()
        self._pipe.close()

    # -- what the wire tells --

    def opened(self, stream_id: int, head: AnswerHead, ended: bool) -> None:
        raise AssertionError("a server opens no calls")

    def headers(self, stream: Stream, head: AnswerHead, ended: bool) -> None:
        assert isinstance(stream, _Call)
        stream.metadata.update(head.metadata)
        stream.encoding = stream.encoding or head.encoding
        if not ended:
            return
        stream.end(head.status or Status(StatusCode.UNKNOWN, "the server ended the call without a status"))

    def data(self, stream: Stream, payload: bytes, ended: bool) -> None:
        assert isinstance(stream, _Call)
        try:
            messages = stream.reader.feed(payload)
        except Unreadable as error:
            stream.end(None, ArbiterClientError(f"the server sent what cannot be read: {error}", "BAD_ANSWER"))
            self.wire.reset(stream, Code.CANCEL)
            return
        stream.inbox.extend(messages)
        stream.queued += sum(len(message) + EACH for _, message in messages)
        stream.unreturned += len(payload)
        if stream.queued <= HOLD:
            self.wire.took(stream, stream.unreturned)
            stream.unreturned = 0
        if ended:
            stream.end(Status(StatusCode.UNKNOWN, "the server ended the call without a status"))
        elif messages:
            stream.news.wake()

    def was_reset(self, stream: Stream, code: int) -> None:
        assert isinstance(stream, _Call)
        stream.end(status_of_reset(code))

    def going_away(self, last: int, code: int, text: str) -> None:
        self.wire.refusing = True
        for stream in tuple(self.wire.streams.values()):
            if stream.id > last:
                assert isinstance(stream, _Call)
                self.wire.forget(stream)
                stream.end(Status(StatusCode.UNAVAILABLE, "Arbiter is going away and did not begin with this call"))
        self._ended()

    def pong(self) -> None:
        self._pinged_at = math.inf


@asynccontextmanager
async def connect(host: str, port: int) -> AsyncIterator[Channel]:
    """A channel for the length of the block. Raises NotConnected."""
    try:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await trio.open_tcp_stream(host, port)
    except (OSError, trio.TooSlowError) as error:
        raise NotConnected(f"no Arbiter answers at {host}:{port}") from error
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with _closing(stream):
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        channel = Channel(SocketPipe(stream.socket), authority)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.serve)
            yield channel
            nursery.cancel_scope.cancel()


@contextmanager
def _closing(stream: trio.SocketStream) -> Iterator[None]:
    try:
        yield
    finally:
        stream.socket.close()


def _parsed(kind: type[M], data: bytes) -> M:
    try:
        message: M = kind.FromString(data)  # type: ignore[attr-defined]
    except DecodeError:
        raise ArbiterClientError(f"the server's answer is no {kind.__name__}", "BAD_ANSWER") from None
    return message


def _grpc_timeout(seconds: float) -> bytes:
    """The deadline as it is sent: at most eight digits."""
    milliseconds = max(1, math.ceil(seconds * 1000))
    return b"%dm" % milliseconds if milliseconds < 10**8 else b"%dS" % min(math.ceil(seconds), 10**8 - 1)
