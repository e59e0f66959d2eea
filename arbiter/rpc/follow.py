"""A stream that follows a feed: each change is written into it while it is published, and no task waits for one.

What is to be told first is written at once. Where the reader gives no window, the feed holds what comes, the newest of each key,
and that is written by the connection's writer once there is room.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from arbiter.rpc import in_step
from arbiter.rpc.messages import framed
from arbiter.rpc.sending import Stream

BATCH = 7 * 1024
"""So much of one stream is written in one go; then others have their turn."""


class Feed(Protocol):
    """What is followed; see `feed.py` for what each means."""

    deliver: Callable[[Any], object]
    wake: Callable[[], object]

    @property
    def look_seconds(self) -> float: ...

    def next(self, change: Any, /) -> bytes | None: ...

    def hold(self, change: Any, /) -> None: ...

    def take(self) -> bytes | None: ...

    def join(self, stream: Stream, carrier: in_step.Carrier, /) -> bool: ...

    def fall_behind(self) -> None: ...

    def look_again(self) -> None: ...


class Follow:
    """Yielded by a handler as the last thing it has to say. Its blocks stay open for as long as the stream lives, and what they do
    at their end they do without waiting: nobody waits for it.
    """

    __slots__ = ("feed",)

    def __init__(self, feed: Feed) -> None:
        self.feed = feed


class Carrier(in_step.Carrier, Protocol):
    """The connection of the stream."""

    def soon(self) -> None:
        """See that what is in `wire.out` is sent with all that this turn brings."""

    def pump_soon(self, following: "Following", /) -> None:
        """See that `pump` is called soon, by nobody who publishes."""

    def follower_failed(self, stream: Any, error: Exception, /) -> None:
        """End the call by this."""


class Following:
    """One stream and its feed. `replies` is the handler, stopped where it yielded `Follow`."""

    __slots__ = ("_carrier", "_deliver", "_feed", "_look_at", "_stream", "due", "replies")

    def __init__(self, stream: Stream, carrier: Carrier, feed: Feed, replies: AsyncIterator[Any]) -> None:
        self.replies = replies
        self.due = False
        """`pump` will be called."""
        self._stream = stream
        self._carrier = carrier
        self._feed = feed
        self._look_at = 0.0
        self._deliver: Callable[[Any], None] | None = None
        feed.wake = self._wake

    def _make_deliver(self) -> Callable[[Any], None]:
        """What is called for each change and each reader: everything it needs is at hand."""
        stream, feed, wire = self._stream, self._feed, self._carrier.wire
        tell, soon = feed.next, self._carrier.soon_with_others

        def deliver(change: Any) -> None:
            message = tell(change)
            if message is not None:
                first = not wire.out  # else whoever wrote before has seen to it
                if not wire.send(stream, message):
                    feed.fall_behind()
                if first:
                    soon()

        return deliver

    def _wake(self) -> None:
        self._feed.fall_behind()  # something is to be taken before anything else may be told
        self._carrier.pump_soon(self)

    def pump(self) -> None:
        """Write what waits, as far as there is room; what comes when nothing waits any more is written at once."""
        self.due = False
        feed, stream, wire = self._feed, self._stream, self._carrier.wire
        if stream.ended_here:
            return  # the stream was over before its turn came
        feed.fall_behind()
        written = 0
        try:
            while not stream.pending:  # else there is no room, and `drained` tells when there is
                if written >= BATCH:
                    self._carrier.pump_soon(self)
                    break
                message = feed.take()
                if message is None:
                    if not feed.join(stream, self._carrier):
                        self._deliver = feed.deliver = self._deliver or self._make_deliver()
                    break
                data = framed(message)
                written += len(data)
                wire.send(stream, data)
        except Exception as error:  # noqa: BLE001 a fault of this feed ends this stream alone
            self._carrier.follower_failed(stream, error)
        self._carrier.soon()

    def look(self, now: float) -> None:
        """For feeds that must see to what no change tells: called now and then."""
        if self._feed.look_seconds <= now - self._look_at:
            self._look_at = now
            try:
                self._feed.look_again()
            except Exception as error:  # noqa: BLE001 as above
                self._carrier.follower_failed(self._stream, error)
