"""Mailboxes: bounded, with the policy that the actor's kind of message needs, and an urgent lane in each.

A mailbox outlives the actor's incarnations. It is read by one task (the actor) and written by any number.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import trio

from arbiter.errors import ActorStopped, NotRunning
from arbiter.runtime.reply import ReplySlot

URGENT_CAPACITY = 64
"""Halts and stops are few; a full urgent lane is a bug that must show."""


@dataclass(frozen=True)
class Backpressure:
    """Keep everything in order; `tell` waits for room, `offer` answers False when full. For commands."""

    capacity: int = 1024


@dataclass(frozen=True)
class Conflate:
    """Keep the newest message of each key, in the order in which the keys first waited. For market data.

    Requests are never conflated. `capacity` bounds the number of keys (and of requests) that wait.
    """

    key: Callable[[Any], Hashable]
    capacity: int = 65_536


@dataclass(frozen=True)
class DropOldest:
    """Keep the newest `capacity` messages. For telemetry."""

    capacity: int = 1024


Policy = Backpressure | Conflate | DropOldest


class MailboxFull(Exception):
    """There was no room for a message that may be neither dropped nor delayed."""


class Mailbox:
    """One actor's queue of `(message, reply slot or None)`."""

    __slots__ = (
        "_capacity",
        "_closed",
        "_key",
        "_keyed",
        "_queue",
        "_reader",
        "_room",
        "_urgent",
        "_writers",
        "conflated",
        "dropped",
        "name",
        "policy",
    )

    def __init__(self, name: str, policy: Policy) -> None:
        if policy.capacity < 1:
            raise ValueError(f"mailbox of {name}: capacity must be at least 1, not {policy.capacity}")
        self.name = name
        self.policy = policy
        self.conflated = 0
        self.dropped = 0
        self._capacity = policy.capacity
        self._key = policy.key if isinstance(policy, Conflate) else None
        self._queue: deque[tuple[Any, ReplySlot | None]] = deque()
        # ordered: a plain dict takes ever longer to find its first key while keys are taken from its front
        self._keyed: OrderedDict[Hashable, Any] = OrderedDict()
        self._urgent: deque[tuple[Any, ReplySlot | None]] = deque()
        self._reader: trio.lowlevel.Task | None = None
        self._room = trio.lowlevel.ParkingLot()
        self._writers = 0
        """How many wait for room; asked for each message, and the lot itself takes a while to say."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue) + len(self._keyed) + len(self._urgent)

    # -- writing --

    def offer(self, message: Any, slot: ReplySlot | None = None) -> bool:
        """Take the message if that needs no waiting; False when there is no room or the mailbox is closed."""
        if self._closed:
            return False
        if self._key is not None and slot is None:
            keyed, key = self._keyed, self._key(message)
            if key in keyed:
                self.conflated += 1
            elif len(keyed) >= self._capacity:
                return False
            keyed[key] = message  # an assignment keeps the key's place in the order
        elif len(self._queue) < self._capacity:
            self._queue.append((message, slot))
        elif isinstance(self.policy, DropOldest):
            self._drop_oldest()
            self._queue.append((message, slot))
        else:
            return False
        if self._reader is not None:
            self._wake_reader()
        return True

    async def put(self, message: Any, slot: ReplySlot | None = None) -> None:
        """Wait for room, then take the message. Raises NotRunning when the mailbox is closed for good."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self.offer(message, slot):
            if self._closed:
                raise NotRunning(self.name)
            self._writers += 1
            try:
                await self._room.park()
            finally:
                self._writers -= 1

    def put_urgent(self, message: Any, slot: ReplySlot | None = None) -> None:
        """Overtake everything that waits. Raises MailboxFull when even the urgent lane is full."""
        if len(self._urgent) >= URGENT_CAPACITY:
            raise MailboxFull(f"the urgent lane of {self.name} is full")
        self._urgent.append((message, slot))
        self._wake_reader()

    def put_last_urgent(self, message: Any) -> None:
        """After everything urgent, before everything else; for the runtime's own stop, which always finds room."""
        self._urgent.append((message, None))
        self._wake_reader()

    def _drop_oldest(self) -> None:
        _, slot = self._queue.popleft()
        self.dropped += 1
        if slot is not None:
            slot.fail(MailboxFull(f"a newer message took the place of this request to {self.name}"))

    # -- reading --

    async def get(self) -> tuple[Any, ReplySlot | None]:
        """The next message: urgent first, then requests and commands in order, then conflated keys in order."""
        while True:
            item = self.get_nowait()
            if item is not None:
                return item
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort_read)

    def get_nowait(self) -> tuple[Any, ReplySlot | None] | None:
        """What `get` would return at once; None where it would wait."""
        if self._urgent:
            return self._urgent.popleft()
        if self._queue:
            item = self._queue.popleft()
        elif self._keyed:
            item = (self._keyed.popitem(last=False)[1], None)
        else:
            return None
        if self._writers:
            self._room.unpark()
        return item

    def _wake_reader(self) -> None:
        if self._reader is not None:
            task, self._reader = self._reader, None
            trio.lowlevel.reschedule(task)

    def _abort_read(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    # -- life --

    def fail_requests(self, error: Exception) -> int:
        """Remove every waiting request and fail it; tells stay. Returns how many there were."""
        failed = 0
        for lane in (self._urgent, self._queue):
            waiting = list(lane)
            lane.clear()
            for message, slot in waiting:
                if slot is None:
                    lane.append((message, None))
                else:
                    slot.fail(error)
                    failed += 1
        if failed:
            self._room.unpark_all()
        return failed

    def discard(self, message: Any) -> None:
        """Forget one urgent message (compared by identity) that was meant for an incarnation that is gone."""
        self._urgent = deque(item for item in self._urgent if item[0] is not message)

    def reopen(self) -> None:
        """For an actor that comes back after all, because the whole group does."""
        self._closed = False

    def close(self) -> None:
        """For good: waiting requests fail, waiting writers are told, later offers answer False."""
        self._closed = True
        self.fail_requests(ActorStopped(self.name))
        self._room.unpark_all()
