"""A stream as its reader sees it: typed changes, a view of how things are now, and no end while the server can be found again.

A connection that is lost is made again, and the stream goes on from the last cursor that was read. What happened meanwhile is told,
or, where the server does not know it any more, a new snapshot is. `connected` says whether news can come right now.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import trio

from arbiter.rpc.channel import Channel
from arbiter.rpc.client_call import ClientCall
from arbiter.rpc.client_calls import Calls
from arbiter.rpc.client_errors import ArbiterClientError, AuthenticationError, NotConnected, RateLimitError, UnavailableError
from arbiter.v1 import market_pb2

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")
C = TypeVar("C", bound="Changes[Any, Any, Any]")

LINGER_SECONDS = 60.0
"""So long may a server count a stream whose connection was lost: until then a resumed one that is one too many is asked for again."""


class Changes(ABC, AsyncIterator[R], Generic[K, V, R]):
    """Iterate over it, from one task at a time. Leaving the block that it came from ends it on the server.

    Raises, from the iteration, what another connection cannot make good: AuthenticationError where the sign-in has ended and cannot
    be renewed, RateLimitError (too many streams, or a reader that took nothing for 30 s), NotConnected once the client is closed, and
    what each method names. Until the first change has come, a server that is away is waited for as long as a call is.
    Iterating again after an error asks again, from where it was.
    """

    def __init__(self, calls: Calls, path: str, reply: Any) -> None:
        self.view: dict[K, V] = {}
        """How things are, after what was read last. Only to be read; it is empty until the first snapshot has come."""
        self.resumes = 0
        """How often the stream went on over a new connection."""
        self._calls = calls
        self._path = f"arbiter.v1.{path}"
        self._reply = reply
        self._link = calls.linked()
        self._cursor = market_pb2.Cursor()
        self._told: deque[R] = deque()
        self._running: tuple[Channel, ClientCall] | None = None
        self._token = ""
        self._over = False
        self._heard = False
        """Something has come."""
        self._heard_now = False
        """Something has come over this connection."""
        self._renewed = False
        self._failures = 0
        self._lost_at = trio.current_time()

    @property
    def connected(self) -> bool:
        """False while the stream waits for its server: the view may be out of date."""
        return self._running is not None and self._link.connected

    # -- what each kind of stream says itself --

    @abstractmethod
    def _request(self, resume_after: market_pb2.Cursor | None) -> Any:
        """The question. None: it was never asked before."""

    @abstractmethod
    def _apply(self, message: Any, resumed: bool) -> None:
        """Bring the view up to date, and put what the reader is told into `_told`. `resumed`: the first over a new connection."""

    # -- its life --

    async def open(self) -> None:
        """Ask. Raises ArbiterClientError."""
        try:
            await self._ask()
        except NotConnected:
            if not self._calls.persistent or self._link.closed:
                raise

    def leave(self) -> None:
        """End it, on the server too."""
        self._over = True
        self._leave()

    async def __anext__(self) -> R:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._told:
            message = None if self._over else await self._receive()
            if message is None:
                self._over = True
                raise StopAsyncIteration
            self._cursor = message.cursor
            resumed = self._heard and not self._heard_now
            self.resumes += resumed
            self._heard = self._heard_now = True
            self._renewed, self._failures = False, 0
            self._apply(message, resumed)
        return self._told.popleft()

    async def _receive(self) -> Any:
        """The next message, over as many connections as it takes; None where the server says that there are no more."""
        while True:
            try:
                if self._running is None:
                    await self._ask()
                assert self._running is not None
                return await self._running[1].receive(self._reply)
            except ArbiterClientError as error:
                self._leave()
                heard, self._heard_now = self._heard_now, False
                if heard:
                    self._lost_at = trio.current_time()
                await self._survive(error, heard)

    async def _ask(self) -> None:
        deadline = math.inf if self._heard else self._lost_at + self._calls.seconds
        self._token = await self._calls.token(deadline)
        channel = await self._calls.channel(deadline)
        request = self._request(self._cursor if self._heard else None)
        self._running = channel, await channel.begin(self._path, request, self._calls.metadata(self._token))

    def _leave(self) -> None:
        if self._running is not None:
            channel, call = self._running
            self._running = None
            channel.leave(call)

    # -- what it lives through --

    async def _survive(self, error: ArbiterClientError, heard: bool) -> None:
        """Return once it may be asked for again. Raises what ends it. `heard`: something came over the connection that failed."""
        if not self._calls.persistent or self._link.closed or self._calls.code:
            self._over = True
            raise error
        if isinstance(error, AuthenticationError):
            if self._renewed or not await self._renew(error):
                raise error
            return
        wait = self._wait(error, heard)
        if wait is None:
            raise error
        if self._failures or wait:  # the first time at once: a lost connection has its own pause
            await trio.sleep(max(wait, self._calls.pause(self._failures)))
        self._failures += 1

    async def _renew(self, refused: AuthenticationError) -> bool:
        """Once for each time that the server refuses a token. Waits while the server cannot be asked."""
        try:
            self._renewed = await self._calls.renew(self._token)
        except UnavailableError as error:
            if self._wait(error, False) is None:
                raise refused from error
            await trio.sleep(self._calls.pause(self._failures))
            self._failures += 1
            return True
        return self._renewed

    def _wait(self, error: ArbiterClientError, heard: bool) -> float | None:
        """Seconds to wait at least before it is asked for again; None: it must not be."""
        lost_for = trio.current_time() - self._lost_at
        if isinstance(error, RateLimitError):
            counted = self._heard and not heard and lost_for < LINGER_SECONDS
            return error.retry_after_ms / 1000 if counted else None
        if not isinstance(error, (NotConnected, UnavailableError)):
            return None
        if not self._heard and lost_for >= self._calls.seconds:
            return None
        after = error.retry_after_ms if isinstance(error, UnavailableError) else None
        return (after or 0) / 1000


@asynccontextmanager
async def following(changes: C) -> AsyncIterator[C]:
    """The stream for the length of the block."""
    await changes.open()
    try:
        yield changes
    finally:
        changes.leave()
