"""Topics: news for many. A subscriber gets a snapshot, then the changes, without gap or duplicate.

Events are published under a key; the newest of each key is retained and is the snapshot. Publishing never waits: a
subscriber chooses what happens when it is slow (conflate by key, drop the oldest, or be cut off).
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Literal, TypeVar

import trio

K = TypeVar("K")
E = TypeVar("E")

SlowPolicy = Literal["conflate", "drop_oldest", "cut_off"]


class Lagged(Exception):
    """A subscriber that chose to see everything fell too far behind and was cut off."""


class Subscription(Generic[K, E]):
    """One reader's end. Iterate it, or `await receive()`. Bounded by the policy it was made with."""

    def __init__(self, policy: SlowPolicy, capacity: int) -> None:
        self._policy = policy
        self._capacity = capacity
        self._newest: dict[K, E] = {}
        self._queue: deque[E] = deque()
        self._lagged = False
        self._wake = trio.Event()
        self.missed = 0

    def push(self, key: K, event: E) -> None:
        """Called by the topic: take an event without waiting."""
        if self._lagged:
            return  # what came after the cut would hide the gap
        if self._policy == "conflate":
            self.missed += key in self._newest
            self._newest[key] = event
        elif len(self._queue) < self._capacity:
            self._queue.append(event)
        elif self._policy == "drop_oldest":
            self._queue.popleft()
            self._queue.append(event)
            self.missed += 1
        else:
            self._lagged = True
        self._wake.set()

    async def receive(self) -> E:
        """The next event. Raises Lagged after the last event before the cut."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._queue:
                return self._queue.popleft()
            if self._newest:
                return self._newest.pop(next(iter(self._newest)))
            if self._lagged:
                raise Lagged(f"more than {self._capacity} events waited")
            self._wake = trio.Event()
            await self._wake.wait()

    def __aiter__(self) -> "Subscription[K, E]":
        return self

    async def __anext__(self) -> E:
        return await self.receive()


class Topic(Generic[K, E]):
    """Published by one actor, followed by any number. Outlives the publisher's incarnations.

    `epoch` changes when the publisher starts over, `sequence` counts its events since then.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = 0
        self.sequence = 0
        self._retained: dict[K, E] = {}
        self._sinks: dict[int, Callable[[K, E], object]] = {}
        self._key_sinks: dict[K, dict[int, Callable[[E], object]]] = {}
        self._next_sink = 0

    def __len__(self) -> int:
        return len(self._retained)

    @property
    def subscribers(self) -> int:
        return len(self._sinks) + sum(map(len, self._key_sinks.values()))

    def get(self, key: K) -> E | None:
        """The newest event of a key, if one is retained."""
        return self._retained.get(key)

    def values(self) -> list[E]:
        """The snapshot: the newest event of each key."""
        return list(self._retained.values())

    def publish(self, key: K, event: E) -> None:
        """Retain as the key's newest and hand to every subscriber. Never waits."""
        self._retained[key] = event
        self._deliver(key, event)

    def publish_passing(self, key: K, event: E) -> None:
        """Hand to every subscriber and retain nothing: for an event that is over at once, and for a key's end."""
        self._retained.pop(key, None)
        self._deliver(key, event)

    def start_over(self) -> None:
        """The publisher begins anew: a new epoch, nothing retained. Call before publishing the rebuilt state."""
        self.epoch += 1
        self.sequence = 0
        self._retained.clear()

    def _deliver(self, key: K, event: E) -> None:
        self.sequence += 1
        if self._sinks:
            for sink in tuple(self._sinks.values()):
                sink(key, event)
        offers = self._key_sinks.get(key)
        if offers is not None:
            for offer in tuple(offers.values()):
                offer(event)

    @contextmanager
    def subscribe(self, policy: SlowPolicy = "conflate", *, capacity: int = 1024) -> Iterator[tuple[list[E], Subscription[K, E]]]:
        """The snapshot and, from that instant on, every change. Leaving the block unsubscribes."""
        subscription: Subscription[K, E] = Subscription(policy, capacity)
        with self._sink(subscription.push):
            yield self.values(), subscription

    @contextmanager
    def deliver_to(self, offer: Callable[[E], object]) -> Iterator[None]:
        """Hand the snapshot and then every change to `offer`, which never waits (a ref's, usually)."""
        with self._sink(lambda _key, event: offer(event)):
            for event in self.values():
                offer(event)
            yield

    @contextmanager
    def deliver_key_to(self, key: K, offer: Callable[[E], object]) -> Iterator[None]:
        """The same for one key alone: costs nothing while other keys change."""
        sinks = self._key_sinks.setdefault(key, {})
        number = self._next_sink
        self._next_sink += 1
        sinks[number] = offer
        try:
            if key in self._retained:
                offer(self._retained[key])
            yield
        finally:
            del sinks[number]
            if not sinks:
                self._key_sinks.pop(key, None)

    @contextmanager
    def _sink(self, sink: Callable[[K, E], object]) -> Iterator[None]:
        number = self._next_sink
        self._next_sink += 1
        self._sinks[number] = sink
        try:
            yield
        finally:
            del self._sinks[number]
