"""Topics: news for many. A subscriber gets a snapshot, then the changes, without gap or duplicate.

Events are published under a key; the newest of each key is retained and is the snapshot. Publishing never waits, so a slow
subscriber slows neither the publisher nor the others. What happens to itself it chooses:

- `conflate`: it gets the newest event of each key that changed meanwhile, in the order in which the keys changed first. Bounded by
  the number of keys. `missed` counts what was replaced.
- `backpressure`: it gets everything, and at most `capacity` events wait for it. The consequence of one more: the subscription ends
  there. It still hands out what waited, then raises Lagged, for good; whoever wants to go on subscribes anew and gets a snapshot.
- `drop_oldest`: it gets the newest `capacity` events. `missed` counts what was dropped.

An actor that follows a topic (`Context.follow`) is a subscriber too; its mailbox is its policy.

A reader that was away comes back with the `epoch` and `sequence` that it saw last, and `since` gives what it missed: the newest of
each key that changed, with the last event of each key that ended. Of ended keys the last `TOMBSTONES` are kept.

A subscriber's fault is its own: it is cut off and, where it is an actor, crashes; the publisher and the others notice nothing. All
subscribers see one order: what one of them publishes on the topic while it hands something out is published after that.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import structlog

from arbiter.runtime.crash import one_line, report
from arbiter.runtime.subscription import Lagged, SlowPolicy, Subscription
from arbiter.runtime.topic_key import KeyFollower, TopicKey, to_nobody

__all__ = ["Kept", "Lagged", "SlowPolicy", "Subscription", "Topic", "TopicKey"]

K = TypeVar("K")
E = TypeVar("E")

TOMBSTONES = 1_024
"""So many ended keys a topic remembers. Who was away for longer than that needs a snapshot."""
NESTED = 10_000
"""Events that follow one event because subscribers answer it with others: more are taken for an endless chain."""


class Kept(NamedTuple, Generic[K, E]):
    """What a topic knows of one key: the newest event (of a key that ended, its last) and that event's sequence."""

    key: K
    event: E
    sequence: int


