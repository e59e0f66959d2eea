"""Every stream of the API is a feed: what one reader is told of a topic, from its snapshot or where it left off.

A `Source` stands between one topic and its streams: it makes a `Change` (`change.py`) of each event, whose body is encoded once for
all of them, and hands it to those that it concerns. A `Feed` is one reader's end: what to tell it first, then what to tell of each
change. It keeps no more than the newest change of each key for a reader that is slow.

`list_feed.py`, `book_feed.py` and `opportunity_feed.py` are the kinds of feeds.

The cursor in each message says: this reader has been told everything up to here. While changes wait, that is up to the first of
them and not up to the message's own, so that whoever breaks off anywhere, and comes back with the last cursor that it saw,
misses nothing. It may be told again what it knows.

Whoever writes the stream (`follow.py`) sets `deliver` (called at each change, while it is published: never waits, never raises) and
`wake`: it writes what `next` gives as long as it can, and otherwise calls `hold` and, once there is room again, `take` until that gives
None. `take` first too. Then `join` lets the feed write by itself, with others that are told the same (`in_step.py`), until `fall_behind`.
"""

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from contextlib import ExitStack
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

from arbiter.rpc.change import Change, Cursor
from arbiter.rpc.encoded import bytes_field
from arbiter.rpc.in_step import Carrier
from arbiter.rpc.sending import Stream
from arbiter.runtime import Kept, Topic

K = TypeVar("K", bound=Hashable)
E = TypeVar("E")
F = TypeVar("F", bound="Feed[Any, Any]")


class Company(Protocol[K, E]):
    """Feeds that are told together."""

    @property
    def members(self) -> "Iterable[Feed[K, E]]": ...

    def tell(self, change: Change[K, E], /) -> None:
        """All of them. Never raises."""


