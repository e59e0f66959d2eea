"""A stream that follows a feed: each change is written into it while it is published, without a turn of its own task.

The task writes what is to be told first, then waits. Where the reader gives no window, the feed holds what comes, the newest of
each key, and the task writes that once there is room.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import trio

from arbiter.rpc.messages import framed
from arbiter.rpc.sending import Sender, Stream


class Feed(Protocol):
    """What is followed; see `feed.py` for what each means."""

    deliver: Callable[[Any], object]
    wake: Callable[[], object]

    @property
    def look_seconds(self) -> float: ...

    def next(self, change: Any, /) -> bytes | None: ...

    def hold(self, change: Any, /) -> None: ...

    def take(self) -> bytes | None: ...

    def look_again(self) -> None: ...


class Follow:
    """Yielded by a handler as the last thing it has to say; the feed is open for as long as the handler's block."""

    __slots__ = ("feed",)

    def __init__(self, feed: Feed) -> None:
        self.feed = feed


class Carrier(Protocol):
    """The connection of the stream."""

    @property
    def wire(self) -> Sender: ...

    def soon(self) -> None:
        """See that what is in `wire.out` is sent with all that this turn brings."""


class Reader(Protocol):
    """The stream's call."""

    def write(self, message: bytes, /) -> bool:
        """Send a framed message, or keep it until there is room; whether there was."""

    async def breathe(self) -> None:
        """Let others have their turn when much was written, and wait for room where there is none."""

    async def woken(self) -> None:
        """Wait until `wake`, or until there is room again."""

    def wake(self) -> object:
        """See `woken`."""


async def follow(reader: Reader, stream: Stream, carrier: Carrier, feed: Feed) -> None:
    """Until cancelled. `stream` is the reader's own."""
    wire, tell, soon = carrier.wire, feed.next, carrier.soon

    def deliver(change: Any) -> None:
        message = tell(change)
        if message is not None:
            first = not wire.out  # else whoever wrote before has seen to it
            if not wire.send(stream, message):
                feed.deliver = feed.hold
            if first:
                soon()

    def wake() -> None:
        feed.deliver = feed.hold  # something is to be taken before anything else may be told
        reader.wake()

    look_at = -math.inf
    feed.wake = wake
    while True:
        feed.deliver = feed.hold
        await reader.breathe()
        if trio.current_time() >= look_at:
            look_at = trio.current_time() + feed.look_seconds
            feed.look_again()
        while (message := feed.take()) is not None:
            reader.write(framed(message))
            await reader.breathe()
        feed.deliver = deliver
        if look_at == math.inf:
            await reader.woken()
        else:
            with trio.move_on_at(look_at):
                await reader.woken()
