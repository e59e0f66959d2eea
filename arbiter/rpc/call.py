"""One call on the server: its stream, its scope, and what passes between its handler and its connection."""

import math
from collections.abc import AsyncIterator
from typing import Any, Protocol

import trio
from google.protobuf.message import DecodeError
from purerpc import RpcFailedError
from purerpc.grpclib.status import Status

from arbiter.errors import InvalidInput
from arbiter.rpc import answer_blocks
from arbiter.rpc.call_head import CallHead, Metadata
from arbiter.rpc.follow import BATCH, Follow, Following
from arbiter.rpc.incoming import OVER, Incoming
from arbiter.rpc.messages import LONGEST_MESSAGE, framed
from arbiter.rpc.parking import Parking
from arbiter.rpc.request import Request
from arbiter.rpc.sending import Sender, Stream

EACH = 128
"""What making a message counts beside its bytes."""

Ending = tuple[Status | None, Metadata]
"""What a call ends with; a status of None is OK."""


class Carrier(Protocol):
    """What a call needs of its connection."""

    @property
    def wire(self) -> Sender:
        """What it is sent by."""

    def flush(self) -> None:
        """See that what is in `out` is sent soon."""

    def soon(self) -> None:
        """The same, with all that is made in this turn."""

    def soon_with_others(self) -> None:
        """The same, where other connections have something to send too."""

    def pump_soon(self, following: Following) -> None:
        """See `follow.py`."""

    def follower_failed(self, call: "Call", error: Exception) -> None:
        """See `follow.py`."""

    def hold(self, cost: int) -> bool:
        """Count so much more as kept for handlers (less, where negative); whether it is within the limit."""

    def took(self, call: "Call", length: int) -> None:
        """Give the client window back."""


class Call(Stream):
    """One call. Its handler runs in `scope`, which a reset, the deadline, the connection's end and the server's all cancel."""

    __slots__ = (
        "_carrier",
        "_made",
        "_room",
        "deadline",
        "ended_by",
        "first",
        "following",
        "head",
        "incoming",
        "longest",
        "never_refused",
        "reply",
        "request",
        "scope",
        "size",
        "stalled",
        "started",
        "stranger",
        "waits",
    )

    def __init__(self, id_: int, send_window: int, ended: bool, head: CallHead, carrier: Carrier, peer: str) -> None:
        super().__init__(id_, send_window, ended)
        self.head = head
        self.request = Request(head, peer)
        self.scope: trio.CancelScope | None = None
        """Of its handler, while it runs."""
        self.deadline = math.inf
        self.ended_by: Ending | None = None
        """What the call ends with when its scope was cancelled, and neither by its client nor by its deadline."""
        self.started = False
        """The head of the answer is sent."""
        self.first: bytes | None = None
        """The message of a request that came whole, as nearly all do."""
        self.following: Following | None = None
        """What it follows, from the time that its handler does nothing else."""
        self.size = 0
        """Bytes of the last message of the request, unpacked."""
        self.stranger = False
        """Counted as a call of nobody that runs."""
        self.waits = False
        """Counted as one whose message has not come."""
        self.never_refused = False
        """No number of other calls may hold it up: it stops something."""
        self.longest = LONGEST_MESSAGE
        """Bytes of a message of the request."""
        self.reply: bytes | None = None
        """The one answer of a unary call, once there is one."""
        self.incoming: Incoming | None = None
        """The request where it did not."""
        self.stalled: tuple[float, int] | None = None
        """Since when a slow reader has been slow, and where it was then."""
        self._carrier = carrier
        self._made = 0
        """Bytes written since others had their turn."""
        self._room: Parking | None = None

    # -- the request --

    def feed(self, payload: bytes, ended: bool) -> None:
        """More of a request that does not come whole."""
        if self.trailer is not None:
            return  # it is answered, and only its client's window holds the end back
        incoming = self._receive() if self.incoming is None else self.incoming
        incoming.feed(payload, ended)

    def _receive(self) -> Incoming:
        carrier = self._carrier
        self.incoming = Incoming(self.head.encoding, carrier.hold, lambda length: carrier.took(self, length), self.longest)
        return self.incoming

    async def message(self) -> Any:
        """The next message; None after the last. Raises what the call ends with where it cannot be read."""
        data, self.first = self.first, None
        if data is None:
            incoming = self.incoming
            if incoming is None:
                if self.ended_here:
                    raise RpcFailedError(OVER)
                incoming = self._receive()
                incoming.ended = self.ended_there  # with its head, or with the one message of a stream
            data = await incoming.next()
        if data is None:
            return None
        self.size = len(data)
        assert self.head.method is not None
        kind = self.head.method.request_type
        try:
            return kind.FromString(data)
        except DecodeError:
            raise InvalidInput("request", f"its bytes are no {kind.DESCRIPTOR.full_name}") from None

    def messages(self) -> AsyncIterator[Any]:
        """All of a stream of requests."""
        return _Messages(self)

    # -- the answer --

    def head_block(self) -> bytes:
        """What comes before the first message."""
        initial = self.request.initial_metadata
        return answer_blocks.HEAD + answer_blocks.fields(initial) if initial else answer_blocks.HEAD

    def start(self) -> None:
        """Send the head of the answer."""
        self.started = True
        self._carrier.wire.headers(self, self.head_block())

    async def send_all(self, replies: AsyncIterator[Any]) -> None:
        """Everything that a handler yields, as fast as it is read, or until it follows a feed."""
        async for reply in replies:
            if not self.started:  # not before: a call that fails at once is answered with trailers alone
                self.start()
            if type(reply) is Follow:
                self.following = Following(self, self._carrier, reply.feed, replies)
                self.following.pump()
                return
            if not self.write(framed(reply.SerializeToString())) or self._made >= BATCH:
                await self.breathe()

    def write(self, message: bytes) -> bool:
        """Send a framed message, or keep it until there is room; whether there was."""
        self._carrier.soon()
        self._made += len(message) + EACH
        return self._carrier.wire.send(self, message)

    async def breathe(self) -> None:
        """Let others have their turn, and wait for room where there is none."""
        self._made = 0
        if not self.pending:  # also for a handler that goes on with a call that is over
            await trio.lowlevel.checkpoint()
        elif self._room is None:
            self._room = Parking()
        while self.pending:
            assert self._room is not None
            await self._room.wait()

    def drained(self) -> None:
        if self.following is not None:
            self._carrier.pump_soon(self.following)
        elif self._room is not None:
            self._room.wake()

    def over(self) -> None:
        """Nothing of the request is wanted any more."""
        self.first = None
        if self.incoming is not None:
            self.incoming.forget()


class _Messages(AsyncIterator[Any]):
    """No generator, so that a handler that ends half way through leaves nothing behind."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __anext__(self) -> Any:
        message = await self._call.message()
        if message is None:
            raise StopAsyncIteration
        return message
