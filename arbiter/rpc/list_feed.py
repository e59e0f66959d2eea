"""The feed whose messages hold entries: positions, orders, books. Its reader's view is the last entry of each key."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from arbiter.rpc.change import NOTHING, Change
from arbiter.rpc.encoded import int_field, tag, varint
from arbiter.rpc.feed import Feed, Source, Waiting
from arbiter.runtime import Kept

K = TypeVar("K", bound=Hashable)
E = TypeVar("E")

MOST_WAITING = 10_000
"""So many keys may wait for a slow reader; beyond that it gets a fresh snapshot instead."""
LARGEST_PART = 500
"""A snapshot of more entries than this comes in several messages, so that each stays well under a client's 4 MiB."""


class ListFeed(Feed[K, E]):
    """For messages with `snapshot` (1), the entries (2), `sequence` (3), `at_unix_ms` (4), `conflated` (5), `cursor` (6) and `more` (7).

    The first message comes at once: all there is, or all that changed since the cursor, in several where it is much.
    """

    CURSOR = 6
    _SNAPSHOT, _MORE = int_field(1, 1), int_field(7, 1)
    _NUMBER, _AT, _CONFLATED = tag(3), tag(4), tag(5)

    def __init__(self, source: Source[K, E], now_ms: Callable[[], int], groups: Iterable[Hashable] = (None,)) -> None:
        super().__init__(source, groups)
        self._now_ms = now_ms
        self._afresh = False
        self._first = b""
        """What the next part begins with."""
        self._left = 0
        """So many of those that wait belong to the snapshot, or to what was missed."""
        self._most = MOST_WAITING
        self._parts_due = False

    def _begin(self, *, asked: bool) -> None:
        self._fill(self._source.kept(self._groups), self._SNAPSHOT)

    def _resume(self, missed: list[Kept[K, E]], sequence: int) -> None:
        self._fill(missed, b"")

    def _fill(self, kept: list[Kept[K, E]], first: bytes) -> None:
        self._afresh = False
        self._epoch = self._source.epoch ^ self._mask
        self._waiting = {each.key: Waiting(self._epoch, each.sequence, self._source.change(each)) for each in kept}
        self._left = len(kept)
        self._most = max(MOST_WAITING, 2 * len(kept))
        self._first, self._parts_due = first, True

    def start_over(self) -> None:
        self._conflated += len(self._waiting)
        self._waiting.clear()
        self._left = 0
        self._afresh = True
        self.wake()

    @property
    def waiting(self) -> bool:
        return bool(self._waiting) or self._afresh or self._parts_due

    def next(self, change: Change[K, E]) -> bytes | None:
        self._told += 1
        return change.framed(NOTHING, self._NUMBER, self._told, self.CURSOR, self._epoch)

    def hold(self, change: Change[K, E]) -> None:
        if self._afresh:
            self._conflated += 1
        elif len(self._waiting) >= self._most and change.key not in self._waiting:
            self.start_over()
        else:
            self._put(change)

    def _take(self) -> bytes | None:
        if self._afresh:
            self._begin(asked=True)
        if self._parts_due:
            return self._take_part()
        if not self._waiting:
            return None
        return self._message(self._pop().body)

    def _take_part(self) -> bytes:
        """The next part of what comes first, which may be empty."""
        count = min(self._left, LARGEST_PART)
        self._left -= count
        entries = b"".join([self._pop().body for _ in range(count)])
        self._parts_due = bool(self._left)
        first, self._first = self._first, b""
        return self._message(entries, first + self._AT + varint(self._now_ms()) + (self._MORE if self._parts_due else b""))

    def _message(self, body: bytes, more: bytes = b"") -> bytes:
        self._told += 1
        conflated = self._take_conflated()
        tail = self._CONFLATED + varint(conflated) if conflated else b""
        return b"".join((body, more, self._NUMBER, varint(self._told), tail, self._cursor()))
