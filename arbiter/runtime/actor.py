"""What one writes: an actor. It receives, calls pure functions, and carries out what they returned."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, ClassVar, Generic, TypeVar

import structlog
import trio

from arbiter.errors import ActorStopped, ArbiterError
from arbiter.runtime.mailbox import Mailbox
from arbiter.runtime.ref import Position, Ref, ReplySlot, sender
from arbiter.runtime.topic import Topic

E = TypeVar("E")
K = TypeVar("K")
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)

STOP = object()
"""In the urgent lane: finish the message in hand, then stop."""


class Actor(Generic[M]):
    """One actor. Override `handle`, and `started` and `stopped` where needed.

    `handle` gets one message at a time. For a request, what it returns is the reply, and an ArbiterError that it
    raises goes to the asker; any other exception crashes the actor, and its supervisor decides.
    """

    context: "Context[M]"

    batch: ClassVar[int] = 16
    """Messages handled between two checkpoints: so many that a flooded actor yields to the others about once a millisecond."""

    async def started(self) -> None:
        """Before the first message. The actor is ready, and later siblings start, when this returns."""

    async def handle(self, message: M) -> object:
        """One message."""
        raise NotImplementedError

    async def stopped(self) -> None:
        """After the last message, also after a crash; shielded, within the shutdown grace."""


class Context(Generic[M]):
    """What an incarnation may do beside handling: start tasks, follow topics, answer later."""

    def __init__(self, name: str, position: Position, ref: Ref[M], mailbox: Mailbox, stats: "Statistics") -> None:
        self.name = name
        self.position = position
        self.ref = ref
        self.log = structlog.get_logger(actor=name)
        self._mailbox = mailbox
        self._stats = stats
        self._slot: ReplySlot | None = None
        self._owed: set[ReplySlot] = set()
        self._nursery: trio.Nursery | None = None
        self._exit = ExitStack()
        self._followed: set[ExitStack] = set()
        self._exit.callback(self._close_followed)

    def start_task(self, function: Callable[..., Awaitable[object]], *args: object, name: str | None = None) -> None:
        """Run beside the message loop. It dies with the incarnation; if it raises, the incarnation crashes."""
        if self._nursery is None:
            raise RuntimeError(f"{self.name} is not running")
        self._nursery.start_soon(function, *args, name=name or f"{self.name}.{getattr(function, '__name__', 'task')}")

    def follow(self, topic: Topic[Any, Any]) -> None:
        """Deliver the topic's snapshot and then its changes into this actor's mailbox, until the incarnation ends."""
        self._exit.enter_context(topic.deliver_to(self.ref.offer))

    def follow_key(self, topic: Topic[K, E], key: K, when: Callable[[E, E], bool] | None = None) -> Callable[[], None]:
        """Like `follow`, for one key alone. Call what it returns to stop earlier.

        `when` is asked, with the event before and the new one, whether a change matters; what does not is never queued.
        """
        following = ExitStack()
        following.enter_context(topic.deliver_key_to(key, self._mailbox.offer, when))
        self._followed.add(following)

        def stop() -> None:
            self._followed.discard(following)
            following.close()

        return stop

    def answer_later(self) -> ReplySlot:
        """Take over answering the request in hand. What `handle` returns is then ignored.

        What is not answered when the incarnation ends fails with ActorStopped.
        """
        if self._slot is None:
            raise RuntimeError(f"{self.name} has no request in hand")
        slot, self._slot = self._slot, None
        slot.owe(self._owed)
        return slot

    def _close_followed(self) -> None:
        for following in self._followed:
            following.close()
        self._followed.clear()

    # -- the loop, run by the supervisor --

    async def run(self, actor: Actor[M], grace: float, task_status: trio.TaskStatus[None]) -> None:
        """One incarnation: start, handle until stopped, clean up. Raises what crashed it."""
        actor.context = self
        token = sender.set((self.name, self.position))
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    await actor.started()
                    task_status.started()
                    await self._loop(actor)
                finally:
                    self._exit.close()
                    with trio.move_on_after(grace, shield=True):
                        await actor.stopped()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            for slot in tuple(self._owed):
                slot.fail(ActorStopped(self.name))
            sender.reset(token)

    async def _loop(self, actor: Actor[M]) -> None:
        mailbox, stats, handle, now = self._mailbox, self._stats, actor.handle, trio.lowlevel.current_clock().current_time
        handled = 0
        began = now()
        while True:
            item = mailbox.get_nowait()
            if item is None:
                item = await mailbox.get()
                began = now()
            message, slot = item
            if message is STOP:
                return
            self._slot = slot
            try:
                reply = await handle(message)
            except ArbiterError as error:
                if self._slot is None:
                    raise
                self._slot.fail(error)
            except BaseException:
                if slot is not None:
                    slot.fail(ActorStopped(self.name))
                raise
            else:
                if self._slot is not None:
                    self._slot.answer(reply)
            finally:
                self._slot = None
                ended = now()
                stats.record(ended - began)
                began = ended
            handled += 1
            if handled % actor.batch == 0:
                await trio.lowlevel.checkpoint()
                began = now()


class Statistics:
    """What one actor did since the program started, over all its incarnations. Times in seconds."""

    __slots__ = ("busy_s", "handled", "longest_s")

    def __init__(self) -> None:
        self.handled = 0
        self.busy_s = 0.0
        self.longest_s = 0.0

    def record(self, seconds: float) -> None:
        self.handled += 1
        self.busy_s += seconds
        if seconds > self.longest_s:
            self.longest_s = seconds