class Source(Generic[K, E]):
    """One topic for any number of feeds: subscribed while there is one, each event encoded once.

    `group_of` says whom an event concerns (a feed names its groups); None: everybody. `by_key`: a group is a key.
    `run` is of this run of the program alone, so that no cursor of another one fits.
    """

    def __init__(
        self,
        topic: Topic[K, E],
        encode: Callable[[Change[K, E]], bytes],
        *,
        run: int,
        group_of: Callable[[E], Hashable] | None = None,
        by_key: bool = False,
        measure: Callable[[E], int] = lambda _: 0,
    ) -> None:
        self.topic = topic
        self._encode = encode
        self._run = run
        self._group_of = group_of
        self._by_key = by_key
        self._measure = measure
        self._feeds: dict[Hashable, dict[Feed[K, E], None]] = {}
        """Of each group those that are told by themselves."""
        self.in_step: dict[Hashable, Company[K, E]] = {}
        """Feeds of everybody's group that are told together, by what they have in common."""
        self._changes: dict[K, Change[K, E]] = {}
        """Of keys that were told: their encoding serves the next snapshot too."""
        self._subscription = ExitStack()
        self.feeds = 0

    @property
    def epoch(self) -> int:
        return self._run + self.topic.epoch

    def kept(self, groups: Iterable[Hashable]) -> list[Kept[K, E]]:
        """The newest event of each key of these groups."""
        return self._of(groups, self.topic.kept(groups if self._by_key else None))  # type: ignore[arg-type]  # a group is a key

    def since(self, groups: Iterable[Hashable], sequence: int) -> list[Kept[K, E]] | None:
        """See `Topic.since`."""
        missed = self.topic.since(sequence, groups if self._by_key else None)  # type: ignore[arg-type]  # a group is a key
        return None if missed is None else self._of(groups, missed)

    def _of(self, groups: Iterable[Hashable], kept: list[Kept[K, E]]) -> list[Kept[K, E]]:
        if self._by_key or self._group_of is None:
            return kept
        wanted = frozenset(groups)
        return [each for each in kept if self._group_of(each.event) in wanted]

    def change(self, kept: Kept[K, E]) -> Change[K, E]:
        """The change that this event was, encoded once."""
        known = self._changes.get(kept.key)
        if known is None or known.event is not kept.event:
            known = self.new_change(*kept)
            if self.topic.get(kept.key) is kept.event:
                self._changes[kept.key] = known
        return known

    def new_change(self, key: K, event: E, sequence: int) -> Change[K, E]:
        return Change(key, event, sequence, self._encode, self._measure(event))

    def attach(self, feed: "Feed[K, E]", groups: tuple[Hashable, ...]) -> None:
        """From now on `feed.deliver` is called for each change of these groups."""
        if not self.feeds:
            self._subscription.enter_context(self.topic.follow_on(self._tell, self._start_over))
        self.feeds += 1
        self.alone(feed, groups)

    def alone(self, feed: "Feed[K, E]", groups: tuple[Hashable, ...]) -> None:
        """It is in no company (any more): `feed.deliver` is called."""
        for group in groups:
            self._feeds.setdefault(group, {})[feed] = None

    def not_alone(self, feed: "Feed[K, E]", groups: tuple[Hashable, ...]) -> None:
        """It is in one of `in_step`."""
        for group in groups:
            feeds = self._feeds[group]
            del feeds[feed]
            if not feeds:
                del self._feeds[group]

    def detach(self, feed: "Feed[K, E]", groups: tuple[Hashable, ...]) -> None:
        """No longer; it is alone."""
        self.not_alone(feed, groups)
        self.feeds -= 1
        if not self.feeds:
            self._subscription.close()
            self._changes.clear()

    def _tell(self, key: K, event: E) -> None:
        group = key if self._by_key else None if self._group_of is None else self._group_of(event)
        feeds, companies = tuple(self._feeds.get(group, ())), tuple(self.in_step.values())  # now: who falls behind changes over
        if not feeds and not companies:
            self._changes.pop(key, None)
            return
        change = self.new_change(key, event, self.topic.sequence)
        if self.topic.get(key) is event:
            self._changes[key] = change
        else:
            self._changes.pop(key, None)
        for company in companies:
            company.tell(change)
        for feed in feeds:
            try:
                feed.deliver(change)
            except Exception as error:  # noqa: BLE001 this reader's, whose call ends with it; the others go on
                feed.fail(error)

    def _start_over(self) -> None:
        self._changes.clear()
        for company in tuple(self.in_step.values()):
            for feed in company.members:
                feed.fall_behind()
        for feeds in tuple(self._feeds.values()):
            for feed in tuple(feeds):
                feed.start_over()


class Waiting(NamedTuple, Generic[K, E]):
    """The newest change of a key that a reader has not been told, and of which epoch and sequence the first such one was."""

    epoch: int
    first: int
    change: Change[K, E]


