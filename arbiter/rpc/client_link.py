"""One server, and one connection at a time to it: made again where it was lost, by whoever needs it first and for all who wait."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import trio

from arbiter.rpc.channel import Channel
from arbiter.rpc.client_errors import ArbiterClientError, NotConnected, not_connected

GREETING_SECONDS = 10.0
"""The longest that a server which took the connection may take to say that it is one."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 5.0
"""Seconds before a second try and before each later one, at most; half of it at least, at random, so that clients come apart."""
STEADY_SECONDS = 10.0
"""A connection that lived so long was a good one: the next try is a first one again."""
CLOSED = "the client is not connected; call connect() first"

Dial = Callable[[], AbstractAsyncContextManager[Channel]]


def backoff(failures: int, random: Random) -> float:
    """Seconds to wait after so many failures in a row, from 0."""
    longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures, 10))
    return float(longest * (1 - random.random() / 2))


class Link:
    """Made by `linked`. `again`: a lost connection is made anew; else what was lost is over."""

    def __init__(self, dial: Dial, nursery: trio.Nursery, random: Random, *, again: bool) -> None:
        self._dial = dial
        self._nursery = nursery
        self._random = random
        self._again = again
        self.closed = False
        self._channel: Channel | None = None
        self._problem = ""
        self._dialling = False
        self._changed = trio.Event()
        self._failures = 0
        self._opened_at = math.inf

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now, as far as is known."""
        return self._channel is not None and self._channel.usable and not self.closed

    async def first(self) -> None:
        """Try once to connect. Raises ArbiterClientError."""
        self._start(0.0)
        while self._dialling:
            await self._changed.wait()
        if self._channel is None:
            raise self._failed

    async def channel(self) -> Channel:
        """The connection, waited for without end while the server is away. Raises NotConnected where the client was closed."""
        while True:
            if self.closed:
                raise not_connected(CLOSED)
            channel = self._channel
            if channel is not None and (channel.usable or not self._again):
                return channel
            if not self._dialling:
                self._start(self._pause())
            await self._changed.wait()

    def problem(self) -> NotConnected:
        """Why there is no connection."""
        return not_connected(self._problem or "no connection to Arbiter in time")

    def close(self) -> None:
        """End the connection, with every call on it and all that wait for one."""
        self.closed = True
        self._nursery.cancel_scope.cancel()
        self._tell(None)

    def _pause(self) -> float:
        if trio.current_time() - self._opened_at >= STEADY_SECONDS:
            self._failures = 0
        self._opened_at = math.inf
        self._failures += 1
        return backoff(self._failures - 1, self._random)

    def _start(self, pause: float) -> None:
        self._dialling = True
        self._nursery.start_soon(self._carry, pause)

    async def _carry(self, pause: float) -> None:
        """One connection from its beginning to its end, or the failure to make one."""
        await trio.sleep(pause)
        told = False
        try:
            async with self._dial() as channel:
                refused: ArbiterClientError | None = not_connected("what answers there says nothing; is it an Arbiter?")
                with trio.move_on_after(GREETING_SECONDS):
                    refused = await channel.refused()
                if refused is None:
                    told, self._opened_at = True, trio.current_time()
                    self._tell(channel)
                    await channel.over()
        except ArbiterClientError as error:
            refused = error
        if refused is not None and not told:
            self._problem, self._failed = str(refused), refused
            refused.begun = False
            self._tell(None)

    _failed: ArbiterClientError = NotConnected("no connection was tried")

    def _tell(self, channel: Channel | None) -> None:
        self._channel, self._dialling = channel, False
        changed, self._changed = self._changed, trio.Event()
        changed.set()


@asynccontextmanager
async def linked(dial: Dial, random: Random, *, again: bool) -> AsyncIterator[Link]:
    """A link for the length of the block. Its first connection is still to be made: see `first`."""
    async with trio.open_nursery() as nursery:
        link = Link(dial, nursery, random, again=again)
        try:
            yield link
        finally:
            link.close()
