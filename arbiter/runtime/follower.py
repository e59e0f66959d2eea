"""Where a topic ends at an actor's mailbox: what finds no room there is late and not lost."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from arbiter.errors import NotRunning
from arbiter.runtime.correlation import correlation
from arbiter.runtime.mailbox import Mailbox
from arbiter.runtime.reply import Origin

K = TypeVar("K")
E = TypeVar("E")


class Follower(Origin, Generic[K, E]):
    """Hands a topic's events to one mailbox and never waits.

    What the mailbox has no room for stands beside it, the newest of each key, and goes in as soon as there is room: a follower
    that was slow may miss what was replaced meanwhile, but never how it ended.
    """

    __slots__ = ("_late", "_mailbox", "_start_task")

    def __init__(self, mailbox: Mailbox, start_task: Callable[[Callable[[], Awaitable[object]]], None]) -> None:
        super().__init__()
        self._mailbox = mailbox
        self._start_task = start_task
        self._late: dict[K, tuple[E, str]] | None = None
        """With the correlation id of who published. None while nothing is late, which is nearly always."""

    def offer(self, key: K, event: E) -> None:
        """Take an event without waiting; those of one key stay in order."""
        late = self._late
        if late is None:
            if self._mailbox.offer(event, self):
                return
            late = self._late = {}
            self._start_task(self._catch_up)
        elif key not in late and self._mailbox.offer(event, self):
            return
        late[key] = (event, correlation.get())

    def close(self) -> None:
        """Forget what is late, and what waits in the mailbox."""
        self.over = True
        if self._late is not None:
            self._late.clear()

    async def _catch_up(self) -> Any:
        while self._late:
            key, newest = next(iter(self._late.items()))
            event, cause = newest
            correlation.set(cause)
            try:
                await self._mailbox.put(event, self)
            except NotRunning:  # the tree ends
                return
            if self._late.get(key) is newest:  # else a newer one came while this one waited for room
                del self._late[key]
        self._late = None
