"""A subscriber's end of a topic: what waits for it, bounded by the policy that it chose (`topic.py` says what each means)."""

from collections import deque
from typing import Generic, Literal, TypeVar, get_args

import trio

K = TypeVar("K")
E = TypeVar("E")

SlowPolicy = Literal["conflate", "backpressure", "drop_oldest"]

FEW = 64
"""Keys that are taken from the front of a dict as they are."""


class Lagged(Exception):
    """A subscriber that chose to see everything fell further behind than its bound: its subscription ended where the gap begins."""


class Subscription(Generic[K, E]):
    """One reader's end. Iterate it, or `await receive()`. Bounded by the policy it was made with."""

    def __init__(self, policy: SlowPolicy, capacity: int) -> None:
        if policy not in get_args(SlowPolicy):
            raise ValueError(f"a subscriber's policy is one of {', '.join(get_args(SlowPolicy))}, not {policy!r}")
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise ValueError(f"a subscription needs room for a number of at least 1 event, not {capacity!r}")
        self._policy: str = policy
        """"of two": it conflates, and `_first` is in use, which is seldom."""
        self._capacity = capacity
        self._queue: deque[E] = deque()
        self._newest: dict[K, E] = {}
        self._first: dict[K, E] | None = None
        """Those of `_newest` that are next, the last one first: taking many keys from the front of a dict takes ever longer."""
        self._lagged = False
        self._wake = trio.Event()
        self.missed = 0

    def push(self, key: K, event: E) -> None:
        """Called by the topic: take an event without waiting."""
        if self._lagged:
            return  # what came after the gap would hide it
        if self._policy == "conflate":
            self.missed += key in self._newest
            self._newest[key] = event
        elif self._first is not None:
            newest = self._first if key in self._first else self._newest
            self.missed += key in newest
            newest[key] = event
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
        """The next event. Raises Lagged after the last event before the gap."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._queue:
                return self._queue.popleft()
            if self._first is not None:
                event = self._first.popitem()[1]
                if not self._first:
                    self._first, self._policy = None, "conflate"
                return event
            if len(self._newest) > FEW:
                self._first, self._newest = dict(reversed(self._newest.items())), {}
                self._policy = "of two"
                continue
            if self._newest:
                return self._newest.pop(next(iter(self._newest)))
            if self._lagged:
                raise Lagged(f"more than {self._capacity} events waited: subscribe anew for a snapshot")
            self._wake = trio.Event()
            await self._wake.wait()

    def __aiter__(self) -> "Subscription[K, E]":
        return self

    async def __anext__(self) -> E:
        return await self.receive()
