"""One server, and one connection at a time to it: made again where it was lost, by whoever needs it first and for all who wait.

It lives in a system task of trio, not in the task that opened it, so that any task may open and close it, in any order with the
blocks around them. That task ends with `close`, or with the run.
"""

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
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
    """`again`: a lost connection is made anew; else what was lost is over."""

    def __init__(self, dial: Dial, random: Random, *, again: bool) -> None:
        self._dial = dial
        self._random = random
        self._again = again
        self.closed = False
        self._why = CLOSED
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()
        self._channel: Channel | None = None
        self._problem = ""
        self._failed: ArbiterClientError = not_connected("no connection was tried")
        self._dialling = False
        self._changed = trio.Event()
        self._failures = 0
        self._opened_at = math.inf

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now, as far as is known."""
        return self._channel is not None and self._channel.usable and not self.closed

    async def open(self) -> None:
        """Try once to connect. Raises ArbiterClientError; then there is nothing to close."""
        self._dialling = True
        trio.lowlevel.spawn_system_task(self._live, name="arbiter client")
        try:
            while self._dialling:
                await self._changed.wait()
            if self._channel is None:
                raise self._failed
        except BaseException:
            await self.close()
            raise

    async def channel(self) -> Channel:
        """The connection, waited for without end while the server is away. Raises NotConnected where the client was closed."""
        while True:
            if self.closed:
                raise not_connected(self._why)
            channel = self._channel
            if channel is not None and (channel.usable or not self._again):
                return channel
            if not self._dialling:
                self._start(self._pause())
            await self._changed.wait()

    def problem(self) -> NotConnected:
        """Why there is no connection."""
        return not_connected(self._problem or "no connection to Arbiter in time")

    async def close(self) -> None:
        """End the connection, with every call on it and all that wait for one: at once, also where the wait for it is cancelled."""
        self.closed = True
        self._scope.cancel()
        self._tell(None)
        await self._ended.wait()

    async def _live(self) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    self._nursery.start_soon(self._carry, 0.0)
                    await trio.sleep_forever()
        except Exception as error:  # noqa: BLE001 a system task that fails would take the whole program down
            self._why = f"the connection to Arbiter failed by a bug of its client: {error!r}"
        finally:
            self.closed = True
            self._tell(None)
            self._ended.set()

    def _pause(self) -> float:
        if trio.current_time() - self._opened_at >= STEADY_SECONDS:
            self._failures = 0
        self._opened_at = math.inf
        self._failures += 1
        return backoff(self._failures - 1, self._random)

    def _start(self, pause: float) -> None:
        assert self._nursery is not None
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

    def _tell(self, channel: Channel | None) -> None:
        self._channel, self._dialling = channel, False
        changed, self._changed = self._changed, trio.Event()
        changed.set()
