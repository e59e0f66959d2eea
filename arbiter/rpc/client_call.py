"""One call on a client: its stream, and the answers that wait for whoever made it."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar

import trio
from google.protobuf.message import DecodeError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.answer_head import AnswerHead
from arbiter.rpc.call_head import Metadata
from arbiter.rpc.client_errors import ArbiterClientError, error_of
from arbiter.rpc.messages import MessageReader, Unreadable, framed, unpacked
from arbiter.rpc.parking import Parking
from arbiter.rpc.sending import Stream
from arbiter.rpc.wire import Wire

M = TypeVar("M")
R = TypeVar("R")

HOLD = 256 * 1024
"""Bytes of answers that wait for the caller, of one call; above it the server gets no window back."""
EACH = 128


class Carrier(Protocol):
    """What a call needs of its connection."""

    wire: Wire[AnswerHead]

    def flush(self) -> None:
        """Send what is in `out`."""


class ClientCall(Stream):
    """A call under way. Whoever made it sends and receives; what ended it comes out of `receive`."""

    __slots__ = (
        *("_carrier", "_room", "encoding", "error", "inbox", "initial_metadata", "news", "queued", "reader", "status"),
        *("trailing_metadata", "unbegun", "unreturned"),
    )

    def __init__(self, id_: int, send_window: int, carrier: Carrier) -> None:
        super().__init__(id_, send_window, ended_there=False)
        self.initial_metadata: Metadata = ()
        """What the server sent before its first message; there as soon as that is. Values of names that end in `-bin` are bytes."""
        self.trailing_metadata: Metadata = ()
        """What it sent with the status."""
        self.reader = MessageReader()
        self.inbox: deque[tuple[int, bytes]] = deque()
        self.queued = 0
        self.unreturned = 0
        self.encoding = b""
        self.status: Status | None = None
        """What it ended with, once it has."""
        self.error: ArbiterClientError | None = None
        """Why nothing more comes, where that is no status."""
        self.unbegun = False
        """The server told that it did not begin with this call."""
        self.news = Parking()
        self._room = Parking()
        self._carrier = carrier

    # -- for the caller --

    async def send(self, message: Any) -> None:
        """Send one more message, waiting while the server takes none. Nothing happens where the call is over."""
        wire = self._carrier.wire
        await trio.lowlevel.checkpoint_if_cancelled()
        sent = wire.send(self, framed(message.SerializeToString())) or self.ended_here
        self._carrier.flush()
        while not sent and self.pending and self._goes_on:
            await self._room.wait()

    def finish(self) -> None:
        """Say that there are no more messages."""
        if not self.ended_here:
            self._carrier.wire.finish(self)
            self._carrier.flush()

    async def receive(self, kind: type[M]) -> M | None:
        """The next message; None after an OK status. Raises ArbiterClientError."""
        await trio.lowlevel.checkpoint_if_cancelled()
        data = await self.next()
        return None if data is None else parsed(kind, data)

    async def next(self) -> bytes | None:
        """The same as bytes."""
        while not self.inbox:
            if self.error is not None:
                raise self.error
            if self.status is not None:
                if self.status.status_code is StatusCode.OK:
                    return None
                failed = error_of(self.status, dict(self.trailing_metadata))
                failed.begun = failed.begun and not self.unbegun
                raise failed
            await self.news.wait()
        flag, packed = self.inbox.popleft()
        self.queued -= len(packed) + EACH
        if self.queued <= HOLD and self.unreturned:
            self._carrier.wire.took(self, self.unreturned)
            self.unreturned = 0
            self._carrier.flush()
        try:
            return unpacked(flag, packed, self.encoding)
        except Unreadable as error:
            raise ArbiterClientError(f"the server sent what cannot be read: {error}", "BAD_ANSWER") from None

    # -- for its connection --

    @property
    def _goes_on(self) -> bool:
        return self.status is None and self.error is None

    def head(self, head: AnswerHead, ended: bool) -> None:
        """A header block of the answer."""
        if head.interim and not ended:
            return
        self.encoding = self.encoding or head.encoding
        if ended:
            self.trailing_metadata = head.metadata
            if self.reader.held and head.status is not None and head.status.status_code is StatusCode.OK:
                self.end(None, ArbiterClientError("the server's answer ends within a message", "BAD_ANSWER"))
            self.end(head.status or Status(StatusCode.UNKNOWN, "the server ended the call without a status"))
        else:
            self.initial_metadata = head.metadata
            if head.status is not None:  # no gRPC: what follows is a page for people
                self.end(head.status)

    def end(self, status: Status | None, error: ArbiterClientError | None = None) -> None:
        """Nothing more comes."""
        if self._goes_on:
            self.status, self.error = status, error
            self.news.wake()
            self._room.wake()

    def drained(self) -> None:
        self._room.wake()


class Replies(AsyncIterator[R], Generic[R]):
    """A call's answers. No generator, so that leaving it half read leaves nothing behind."""

    def __init__(self, call: ClientCall, kind: type[M], read: Callable[[M], R]) -> None:
        self._call = call
        self._kind: Any = kind
        self._read: Any = read
        self._ended = False

    async def __anext__(self) -> R:
        await trio.lowlevel.checkpoint_if_cancelled()
        data = None if self._ended else await self._call.next()
        if data is None:
            self._ended = True
            raise StopAsyncIteration
        read: R = self._read(parsed(self._kind, data))
        return read


def parsed(kind: type[M], data: bytes) -> M:
    """The message that the server sent. Raises ArbiterClientError."""
    try:
        message: M = kind.FromString(data)  # type: ignore[attr-defined]
    except DecodeError:
        raise ArbiterClientError(f"the server's answer is no {kind.__name__}", "BAD_ANSWER") from None
    return message
