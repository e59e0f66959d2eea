"""Mailboxes: bounded, with the policy that the actor's kind of message needs, and an urgent lane in each.

A mailbox outlives the actor's incarnations. It is read by one task (the actor) and written by any number.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, get_args

import trio

from arbiter.errors import ActorStopped, NotRunning, Overloaded
from arbiter.runtime.correlation import correlation
from arbiter.runtime.reply import Origin, ReplySlot
from arbiter.runtime.turns import IN_A_ROW, TURNS

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
_POLICIES = get_args(Policy)


Beside = ReplySlot | Origin | None
"""Where the reply to a message goes, or what brought it; None for one that another told."""
Envelope = tuple[Any, Beside, str]
"""A message, what belongs to it, and the correlation id of who sent it."""


class Order:
    """What the runtime itself has to say to the incarnation that lives now, in the urgent lane."""


class MailboxFull(Exception):
    """There was no room for a message that may be neither dropped nor delayed."""


class _Writer:
    """Who waits for room, and what goes there."""

    __slots__ = ("envelope", "let_in", "task")

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.task = trio.lowlevel.current_task()
        self.let_in = False


class Mailbox:
    """One actor's queue of envelopes."""

    __slots__ = (
        "_capacity",
        "_closed",
        "_key",
        "_keyed",
        "_queue",
        "_reader",
        "_urgent",
        "_writers",
        "answer",
        "conflated",
        "dropped",
        "name",
        "policy",
        "sleeper",
        "take",
    )

    def __init__(self, name: str, policy: Policy) -> None:
        if not isinstance(policy, _POLICIES):
            raise TypeError(f"mailbox of {name}: {policy!r} is no policy; there are Backpressure, Conflate and DropOldest")
        if isinstance(policy.capacity, bool) or not isinstance(policy.capacity, int) or policy.capacity < 1:
            raise ValueError(f"mailbox of {name}: capacity must be a number of at least 1, not {policy.capacity!r}")
        if isinstance(policy, Conflate) and not callable(policy.key):
            raise TypeError(f"mailbox of {name}: Conflate needs a function that says a message's key, not {policy.key!r}")
        self.name = name
        self.policy = policy
        self.conflated = 0
        self.dropped = 0
        self.answer: Callable[[Any], object] | None = None
        """Of the incarnation that lives, where it answers some requests at once; see `Actor.answer`."""
        self.take: Callable[[Any], bool] | None = None
        """Of the incarnation that lives, where it takes some offers at once; see `Actor.take`."""
        self.sleeper: Callable[[], None] | None = None
        """Called once by the first message that comes while nobody lives who could read it."""
        self._capacity = policy.capacity
        self._key = policy.key if isinstance(policy, Conflate) else None
        self._queue: deque[Envelope] = deque()
        # ordered: a plain dict takes ever longer to find its first key while keys are taken from its front
        self._keyed: OrderedDict[Hashable, Envelope] | None = OrderedDict() if self._key is not None else None
        self._urgent: deque[Envelope] | None = None
        self._reader: trio.lowlevel.Task | None = None
        self._writers: deque[_Writer] | None = None
        """Those who wait for room, in order. What becomes free goes to them before anybody else can take it."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue) + len(self._keyed or ()) + len(self._urgent or ())

    @property
    def idle(self) -> bool:
        """Whether the actor waits for something to come: nothing is in hand and nothing in here."""
        return self._reader is not None

    # -- writing --

    def offer(self, message: Any, slot: Beside = None) -> bool:
        """Take the message if that needs no waiting; False when there is no room or the mailbox is closed."""
        if self._closed:
            return False
        if self.take is not None and self._reader is not None and not isinstance(slot, ReplySlot) and self.take(message):
            return True
        if self._keyed is not None and not isinstance(slot, ReplySlot):
            keyed, key = self._keyed, self._key(message)  # type: ignore[misc]  # both or neither
            if key in keyed:
                self.conflated += 1
            elif len(keyed) >= self._capacity:
                return False
            keyed[key] = (message, slot, correlation.get())  # an assignment keeps the key's place in the order
        elif len(self._queue) < self._capacity:
            self._queue.append((message, slot, correlation.get()))
        elif isinstance(self.policy, DropOldest):
            self._drop_oldest()
            self._queue.append((message, slot, correlation.get()))
        else:
            return False
        if self._reader is not None or self.sleeper is not None:
            self._wake()
        return True

    async def put(self, message: Any, slot: Beside = None) -> None:
        """Wait for room, then take the message. Raises NotRunning when the mailbox is closed for good."""
        TURNS.sent += 1
        if TURNS.sent % IN_A_ROW:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:  # mailboxes that always have room would never let go of who tells in a loop
            await trio.lowlevel.checkpoint()
        if not self.offer(message, slot):
            await self._wait_for_room((message, slot, correlation.get()))

    async def _wait_for_room(self, envelope: Envelope) -> None:
        if self._closed:
            raise NotRunning(self.name)
        writer = _Writer(envelope)
        if self._writers is None:
            self._writers = deque()
        self._writers.append(writer)

        def give_up(_raise_cancel: Any) -> trio.lowlevel.Abort:
            assert self._writers is not None
            self._writers.remove(writer)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(give_up)
        if not writer.let_in:
            raise NotRunning(self.name)

    def put_urgent(self, message: Any, slot: ReplySlot | None = None) -> None:
        """Overtake everything that waits. Raises MailboxFull when even the urgent lane is full, NotRunning when nobody will read it."""
        if self._closed:
            raise NotRunning(self.name)
        if self._urgent is not None and len(self._urgent) >= URGENT_CAPACITY:
            raise MailboxFull(f"the urgent lane of {self.name} is full")
        self._put_urgent((message, slot, correlation.get()))

    def put_order(self, order: Order) -> None:
        """After everything urgent, before everything else; always finds room."""
        self._put_urgent((order, None, ""))

    def _put_urgent(self, envelope: Envelope) -> None:
        if self._urgent is None:
            self._urgent = deque()
        self._urgent.append(envelope)
        self._wake()

    def _drop_oldest(self) -> None:
        _, slot, _ = self._queue.popleft()
        self.dropped += 1
        if isinstance(slot, ReplySlot):
            slot.fail(Overloaded(f"newer messages took the place of this request to {self.name}"))

    # -- reading --

    async def get(self) -> Envelope:
        """The next message: urgent first, then requests and commands in order, then conflated keys in order."""
        while True:
            envelope = self.get_nowait()
            if envelope is not None:
                return envelope
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort_read)

    def get_nowait(self) -> Envelope | None:
        """What `get` would return at once; None where it would wait."""
        if self._urgent:
            return self._urgent.popleft()
        if self._queue:
            envelope = self._queue.popleft()
        elif self._keyed:
            envelope = self._keyed.popitem(last=False)[1]
        else:
            return None
        if self._writers:
            self._hand_over(self._writers)
        return envelope

    def _hand_over(self, writers: deque[_Writer]) -> None:
        """What room there is, to those who waited longest."""
        if self._keyed is None:
            while writers and self._let_in(writers[0]):
                writers.popleft()
        else:  # it has two lanes, and one may be full while the other is not
            self._writers = deque(writer for writer in writers if not self._let_in(writer))

    def _let_in(self, writer: _Writer) -> bool:
        message, slot, _ = writer.envelope
        if self._keyed is not None and not isinstance(slot, ReplySlot):
            key = self._key(message)  # type: ignore[misc]  # both or neither
            if key in self._keyed:
                self.conflated += 1
            elif len(self._keyed) >= self._capacity:
                return False
            self._keyed[key] = writer.envelope
        elif len(self._queue) < self._capacity:
            self._queue.append(writer.envelope)
        else:
            return False
        writer.let_in = True
        trio.lowlevel.reschedule(writer.task)
        return True

    def _wake(self) -> None:
        if self._reader is not None:
            task, self._reader = self._reader, None
            trio.lowlevel.reschedule(task)
        elif self.sleeper is not None:
            sleeper, self.sleeper = self.sleeper, None
            sleeper()

    def _abort_read(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    # -- life --

    def fail_requests(self) -> int:
        """Remove every waiting request and fail it with ActorStopped; tells stay. Returns how many there were."""
        if not self._queue and not self._urgent:
            return 0
        failed = 0
        for lane in (self._urgent, self._queue):
            for _ in range(len(lane or ())):
                assert lane is not None
                envelope = lane.popleft()
                slot = envelope[1]
                if isinstance(slot, ReplySlot):
                    slot.fail(ActorStopped(self.name))  # to each its own: a raised error grows by its traceback
                    failed += 1
                else:
                    lane.append(envelope)
        if failed and self._writers:
            self._hand_over(self._writers)
        return failed

    def discard_own(self) -> None:
        """Forget what belongs to an incarnation that is gone: what the runtime ordered it, what its timers and topics brought."""
        if self._urgent:
            self._urgent = deque(each for each in self._urgent if not isinstance(each[0], Order))
        if self._queue:
            self._queue = deque(each for each in self._queue if not isinstance(each[1], Origin))
        if self._keyed:
            for key in [key for key, each in self._keyed.items() if isinstance(each[1], Origin)]:
                del self._keyed[key]
        if self._writers:
            self._hand_over(self._writers)

    def reopen(self) -> None:
        """For an actor that comes back after all, because the whole group does."""
        self._closed = False

    def close(self) -> None:
        """For good: waiting requests fail, waiting writers are told, later offers answer False."""
        self._closed = True
        self.sleeper = None
        writers, self._writers = self._writers, None  # first, so that nobody is let in any more
        for writer in writers or ():
            trio.lowlevel.reschedule(writer.task)
        self.fail_requests()
