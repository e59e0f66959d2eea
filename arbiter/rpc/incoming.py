"""The request of one call that did not come whole in one frame, or is a stream of messages."""

from collections import deque
from collections.abc import Callable

from purerpc import RpcFailedError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.messages import MessageReader, TooLong, Unreadable, unpacked
from arbiter.rpc.parking import Parking
from arbiter.rpc.status import MESSAGE_TOO_LONG, own_status

HOLD = 256 * 1024
"""Bytes that wait for the handler: above it the client gets no window back."""
EACH = 128
"""What keeping a message costs beside its bytes."""
OVER = Status(StatusCode.CANCELLED, "the call is over")
TOO_MUCH = own_status(
    StatusCode.RESOURCE_EXHAUSTED, "too much of unfinished requests waits; send less at once", "TOO_MUCH_UNFINISHED", 1_000
)


class Incoming:
    """Between the connection, which feeds it, and the handler, which takes message after message.

    `hold` counts what is kept and says whether it is within the limit, `took` gives window back. Messages have at most `longest` bytes.
    """

    __slots__ = ("_encoding", "_hold", "_inbox", "_news", "_queued", "_reader", "_took", "_unreturned", "ended", "failure", "held")

    def __init__(self, encoding: bytes, hold: Callable[[int], bool], took: Callable[[int], None], longest: int) -> None:
        self.ended = False
        """No more comes."""
        self.failure: Status | None = None
        """Nothing more can be read, for this reason."""
        self.held = 0
        """What is kept, as counted by `hold`."""
        self._encoding = encoding
        self._hold = hold
        self._took = took
        self._reader = MessageReader(longest)
        self._inbox: deque[tuple[int, bytes]] = deque()
        self._queued = 0
        self._unreturned = 0
        self._news = Parking()

    def feed(self, payload: bytes, ended: bool) -> None:
        """More of the request."""
        if self.failure is not None:
            return
        try:
            messages = self._reader.feed(payload)
        except TooLong as error:
            self.fail(own_status(StatusCode.RESOURCE_EXHAUSTED, str(error), MESSAGE_TOO_LONG))
            return
        self._inbox.extend(messages)
        self._queued += sum(len(message) + EACH for _, message in messages)
        if not self._count(self._reader.held + self._queued):
            self.fail(TOO_MUCH)
            return
        self._unreturned += len(payload)
        self._give_back()
        self.ended = self.ended or ended
        if ended and self._reader.held:
            self.fail(own_status(StatusCode.INTERNAL, "the request ends within a message", "BAD_MESSAGE"))
        elif messages or ended:
            self._news.wake()

    def fail(self, status: Status) -> None:
        """Nothing more can be read."""
        self.failure = status
        self.forget()

    def forget(self) -> None:
        """Nothing of it is wanted any more; a handler that still runs must not take what it has for all of it."""
        if self.failure is None:
            self.failure = OVER
        self._news.wake()
        self._inbox.clear()
        self._queued = 0
        self._count(0)

    def _count(self, held: int) -> bool:
        more, self.held = held - self.held, held
        return self._hold(more)

    def _give_back(self) -> None:
        """Return window while the handler keeps up. A message that is not complete always may go on: its length is bounded."""
        if self._unreturned and self._queued <= HOLD:
            unreturned, self._unreturned = self._unreturned, 0
            self._took(unreturned)

    async def next(self) -> bytes | None:
        """The next message; None after the last. Raises RpcFailedError with what the call ends with where it cannot be read."""
        while not self._inbox:
            if self.failure is not None:
                raise RpcFailedError(self.failure)
            if self.ended:
                return None
            await self._news.wait()
        flag, packed = self._inbox.popleft()
        self._queued -= len(packed) + EACH
        self._count(self.held - len(packed) - EACH)
        self._give_back()
        try:
            return unpacked(flag, packed, self._encoding)
        except TooLong as error:
            raise RpcFailedError(own_status(StatusCode.RESOURCE_EXHAUSTED, str(error), MESSAGE_TOO_LONG)) from None
        except Unreadable as error:
            raise RpcFailedError(own_status(StatusCode.INTERNAL, str(error), "BAD_MESSAGE")) from None
