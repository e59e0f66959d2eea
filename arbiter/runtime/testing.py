"""A test kit for actors: one alone, probes in its neighbours' places, runs that a seed repeats, crashes on purpose.

    async with running(lambda: Counter(probe.ref)) as counter:     # what it raises comes out of the block
        await counter.tell(Add(2))
        assert await probe.next() == Added(2)

    run_seeded(7, main)                                            # the same seed, the same run; time jumps
    Child("desk", crash_at(3, Desk))                               # its third message kills it
    confuse(desk.ref)                                              # and this at once

Nothing here sleeps for real: use trio's autojump clock, which `run_seeded` brings along. Not imported by `arbiter.runtime` itself.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Generic, TypeVar

import trio
import trio.testing

from arbiter.errors import ActorStopped
from arbiter.runtime.actor import Actor
from arbiter.runtime.crash import single
from arbiter.runtime.environment import Environment
from arbiter.runtime.group import LivingGroup
from arbiter.runtime.inner import Inner
from arbiter.runtime.living import Living, SupervisorExhausted
from arbiter.runtime.mailbox import Backpressure, Mailbox, Policy
from arbiter.runtime.message import Message, Request
from arbiter.runtime.node import Node
from arbiter.runtime.ref import Ref
from arbiter.runtime.reply import ReplySlot
from arbiter.runtime.seeded import seeded_scheduler
from arbiter.runtime.spec import Child, Group, Intensity

M = TypeVar("M")
R = TypeVar("R")

PROBE_SECONDS = 5.0


# -- runs that can be repeated --


def run_seeded(seed: int, function: Callable[..., Awaitable[R]], *args: object) -> R:
    """`trio.run` with the autojump clock, and a scheduler whose every choice follows from the seed (see `seeded_scheduler`)."""
    with seeded_scheduler(seed):
        return trio.run(function, *args, clock=trio.testing.MockClock(autojump_threshold=0))


# -- one actor alone --


def _no_group(*_: object) -> Living[Any]:
    raise AssertionError("below one actor alone there is nothing")


class _Candid(LivingGroup):
    """Keeps what its child raised, also while it stops."""

    def __init__(self, spec: Group, environment: Environment) -> None:
        self.raised: list[BaseException] = []
        super().__init__(spec, (), spec.name, environment, Inner(_no_group))

    def _note(self, node: Node, error: BaseException, in_hand: str) -> None:
        super()._note(node, error, in_hand)
        self.raised.append(error)

    async def run_candidly(self, scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
        """Run; when the child crashes, keep that and cancel the scope."""
        try:
            await self.run(task_status)
        except SupervisorExhausted as exhausted:
            self.raised.append(exhausted.__cause__ or exhausted)  # the same again, or that it was not ready in time
            scope.cancel()
        finally:
            self.close()


@asynccontextmanager
async def running(
    make: Callable[[], Actor[M]],
    *,
    environment: Environment | None = None,
    mailbox: Policy | None = None,
    name: str = "actor",
    shutdown: float = 2.0,
) -> AsyncIterator[Ref[M]]:
    """One actor, ready inside of the block and stopped after it.

    When it crashes the block is cancelled, and what the actor raised comes out of it (also from `started`, from a child task, from
    `stopped`), freed from the groups of the nurseries on its way. Another error of the block itself comes first, with the crash as a
    note; only ActorStopped, which the crash brings to whoever asks, gives way.
    """
    child = Child(name, make, mailbox=mailbox, restart="transient", shutdown=shutdown)
    alone = _Candid(Group("alone", [child], intensity=Intensity(restarts=0)), environment or Environment.simulated(0))
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        await _until_ready(nursery, alone)
        if not alone.raised:
            try:
                yield child.ref
            except Exception as error:  # noqa: BLE001 raised below, where no nursery wraps it
                failed = error
            alone.request_stop()
    crash = single(alone.raised[0]) if alone.raised else None
    if failed is not None and (crash is None or not isinstance(failed, ActorStopped)):
        if crash is not None:
            failed.add_note(f"{name} crashed: {crash!r}")
        raise failed
    if crash is not None:
        raise crash


async def _until_ready(nursery: trio.Nursery, alone: _Candid) -> None:
    ready = trio.Event()

    class Ready(trio.TaskStatus[None]):
        def started(self, value: None = None) -> None:
            ready.set()

    async def run() -> None:
        await alone.run_candidly(nursery.cancel_scope, Ready())
        ready.set()

    nursery.start_soon(run)
    await ready.wait()


# -- probes --


class Probe(Generic[M]):
    """Stands where an actor would: `ref` takes what others tell, offer or ask, and the test looks at it.

    A request is answered at once where `on` says how, else when the test calls `answer` or `fail`.
    """

    def __init__(self, name: str = "probe") -> None:
        self._mailbox = Mailbox(name, Backpressure())
        self._mailbox.sleeper = self._take
        self.ref: Ref[M] = Ref(name, self._mailbox)
        self.received: list[M] = []
        """Everything, in the order in which it came."""
        self._seen = 0
        self._scripts: dict[type, Callable[[Any], object]] = {}
        self._owed: deque[ReplySlot] = deque()
        self._came = trio.Event()

    async def next(self, seconds: float = PROBE_SECONDS) -> M:
        """The first message that `next` did not return yet. AssertionError when none comes within so many seconds."""
        with trio.move_on_after(seconds):
            while self._seen == len(self.received):
                self._came = trio.Event()
                await self._came.wait()
            self._seen += 1
            return self.received[self._seen - 1]
        raise AssertionError(f"{self.ref.name} heard nothing more within {seconds:g} s; until then: {self.received}")

    def on(self, kind: type[Request[R]], reply: Callable[[Any], R]) -> None:
        """From now on answer each request of this kind with what `reply` makes of it; with what it raises, if that is an Exception."""
        self._scripts[kind] = reply

    def answer(self, value: object) -> None:
        """The oldest request that has no answer yet."""
        self._oldest().answer(value)

    def fail(self, error: Exception) -> None:
        """The oldest request that has no answer yet."""
        self._oldest().fail(error)

    def _oldest(self) -> ReplySlot:
        while self._owed:
            slot = self._owed.popleft()
            if not slot.answered:  # its asker may have left
                return slot
        raise AssertionError(f"{self.ref.name} has no request to answer")

    def _take(self) -> None:
        """Called by the mailbox within the send, so no task is needed."""
        while (envelope := self._mailbox.get_nowait()) is not None:
            message, slot = envelope[0], envelope[1]
            self.received.append(message)
            if isinstance(slot, ReplySlot):
                self._reply(message, slot)
        self._mailbox.sleeper = self._take
        self._came.set()

    def _reply(self, request: object, slot: ReplySlot) -> None:
        script = self._scripts.get(type(request))
        if script is None:
            self._owed.append(slot)
            return
        try:
            slot.answer(script(request))
        except Exception as error:  # noqa: BLE001 the script's way to refuse
            slot.fail(error)


# -- crashes on purpose --


class Nonsense(Message, frozen=True, tag=True):
    """What no actor understands: it crashes the one that gets it (`confuse`), where its `match` ends in `assert_never`."""


def confuse(ref: Ref[Any], *, urgent: bool = False) -> None:
    """Crash a living actor by a message that it does not understand, which the ref itself would refuse."""
    if urgent:
        ref._mailbox.put_urgent(Nonsense())
    else:
        ref._mailbox.offer(Nonsense())


class InjectedCrash(Exception):
    """What `crash_at` and `crash_by_chance` kill an actor with."""


def crash_at(n: int, make: Callable[[], Actor[M]], *, after: bool = False) -> Callable[[], Actor[M]]:
    """Makes the same actors; the n-th message (from 1, over all incarnations) kills the one that gets it.

    With `after`, when it was handled and not yet answered: the outcome that an asker cannot know.
    """
    handled = 0

    def due() -> bool:
        nonlocal handled
        handled += 1
        return handled == n

    return lambda: _Fragile(make(), due, after=after)


def crash_by_chance(chance: float, random: Random, make: Callable[[], Actor[M]], *, after: bool = False) -> Callable[[], Actor[M]]:
    """Makes the same actors; each message kills the one that gets it with this probability."""
    return lambda: _Fragile(make(), lambda: random.random() < chance, after=after)


class _Fragile(Actor[M]):
    """Another actor, until it is due: also where that answers or takes at once."""

    def __init__(self, inner: Actor[M], due: Callable[[], bool], *, after: bool) -> None:
        self._inner = inner
        self._due = due
        self._after = after
        self._counted: tuple[object, bool] | None = None
        """A message that was looked at and left to its turn, and whether it is due."""
        # what the loop asks the class for
        for name in ("answers_at_once", "takes_at_once", "batch", "cleans_up", "vocabulary"):
            vars(self)[name] = getattr(inner, name)

    async def started(self) -> None:
        self._inner.context = self.context
        await self._inner.started()

    async def handle(self, message: M) -> object:
        due = self._is_due(message)
        reply = await self._inner.handle(message)
        if due:
            raise InjectedCrash(f"after {message!r}")
        return reply

    def answer(self, request: M) -> object:
        return self._at_once(request, self._inner.answer, NotImplemented)

    def take(self, message: M) -> bool:
        return bool(self._at_once(message, self._inner.take, False))

    def _is_due(self, message: M) -> bool:
        """Count it, once. Raises InjectedCrash where that is to be before it is handled."""
        counted, self._counted = self._counted, None
        due = counted[1] if counted is not None and counted[0] is message else self._due()
        if due and not self._after:
            raise InjectedCrash(f"before {message!r}")
        return due

    def _at_once(self, message: M, handle: Callable[[M], object], declined: object) -> object:
        due = self._is_due(message)
        result = handle(message)
        if result is declined:
            self._counted = (message, due)
        elif due:
            raise InjectedCrash(f"after {message!r}")
        return result

    async def stopped(self) -> None:
        await self._inner.stopped()
