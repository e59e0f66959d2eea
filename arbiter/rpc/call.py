"""One call on the server: its stream, its scope, and what passes between its handler and its connection."""

import math
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol

import trio
from google.protobuf.message import DecodeError
from purerpc import RpcFailedError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.errors import InvalidInput
from arbiter.rpc import answer_blocks
from arbiter.rpc.call_head import CallHead
from arbiter.rpc.messages import MessageReader, TooLong, Unreadable, framed, unpacked
from arbiter.rpc.parking import Parking
from arbiter.rpc.request import Request
from arbiter.rpc.sending import Sender, Stream

HOLD = 256 * 1024
"""Bytes of requests that wait for a handler, of one call: above it the client gets no window back."""
EACH = 128
"""What keeping a message costs beside its bytes."""
BATCH = 24 * 1024
"""So much of one stream is made in one go; then others have their turn."""


class Carrier(Protocol):
    """What a call needs of its connection."""

    @property
    def wire(self) -> Sender:
        """What it is sent by."""

    def flush(self) -> None:
        """See that what is in `out` is sent soon."""

    def hold(self, cost: int) -> bool:
        """Count so much more as kept for handlers (less, where negative); whether it is within the limit."""

    def took(self, call: "Call", length: int) -> None:
        """Give the client window back."""


class Call(Stream):
    """One call. Its handler runs in `scope`, which a reset, the deadline, the connection's end and the server's all cancel."""

    __slots__ = (
        "_carrier",
        "_inbox",
        "_news",
        "_queued",
        "_reader",
        "_room",
        "_unreturned",
        "deadline",
        "ended_by",
        "failure",
        "first",
        "head",
        "held",
        "progress",
        "request",
        "scope",
        "stalled_since",
        "started",
    )

    def __init__(self, id_: int, send_window: int, ended: bool, head: CallHead, carrier: Carrier, peer: str) -> None:
        super().__init__(id_, send_window, ended)
        self.head = head
        self.request = Request(head.service, head.name, head.metadata, head.authority, peer)
        self.scope: trio.CancelScope | None = None
        """Of its handler, from the time that there is one."""
        self.deadline = math.inf
        self.ended_by: Status | None = None
        """What the call ends with when its scope was cancelled, and neither by its client nor by its deadline."""
        self.started = False
        """The head of the answer is sent."""
        self.first: bytes | None = None
        """The message of a request that came whole, as nearly all do."""
        self.failure: Status | None = None
        """Nothing more of the request can be read, for this reason."""
        self.held = 0
        """What is kept of the request, as counted by `Carrier.hold`."""
        self.progress = -1
        """Where a slow reader was at the last look, and since when."""
        self.stalled_since = math.inf
        self._carrier = carrier
        self._reader: MessageReader | None = None
        self._inbox: deque[tuple[int, bytes]] | None = None
        self._queued = 0
        self._unreturned = 0
        self._news: Parking | None = None
        self._room: Parking | None = None

    # -- the request, from the connection --

    def feed(self, payload: bytes, ended: bool) -> None:
        """More of the request."""
        if self.failure is not None:
            return
        if self._reader is None:
            self._reader, self._inbox = MessageReader(), deque()
        assert self._inbox is not None
        try:
            messages = self._reader.feed(payload)
        except Unreadable as error:
            self.fail(Status(StatusCode.RESOURCE_EXHAUSTED, str(error)))
            return
        self._inbox.extend(messages)
        self._queued += sum(len(message) + EACH for _, message in messages)
        if not self._count(self._reader.held + self._queued):
            self.fail(Status(StatusCode.RESOURCE_EXHAUSTED, "too much of unfinished requests waits; send less at once"))
            return
        self._unreturned += len(payload)
        self._give_back()
        if ended and self._reader.held:
            self.fail(Status(StatusCode.INTERNAL, "the request ends within a message"))
        elif (messages or ended) and self._news is not None:
            self._news.wake()

    def fail(self, status: Status) -> None:
        """Nothing more can be read of the request."""
        self.failure = status
        if self._inbox is not None:
            self._inbox.clear()
            self._queued = 0
        self._count(0)
        if self._news is not None:
            self._news.wake()

    def _count(self, held: int) -> bool:
        more, self.held = held - self.held, held
        return self._carrier.hold(more)

    def _give_back(self) -> None:
        """Return window while the handler keeps up. A message that is not complete always may go on: its length is bounded."""
        if self._unreturned and self._queued <= HOLD:
            unreturned, self._unreturned = self._unreturned, 0
            self._carrier.took(self, unreturned)

    # -- the request, to the handler --

    async def message(self) -> Any:
        """The next message; None after the last. Raises what the call ends with where it cannot be read."""
        data = await self._next()
        if data is None:
            return None
        assert self.head.method is not None
        kind = self.head.method.request_type
        try:
            return kind.FromString(data)
        except DecodeError:
            raise InvalidInput("request", f"its bytes are no {kind.DESCRIPTOR.full_name}") from None

    async def _next(self) -> bytes | None:
        if self.first is not None:
            data, self.first = self.first, None
            return data
        while True:
            if self._inbox:
                flag, packed = self._inbox.popleft()
                self._queued -= len(packed) + EACH
                self._count(self.held - len(packed) - EACH)
                self._give_back()
                try:
                    return unpacked(flag, packed, self.head.encoding)
                except Unreadable as error:
                    raise RpcFailedError(_unreadable(error)) from None
            if self.failure is not None:
                raise RpcFailedError(self.failure)
            if self.ended_there:
                return None
            if self._news is None:
                self._news = Parking()
            await self._news.wait()

    async def messages(self) -> AsyncIterator[Any]:
        """All of a stream of requests."""
        while (message := await self.message()) is not None:
            yield message

    # -- the answer, from the handler --

    def start(self) -> None:
        """Send the head of the answer."""
        self.started = True
        block = answer_blocks.HEAD
        if self.request.initial_metadata:
            block += answer_blocks.fields(self.request.initial_metadata)
        self._carrier.wire.headers(self, block)

    async def send_all(self, replies: AsyncIterator[Any]) -> None:
        """Everything that a handler yields, as fast as it is read."""
        wire, flush, made = self._carrier.wire, self._carrier.flush, 0
        async for reply in replies:
            if not self.started:  # not before: a call that fails at once is answered with trailers alone
                self.start()
            data = framed(reply.SerializeToString())
            if wire.send(self, data):
                flush()
                made += len(data) + EACH
                if made < BATCH:
                    continue
                await trio.lowlevel.checkpoint()
            else:
                await self.drain()
            made = 0

    async def drain(self) -> None:
        """Wait until all that was sent is out."""
        self._carrier.flush()
        if self._room is None:
            self._room = Parking()
        while self.pending:
            await self._room.wait()

    def drained(self) -> None:
        if self._room is not None:
            self._room.wake()

    def over(self) -> None:
        """Its handler has ended and nothing of the request is wanted."""
        if self.held:
            self._count(0)


def _unreadable(error: Unreadable) -> Status:
    return Status(StatusCode.RESOURCE_EXHAUSTED if isinstance(error, TooLong) else StatusCode.INTERNAL, str(error))
