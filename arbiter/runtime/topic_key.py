"""One key of a topic: its newest event, and those who follow it alone."""

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

K = TypeVar("K")
E = TypeVar("E")


class Home(Protocol):
    """What a key needs of its topic."""

    sequence: int

    @property
    def running(self) -> object:
        """Not None while something is being handed out."""

    def postpone(self, change: Callable[[], None]) -> None:
        """Do it when that is over."""

    def hand_out(self, place: Any, event: Any, before: Any | None, followers: Any) -> None:
        """To everybody."""


class TopicKey(Generic[K, E]):
    """One key of a topic: its newest event and who follows it alone. Who comes back to a key often looks it up once."""

    __slots__ = ("_followers", "_topic", "held", "key", "newest", "sequence")

    def __init__(self, topic: Home, key: K) -> None:
        self.key = key
        self.newest: E | None = None
        self.sequence = 0
        """The topic's, of the newest event."""
        self.held = 0
        """How many have it in hand: while anybody has, the topic does not forget it."""
        self._topic = topic
        self._followers: tuple[KeyFollower[E], ...] = ()

    def publish(self, event: E) -> None:
        """Retain as the newest and hand to every subscriber. Never waits."""
        if self._topic.running is not None:
            self._topic.postpone(partial(self.publish, event))
            return
        before, self.newest = self.newest, event
        self.deliver(event, before)

    def deliver(self, event: E, before: E | None) -> None:
        """Hand to every subscriber; `before` is what was the newest until now."""
        topic = self._topic
        self.sequence = topic.sequence = topic.sequence + 1
        topic.hand_out(self, event, before, self._followers)

    def follow(self, follower: "KeyFollower[E]") -> None:
        """Hand over the newest event, then what comes."""
        self._followers += (follower,)
        if self.newest is not None:
            follower.offer(self.newest)

    def leave(self, follower: "KeyFollower[E]") -> None:
        """Undo `follow`. It hears nothing more, not even of what is being handed out."""
        follower.offer = to_nobody
        follower.when = None
        self._followers = tuple(each for each in self._followers if each is not follower)

    @property
    def followers(self) -> int:
        return len(self._followers)

    @property
    def idle(self) -> bool:
        """Nothing is retained and nobody would notice if it were forgotten."""
        return self.newest is None and not self._followers and not self.held


class KeyFollower(Generic[E]):
    """Who follows one key, which changes matter to it (all, where `when` is None), and what becomes of its fault."""

    __slots__ = ("failed", "offer", "when")

    def __init__(self, offer: Callable[[E], object], when: Callable[[E, E], bool] | None, failed: Callable[[Exception], object]) -> None:
        self.offer = offer
        self.when = when
        self.failed = failed


def to_nobody(*_: object) -> None:
    """In the place of a subscriber that left while something is being handed out."""
