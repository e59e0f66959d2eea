"""What the methods of `SyncArbiterClient` stand on: calls that block, and streams and lists as plain iterators."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import trio

from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_changes import Changes
from arbiter.rpc.client_errors import not_connected
from arbiter.rpc.client_link import CLOSED
from arbiter.rpc.sync_thread import TrioThread

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")
T = TypeVar("T")


class SyncChanges(Iterator[R], Generic[K, V, R]):
    """A stream; see `Changes`. Iterate over it from one thread at a time. Leaving the block that it came from ends it on the server."""

    def __init__(self, thread: TrioThread, changes: Changes[K, V, R]) -> None:
        self._thread = thread
        self._changes = changes

    @property
    def view(self) -> Mapping[K, V]:
        """How things are, after what was read last."""
        return self._changes.view

    @property
    def resumes(self) -> int:
        """How often the stream went on over a new connection."""
        return self._changes.resumes

    @property
    def connected(self) -> bool:
        """False while the stream waits for its server: the view may be out of date."""
        return self._changes.connected

    def __next__(self) -> R:
        try:
            return self._thread.call(self._changes.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    def wait(self, seconds: float) -> R | None:
        """The next change; None where none has come in time. Raises StopIteration at the end."""

        async def within() -> R | None:
            with trio.move_on_after(seconds):
                return await anext(self._changes)
            return None

        try:
            return self._thread.call(within)
        except StopAsyncIteration:
            raise StopIteration from None


class SyncPages(Iterator[T], Generic[T]):
    """A list that comes in pages."""

    def __init__(self, thread: TrioThread, pages: AsyncIterator[T]) -> None:
        self._thread = thread
        self._pages = pages

    def __next__(self) -> T:
        try:
            return self._thread.call(self._pages.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None


class SyncCalls:
    """Holds the trio client and the thread that it lives in."""

    def __init__(self, client: ArbiterClient) -> None:
        self._client = client
        self._thread: TrioThread | None = None

    def _running(self) -> TrioThread:
        if self._thread is None:
            raise not_connected(CLOSED)
        return self._thread

    def _run(self, call: Callable[[], Awaitable[T]]) -> T:
        return self._running().call(call)

    def _pages(self, pages: AsyncIterator[T]) -> Iterator[T]:
        return SyncPages(self._running(), pages)

    @contextmanager
    def _stream(self, make: Callable[[], Changes[K, V, R]]) -> Iterator[SyncChanges[K, V, R]]:
        async def opened() -> Changes[K, V, R]:
            changes = make()
            await changes.open()
            return changes

        thread = self._running()
        changes: Changes[Any, Any, R] = thread.call(opened)
        try:
            yield SyncChanges(thread, changes)
        finally:
            thread.soon(changes.leave)
