"""One call on a client: its stream, and the answers that wait for whoever made it."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar

import trio
from google.protobuf.message import DecodeError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.answer_head import AnswerHead
from arbiter.rpc.client_errors import ArbiterClientError, error_of
from arbiter.rpc.messages import MessageReader, Unreadable, unpacked
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


class Replies(AsyncIterator[R], Generic[R]):
    """A call's answers. No generator, so that leaving it half read leaves nothing behind."""

    def __init__(self, carrier: "Carrier", call: ClientCall, kind: type[M], read: Callable[[M], R]) -> None:
        self._carrier = carrier
        self._call = call
        self._kind: Any = kind
        self._read: Any = read
        self._ended = False

    async def __anext__(self) -> R:
        await trio.lowlevel.checkpoint_if_cancelled()
        data = None if self._ended else await self._call.next(self._carrier.wire, self._carrier.flush)
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
