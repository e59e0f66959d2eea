"""One gRPC connection, client side, on the same wire as the server.

A lost connection ends every call at once, a call has a deadline that the server learns, leaving a call resets its stream, and
trailers reach the caller, also those of a trailers-only answer. A server that says nothing for a while is asked whether it lives.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import trio
from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.answer_blocks import fields
from arbiter.rpc.answer_head import AnswerHead, read_answer, status_of_reset
from arbiter.rpc.call_head import Metadata
from arbiter.rpc.client_call import EACH, HOLD, ClientCall, Replies, parsed
from arbiter.rpc.client_errors import ArbiterClientError, NotConnected, UncertainError, not_connected
from arbiter.rpc.client_tls import explained
from arbiter.rpc.frames import Code
from arbiter.rpc.header_blocks import METHOD_POST, SCHEME_HTTP, SCHEME_HTTPS, literal, literal_authority, literal_path
from arbiter.rpc.messages import Unreadable, framed
from arbiter.rpc.parking import Parking
from arbiter.rpc.pipe import Lost, NoTls, Pipe
from arbiter.rpc.sending import Stream
from arbiter.rpc.wire import Broken, Wire

M = TypeVar("M")
R = TypeVar("R")

SILENT_SECONDS = 20.0
"""Without a byte while a call waits, until the server is asked whether it lives."""
PONG_SECONDS = 10.0
LOST = "the connection to Arbiter was lost"
_FIELDS = literal(b"te", b"trailers") + literal(b"content-type", b"application/grpc") + literal(b"grpc-accept-encoding", b"identity,gzip")


class Channel:
    """An open connection. Made by `connect`."""

    def __init__(self, pipe: Pipe, authority: str, *, secure: bool = False) -> None:
        self._pipe = pipe
        self._scheme = SCHEME_HTTPS if secure else SCHEME_HTTP
        self._authority = authority.encode("ascii")
        self.wire: Wire[AnswerHead] = Wire(self, read_answer, client=True)
        self._writer = Parking()
        self._room = trio.Event()
        """Set and made anew when a call ends: another may begin."""
        self._heads: dict[tuple[str, Metadata], bytes] = {}
        """The block of a call without its deadline, since calls repeat it."""
        self._lost: ArbiterClientError | None = None
        self._settled = trio.Event()
        """The server has greeted, or never will."""
        self._turned = trio.Event()
        """No new call can be made."""
        self._heard_at = trio.current_time()
        self._pinged_at = math.inf

    @property
    def usable(self) -> bool:
        """Whether a new call can be made."""
        return self._lost is None and not self.wire.refusing

    # -- calls --

    async def unary(self, path: str, request: Any, reply: type[M], metadata: Metadata, seconds: float) -> M:
        """One call with one answer, within `seconds`. Raises ArbiterClientError."""
        with _within(seconds):
            async with self._call(path, request, metadata, seconds) as call:
                data = await call.next()
                if data is None:
                    raise ArbiterClientError("the server ended the call without an answer", "NO_ANSWER")
                message = parsed(reply, data)
                if await call.next() is not None:  # None: the status has come, and is OK
                    raise ArbiterClientError("the server sent more than one answer", "BAD_ANSWER")
                return message
        raise AssertionError("left by a return or an error")

    @asynccontextmanager
    async def stream(
        self, path: str, request: Any, reply: type[M], metadata: Metadata, read: Callable[[M], R], seconds: float | None = None
    ) -> AsyncIterator[AsyncIterator[R]]:
        """A call with many answers, each passed through `read`; cancelled when the block is left. Errors as of `call`."""
        with _within(seconds):
            async with self._call(path, request, metadata, seconds) as call:
                yield Replies(call, reply, read)

    @asynccontextmanager
    async def call(self, path: str, metadata: Metadata = (), seconds: float | None = None) -> AsyncIterator[ClientCall]:
        """A call of any shape; cancelled when the block is left. Raises ArbiterClientError, also where the block takes longer."""
        with _within(seconds):
            async with self._call(path, None, metadata, seconds) as call:
                yield call

    @asynccontextmanager
    async def _call(self, path: str, request: Any, metadata: Metadata, seconds: float | None) -> AsyncIterator[ClientCall]:
        call = await self.begin(path, request, metadata, seconds)
        try:
            yield call
        finally:
            self.leave(call)

    async def begin(self, path: str, request: Any, metadata: Metadata, seconds: float | None = None) -> ClientCall:
        """A call, with its only request where there is one; whoever begins it must `leave` it. Raises NotConnected."""
        block = self._head(path, metadata)
        if seconds is not None:
            block += literal(b"grpc-timeout", _grpc_timeout(seconds))
        body = None if request is None else framed(request.SerializeToString())
        await self._may_begin()
        call = ClientCall(self.wire.next_id(), self.wire.first_window, self)
        self.wire.open(call, block)
        if body is not None:
            self.wire.send(call, body)
            self.wire.finish(call)
        self.flush()
        return call

    def leave(self, call: ClientCall) -> None:
        """Cancel the call where it goes on, and keep nothing of it."""
        self.wire.reset(call, Code.CANCEL)  # nothing where it has ended
        self._ended()
        self.flush()

    async def _may_begin(self) -> None:
        """Wait until the server takes one more call. Raises NotConnected."""
        while True:
            if self._lost is not None:
                raise not_connected(str(self._lost))
            if self.wire.refusing:
                raise not_connected("Arbiter is going away; connect again")
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
                    self._scheme,
                    literal_path(b"/" + path.encode("ascii")),
                    literal_authority(self._authority),
                    _FIELDS,
                    fields(metadata),
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
        except* NoTls as group:
            self._lost = NotConnected(f"{LOST}: {explained(str(group.exceptions[0]))}")
        except* (Lost, Broken):
            pass  # not to be read any more, as the calls are told below
        finally:
            self._lose()

    async def refused(self) -> ArbiterClientError | None:
        """Wait until the server has taken the connection, or say why not: TLS 1.3 refuses a client's certificate after the handshake."""
        await self._settled.wait()
        return self._lost

    async def over(self) -> None:
        """Wait until no new call can be made and none is under way."""
        await self._turned.wait()
        while self._lost is None and self.wire.streams:
            await self._room.wait()

    async def _read(self) -> None:
        wire, pipe = self.wire, self._pipe
        while True:
            data = await pipe.receive()
            if not data:
                return
            self._heard_at = trio.current_time()
            most = wire.peer_streams
            try:
                wire.receive(data, self._heard_at)
            finally:
                self.flush()
            if wire.greeted:
                self._settled.set()
            if wire.peer_streams != most:
                self._ended()  # as if a call had: those that wait for room look again

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
        text = LOST if self.wire.greeted else f"{LOST} before it began: does the server want TLS, or has it no room?"
        self._lost = self._lost or NotConnected(text)
        for stream in tuple(self.wire.streams.values()):
            assert isinstance(stream, ClientCall)
            self.wire.forget(stream)
            stream.end(None, NotConnected(str(self._lost)))
        self._ended()
        self._settled.set()
        self._turned.set()
        self._pipe.close()

    # -- what the wire tells --

    def opened(self, stream_id: int, head: AnswerHead, ended: bool) -> None:
        raise AssertionError("a server opens no calls")

    def headers(self, stream: Stream, head: AnswerHead, ended: bool) -> None:
        assert isinstance(stream, ClientCall)
        stream.head(head, ended)
        if not ended and head.status is not None:
            self.wire.reset(stream, Code.CANCEL)

    def data(self, stream: Stream, payload: bytes, ended: bool) -> None:
        assert isinstance(stream, ClientCall)
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
        assert isinstance(stream, ClientCall)
        stream.unbegun = code == Code.REFUSED_STREAM
        stream.end(status_of_reset(code))

    def going_away(self, last: int, code: int, text: str) -> None:
        self.wire.refusing = True
        for stream in tuple(self.wire.streams.values()):
            if stream.id > last:
                assert isinstance(stream, ClientCall)
                self.wire.forget(stream)
                stream.unbegun = True
                stream.end(Status(StatusCode.UNAVAILABLE, "Arbiter is going away and did not begin with this call"))
        self._ended()
        self._turned.set()

    def pong(self) -> None:
        self._pinged_at = math.inf


@contextmanager
def _within(seconds: float | None) -> Iterator[None]:
    """Raises UncertainError where the block takes longer."""
    if seconds is None:
        yield
        return
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        text = f"no answer within {round(seconds, 2):g} s; whether the call took effect is unknown"
        raise UncertainError(text, StatusCode.DEADLINE_EXCEEDED.name)


def _grpc_timeout(seconds: float) -> bytes:
    """The deadline as it is sent: at most eight digits."""
    milliseconds = max(1, math.ceil(seconds * 1000))
    return b"%dm" % milliseconds if milliseconds < 10**8 else b"%dS" % min(math.ceil(seconds), 10**8 - 1)