class Topic(Generic[K, E]):
    """Published by one actor, followed by any number. Outlives the publisher's incarnations.

    `epoch` changes when the publisher starts over, `sequence` counts its events since then.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = 0
        self.sequence = 0
        self.sinks: list[Callable[[K, E], object]] = []
        """Those who follow every key. Replaced by a new list at each change."""
        self._owners: list[tuple[Callable[[K, E], object], Callable[[Exception], object]]] = []
        """Of each sink, what becomes of its fault."""
        self.running: list[Callable[[K, E], object]] | None = None
        """While something is being handed out, those to whom."""
        self._postponed: list[Callable[[], None]] = []
        """What they want published after it."""
        self._catching_up = False
        self._keys: dict[K, TopicKey[K, E]] = {}
        self._started_over: tuple[Callable[[], object], ...] = ()
        self._ended: dict[K, Kept[K, E]] = {}
        """Tombstones, the oldest first. A key may live again beside its own."""
        self._forgotten = 0
        """The sequence of the newest tombstone that had to go."""

    def __len__(self) -> int:
        return len(self.values())

    @property
    def subscribers(self) -> int:
        return len(self.sinks) + sum(each.followers for each in self._keys.values())

    def key(self, key: K) -> TopicKey[K, E]:
        """One key, for who publishes or reads it often. Kept for as long as the topic lives, or until each has released it."""
        found = self._key(key)
        found.held += 1
        return found

    def release(self, key: TopicKey[K, E]) -> None:
        """Undo one `key`; it must not be used any more by who had it."""
        key.held -= 1
        self._forget_if_idle(key)

    def _key(self, key: K) -> TopicKey[K, E]:
        found = self._keys.get(key)
        if found is None:
            found = self._keys[key] = TopicKey(self, key)
        return found

    def _forget_if_idle(self, found: TopicKey[K, E]) -> None:
        if found.idle and self._keys.get(found.key) is found:
            del self._keys[found.key]

    def get(self, key: K) -> E | None:
        """The newest event of a key, if one is retained."""
        found = self._keys.get(key)
        return None if found is None else found.newest

    def values(self) -> list[E]:
        """The snapshot: the newest event of each key."""
        return [each.newest for each in self._keys.values() if each.newest is not None]

    def kept(self, keys: Iterable[K] | None = None) -> list[Kept[K, E]]:
        """The snapshot (of these keys alone, where given) with keys and sequences, in the order of publication."""
        found = self._keys.values() if keys is None else [self._keys[key] for key in keys if key in self._keys]
        return sorted((Kept(each.key, each.newest, each.sequence) for each in found if each.newest is not None), key=_sequence_of)

    def since(self, sequence: int, keys: Iterable[K] | None = None) -> list[Kept[K, E]] | None:
        """What a reader misses that saw everything up to `sequence` of this epoch, in the order of publication: the newest of
        each key that changed after it, the last event of each that ended. None where the topic cannot know: take a snapshot.
        """
        if not self._forgotten <= sequence <= self.sequence:
            return None
        changed = [each for each in self.kept(keys) if each.sequence > sequence]
        wanted = self._ended if keys is None else keys
        dead = (self._ended[key] for key in wanted if key in self._ended and self.get(key) is None)
        return sorted((*changed, *(each for each in dead if each.sequence > sequence)), key=_sequence_of)

    def publish(self, key: K, event: E) -> None:
        """Retain as the key's newest and hand to every subscriber. Never waits."""
        self._key(key).publish(event)

    def publish_passing(self, key: K, event: E) -> None:
        """Hand to every subscriber and retain nothing: for an event that is over at once, and for a key's end."""
        if self.running is not None:
            self.postpone(partial(self.publish_passing, key, event))
            return
        found = self._key(key)
        found.newest = None
        self._ended.pop(key, None)
        self._ended[key] = Kept(key, event, self.sequence + 1)
        if len(self._ended) > TOMBSTONES:
            self._forgotten = self._ended.pop(next(iter(self._ended))).sequence
        found.deliver(event, None)
        self._forget_if_idle(found)

    def hand_out(self, place: TopicKey[K, E], event: E, before: E | None, followers: tuple[KeyFollower[E], ...]) -> None:
        """To everybody, then what they published meanwhile."""
        key, sinks = place.key, self.sinks
        self.running = sinks
        try:
            for sink in sinks:
                try:
                    sink(key, event)
                except Exception as error:  # noqa: BLE001 the subscriber's, and neither the publisher's nor the others'
                    self._cut_off(sink, error)
            for follower in followers:
                try:
                    when = follower.when
                    if when is None or before is None or when(before, event):
                        follower.offer(event)
                except Exception as error:  # noqa: BLE001 likewise
                    place.leave(follower)
                    follower.failed(error)
        finally:
            self.running = None
        if self._postponed and not self._catching_up:
            self._catch_up()

    def postpone(self, change: Callable[[], None]) -> None:
        """Until what is being handed out was: so all see one order, and what a subscriber is handed is the topic's newest."""
        if len(self._postponed) >= NESTED:
            raise RuntimeError(f"the subscribers of {self.name} answer each other's events without end")
        self._postponed.append(change)

    def _catch_up(self) -> None:
        self._catching_up = True
        try:
            for change in self._postponed:  # which may grow meanwhile
                change()
        finally:
            self._postponed.clear()
            self._catching_up = False

    def _cut_off(self, sink: Callable[[K, E], object], error: Exception) -> None:
        failed = next(failed for each, failed in self._owners if each is sink)
        self._leave(sink)
        failed(error)

    def _say_failed(self, error: Exception) -> None:
        report(structlog.get_logger(topic=self.name), "subscriber cut off", error=one_line(error), exc_info=error)

    def start_over(self) -> None:
        """The publisher begins anew: a new epoch, nothing retained. Publish the rebuilt state right after it, with no await
        between, so that whoever reads from the start of the new epoch sees all of it.
        """
        if self.running is not None:
            self.postpone(self.start_over)
            return
        self.epoch += 1
        self.sequence = self._forgotten = 0
        self._ended.clear()
        for each in tuple(self._keys.values()):
            each.newest = None
            self._forget_if_idle(each)
        for told in self._started_over:
            told()

    @contextmanager
    def subscribe(self, policy: SlowPolicy = "conflate", *, capacity: int = 1024) -> Iterator[tuple[list[E], Subscription[K, E]]]:
        """The snapshot and, from that instant on, every change. Leaving the block unsubscribes.

        `policy` says what happens when this subscriber is slow (see the module); `capacity` bounds what waits for it, in events
        (`conflate` needs no other bound than the number of keys). Raises ValueError for a policy that there is not or no room.
        """
        subscription: Subscription[K, E] = Subscription(policy, capacity)
        with self._sink(subscription.push):
            yield self.values(), subscription

    @contextmanager
    def deliver_to(self, offer: Callable[[E], object]) -> Iterator[None]:
        """Hand the snapshot and then every change to `offer`, which never waits (a ref's, usually).

        Where it raises it is cut off, and the log says so.
        """
        with self.deliver_each_to(lambda _key, event: offer(event)):
            yield

    @contextmanager
    def deliver_each_to(self, offer: Callable[[K, E], object], failed: Callable[[Exception], object] | None = None) -> Iterator[None]:
        """The same, each event with its key. `failed` hears what `offer` raised instead of the log."""
        with self._sink(offer, failed):
            self._hand_snapshot(offer)
            yield

    def _hand_snapshot(self, offer: Callable[[K, E], object]) -> None:
        """To one that begins. What it publishes meanwhile comes after it, so that it does not get that twice."""
        first = self.running is None
        if first:
            self.running = []
        try:
            for each in tuple(self._keys.values()):
                if each.newest is not None:
                    offer(each.key, each.newest)
        except BaseException:
            self._leave(offer)
            raise
        finally:
            if first:
                self.running = None
                if self._postponed and not self._catching_up:
                    self._catch_up()

    @contextmanager
    def follow_on(self, offer: Callable[[K, E], object], started_over: Callable[[], object]) -> Iterator[None]:
        """No snapshot: every change from now on with its key, and a word at each `start_over`, before what is published after it.

        Neither may wait; where one raises, both are cut off, and the log says so. For who reads `kept` or `since` in the same instant.
        """

        def told() -> None:
            try:
                started_over()
            except Exception as error:  # noqa: BLE001 the subscriber's, and not the publisher's
                leave()
                self._leave(offer)
                self._say_failed(error)

        def leave() -> None:
            self._started_over = tuple(each for each in self._started_over if each is not told)

        def failed(error: Exception) -> None:
            leave()
            self._say_failed(error)

        self._started_over += (told,)
        try:
            with self._sink(offer, failed):
                yield
        finally:
            leave()

    def deliver_key_to(
        self,
        key: K,
        offer: Callable[[E], object],
        when: Callable[[E, E], bool] | None = None,
        failed: Callable[[Exception], object] | None = None,
    ) -> "KeyDelivery[K, E]":
        """The same for one key alone, for the length of the block: costs nothing while other keys change.

        `when` is asked, with the event before and the new one, whether a change matters to this follower. What begins a
        key or follows an end always does.
        """
        return KeyDelivery(self, key, KeyFollower(offer, when, failed or self._say_failed))

    @contextmanager
    def _sink(self, sink: Callable[[K, E], object], failed: Callable[[Exception], object] | None = None) -> Iterator[None]:
        self.sinks = [*self.sinks, sink]
        self._owners.append((sink, failed or self._say_failed))
        try:
            yield
        finally:
            self._leave(sink)

    def _leave(self, sink: Callable[[K, E], object]) -> None:
        """It hears nothing more, not even of what is being handed out."""
        place = next((index for index, each in enumerate(self.sinks) if each is sink), None)
        if place is None:  # it was cut off before
            return
        self.sinks = [*self.sinks[:place], *self.sinks[place + 1 :]]
        del self._owners[place]
        if self.running is not None:
            self.running[:] = [to_nobody if each is sink else each for each in self.running]


def _sequence_of(kept: Kept[K, E]) -> int:
    return kept.sequence


class KeyDelivery(Generic[K, E]):
    """See `Topic.deliver_key_to`. No generator: there may be several for each stream of the API."""

    __slots__ = ("_follower", "_key", "_topic")

    def __init__(self, topic: Topic[K, E], key: K, follower: KeyFollower[E]) -> None:
        self._topic = topic
        self._key = key
        self._follower = follower

    def __enter__(self) -> None:
        try:
            self._topic._key(self._key).follow(self._follower)
        except BaseException:  # who is handed its first event may fail: it never followed
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        found = self._topic._key(self._key)
        found.leave(self._follower)
        self._topic._forget_if_idle(found)
