"""Cursors: what must not be lost is written to a log in a store and read from there, each entry in its place.

A message says at most that there may be something new. Whoever must see everything reads the log by a cursor: a position, behind
which everything was handled. It moves after a batch was handled, never before, so that a crash at any point leaves no gap.

Where the position is kept decides what a crash repeats:

- in memory, from 0, beside a state in memory that is folded from the log: position and state are lost together; nothing is repeated.
- by the handler, in the transaction that keeps what it made of the batch (`together=True`): nothing is repeated.
- by the cursor, after the batch was handled: a crash in between hands out that one batch again. For handlers that may act twice
  (or that know an entry by its number) and whose effect is in no transaction, as a message to a chat.
"""

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import trio

from arbiter.errors import StoreError

BATCH = 1000
"""Entries read and handled together: bounds the memory of a reader that is far behind."""
STORE_SECONDS = 10.0
"""A read of one batch takes milliseconds; a store that is silent for that long counts as failed."""


class Numbered(Protocol):
    """An entry of a log."""

    @property
    def sequence(self) -> int:
        """Its place, from 1. Places ascend in the order in which entries became durable, and are never used again."""


E = TypeVar("E", bound=Numbered)
E_co = TypeVar("E_co", bound=Numbered, covariant=True)


class Log(Protocol[E_co]):
    """What was written, in order, and stays."""

    async def read_after(self, position: int, limit: int) -> Sequence[E_co]:
        """The next durable entries beyond `position`, in order, at most `limit`; fewer only where there are no more. Raises StoreError."""


class Bookmarks(Protocol):
    """Where the positions of readers are kept durably, each under the reader's name."""

    async def bookmark(self, reader: str) -> int:
        """The position kept last; 0 where there is none. Raises StoreError."""

    async def set_bookmark(self, reader: str, position: int) -> None:
        """Durable when it returns. Raises StoreError."""


def _is_count(number: object, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def _is_time(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < math.inf


class Cursor(Generic[E]):
    """One reader's place in a log. Any number of tasks may read on by it; they take turns, and no entry is handled twice.

    Made at a position, or by `at_bookmark`. One that failed while a batch was being handled is of no more use, since nobody
    knows how much of it was: the reader should crash, and its next incarnation makes a new one.
    """

    def __init__(self, log: Log[E], position: int = 0, *, batch: int = BATCH, seconds: float = STORE_SECONDS) -> None:
        if not _is_count(position, 0) or not _is_count(batch, 1) or not _is_time(seconds):
            raise ValueError(f"a cursor at {position!r} that reads {batch!r} entries within {seconds!r} s makes no sense")
        self.position = position
        """Everything up to here was handled."""
        self._log = log
        self._batch = batch
        self._seconds = seconds
        self._keep: Callable[[int], Awaitable[None]] | None = None
        self._turn = trio.Lock()
        self._in_hand = False
        self._hinted = trio.Event()

    @classmethod
    async def at_bookmark(
        cls, log: Log[E], bookmarks: Bookmarks, reader: str, *, together: bool = False, batch: int = BATCH, seconds: float = STORE_SECONDS
    ) -> "Cursor[E]":
        """Where this reader left off; its position is kept under its name. Raises StoreError.

        With `together`, the handler keeps the position itself (the last entry's number), in its own transaction.
        """
        cursor = cls(log, batch=batch, seconds=seconds)
        with cursor._deadline(f"the position of {reader} could not be read"):
            cursor.position = await bookmarks.bookmark(reader)

        async def keep(position: int) -> None:
            with cursor._deadline(f"the position of {reader} could not be kept"):
                await bookmarks.set_bookmark(reader, position)

        cursor._keep = None if together else keep
        return cursor

    async def read_on(self, handle: Callable[[Sequence[E]], Awaitable[object]]) -> None:
        """Let everything beyond the position be handled, batch by batch, in order, and return when there is no more.

        Raises StoreError when the log cannot be read in time: then nothing was handed out that was not handled, and one may
        try again. Raises what `handle` raises, and RuntimeError from then on. `handle` may not read on by this cursor.
        """
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            await self._turn.acquire()
        try:
            while True:
                if self._in_hand:
                    raise RuntimeError(f"the batch after {self.position} was left half handled: make a new cursor")
                with self._deadline(f"the log could not be read on from {self.position}"):
                    batch = await self._log.read_after(self.position, self._batch)
                if batch:
                    await self._let_handle(batch, handle)
                if len(batch) < self._batch:
                    return
        finally:
            self._turn.release()

    async def _let_handle(self, batch: Sequence[E], handle: Callable[[Sequence[E]], Awaitable[object]]) -> None:
        last = self.position
        for entry in batch:
            if entry.sequence <= last:
                raise RuntimeError(f"a log that goes from {last} to {entry.sequence} is in no order")
            last = entry.sequence
        self._in_hand = True
        await handle(batch)
        if self._keep is not None:
            await self._keep(last)
        self.position = last
        self._in_hand = False

    def hint(self) -> None:
        """There may be something new. Never waits; one that is lost costs time and nothing else."""
        self._hinted.set()

    async def follow(self, handle: Callable[[Sequence[E]], Awaitable[object]], *, every: float) -> None:
        """Read on for ever: at each hint, and every so many seconds without one. Raises what `read_on` raises, ValueError."""
        if not _is_time(every):
            raise ValueError(f"to follow a log every {every!r} s makes no sense")
        while True:
            self._hinted = trio.Event()  # before the read: a hint during it is worth another one
            await self.read_on(handle)
            with trio.move_on_after(every):
                await self._hinted.wait()

    @contextmanager
    def _deadline(self, problem: str) -> Iterator[None]:
        with trio.move_on_after(self._seconds) as scope:
            yield
        if scope.cancelled_caught:
            raise StoreError(f"{problem}: the store did not answer within {self._seconds:g} s")