class Feed(ABC, Generic[K, E]):
    """One reader. `opened` gives it; see the module for the two ways to drive it."""

    CURSOR: ClassVar[int]
    """The number of the field `cursor` in this stream's messages."""
    look_seconds = math.inf
    """How often to call `look_again`."""

    def __init__(self, source: Source[K, E], groups: Iterable[Hashable] = (None,)) -> None:
        self._source = source
        self._groups = tuple(groups)
        self._waiting: dict[K, Waiting[K, E]] = {}
        self._conflated = 0
        self._told = 0
        self._mask = 0
        self._epoch = 0
        self._failure: Exception | None = None
        self.deliver: Callable[[Change[K, E]], object] = self.hold
        self.wake: Callable[[], object] = _nothing

    def opened(self, question: str, resume_after: Cursor | None) -> "_Opened[Self]":
        """Ready to be driven, for the length of the block: from after that cursor, where it fits and the topic still knows, else
        from a snapshot. `question` stands for the stream and what it was asked: a cursor of another question does not fit.
        """
        return _Opened(self, question, resume_after)

    def open(self, question: str, resume_after: Cursor | None) -> None:
        """See `opened`."""
        self._mask = zlib.crc32(question.encode()) << 16
        self._epoch = self._source.epoch ^ self._mask
        missed = None
        if resume_after is not None and resume_after.epoch == self._epoch:
            missed = self._source.since(self._groups, resume_after.sequence)
        self._source.attach(self, self._groups)
        try:
            if missed is None or resume_after is None:
                self._begin(asked=resume_after is not None)
            else:
                self._resume(missed, resume_after.sequence)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Told nothing more."""
        self._source.detach(self, self._groups)
        self.deliver = self.wake = _nothing  # they lead back to this feed

    # -- what it is told first: each kind of feed says itself --

    @abstractmethod
    def _begin(self, *, asked: bool) -> None:
        """Let the snapshot wait. `asked`: this reader knows something of before, which is void."""

    @abstractmethod
    def _resume(self, missed: list[Kept[K, E]], sequence: int) -> None:
        """Let what was missed after `sequence` wait."""

    @abstractmethod
    def start_over(self) -> None:
        """The publisher begins anew: what this reader knows is void. What holds instead is known once `take` is called."""

    # -- and then --

    @property
    def waiting(self) -> bool:
        """Something is to be taken before anything else may be told."""
        return bool(self._waiting)

    def join(self, stream: Stream, carrier: Carrier) -> bool:
        """Nothing waits and the stream has room: whether the feed writes what comes by itself from now on, and `deliver` is not asked."""
        return False

    def fall_behind(self) -> None:
        """Hold what comes."""
        self.deliver = self.hold

    @abstractmethod
    def next(self, change: Change[K, E]) -> bytes | None:
        """The message to write right now of this change, framed, where nothing waits; None where this reader need not know."""

    @abstractmethod
    def hold(self, change: Change[K, E]) -> None:
        """Keep it until it can be taken, in the place of an older one of its key."""

    def take(self) -> bytes | None:
        """The next message of what waits. Raises what this feed has failed with."""
        if self._failure is not None:
            raise self._failure
        return self._take()

    @abstractmethod
    def _take(self) -> bytes | None:
        """See `take`."""

    def fail(self, error: Exception) -> None:
        """Nothing more can be told: a change is lost to this reader."""
        self._failure = error
        self.deliver = _nothing
        self.wake()

    def look_again(self) -> None:
        """Hold what has become different without a change, for feeds with `look_seconds`."""

    def _put(self, change: Change[K, E], first: int | None = None) -> None:
        """Hold it, counted where it replaces another; the key keeps its place."""
        older = self._waiting.get(change.key)
        if older is None:
            self._waiting[change.key] = Waiting(self._epoch, change.sequence if first is None else first, change)
            self.wake()
        else:
            self._conflated += 1
            self._waiting[change.key] = Waiting(older.epoch, older.first, change)

    def _pop(self) -> Change[K, E]:
        return self._waiting.pop(next(iter(self._waiting))).change

    def _cursor(self) -> bytes:
        """The field: everything before what waits has been told."""
        front = next(iter(self._waiting.values()), None)
        told = Cursor(self._epoch, self._source.topic.sequence) if front is None else Cursor(front.epoch, max(0, front.first - 1))
        return bytes_field(self.CURSOR, told.encoded())

    def _take_conflated(self) -> int:
        count, self._conflated = self._conflated, 0
        return count


class _Opened(Generic[F]):
    """See `Feed.opened`. No generator: there is one for each stream."""

    __slots__ = ("_feed", "_question", "_resume_after")

    def __init__(self, feed: F, question: str, resume_after: Cursor | None) -> None:
        self._feed = feed
        self._question = question
        self._resume_after = resume_after

    def __enter__(self) -> F:
        self._feed.open(self._question, self._resume_after)
        return self._feed

    def __exit__(self, *_: object) -> None:
        self._feed.close()


def _nothing(*_: object) -> None:
    pass
