"""What an incarnation may do beside handling, and the loop that it lives in."""

import math
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Generic, TypeVar

import structlog
import trio

from arbiter.errors import ActorStopped, ArbiterError
from arbiter.runtime.correlation import correlation
from arbiter.runtime.crash import report, single
from arbiter.runtime.follower import Follower
from arbiter.runtime.life import PASSIVATE, STOP, Crashed, Incarnation, Life
from arbiter.runtime.mailbox import Mailbox
from arbiter.runtime.ref import Position, Ref, ReplySlot, sender
from arbiter.runtime.reply import Origin
from arbiter.runtime.statistics import Statistics
from arbiter.runtime.timer import Timer
from arbiter.runtime.topic import Topic

E = TypeVar("E")
K = TypeVar("K")
M = TypeVar("M")


class Context(Generic[M]):
    """What an incarnation may do beside handling: start tasks, follow topics, answer later."""

    __slots__ = (
        "_exit",
        "_followed",
        "_mailbox",
        "_may_passivate",
        "_nursery",
        "_owed",
        "_slot",
        "_stats",
        "in_hand",
        "name",
        "passive",
        "position",
        "ref",
    )

    def __init__(self, ref: Ref[M], position: Position, mailbox: Mailbox, stats: Statistics, *, may_passivate: bool = False) -> None:
        self.name = ref.name
        self.position = position
        self.ref = ref
        self.passive = False
        """It ended because nothing is to be done, and lives again with the next message."""
        self.in_hand = ""
        """The type of the message that was in hand when it ended by an error or was cancelled."""
        self._mailbox = mailbox
        self._stats = stats
        self._may_passivate = may_passivate
        self._slot: ReplySlot | None = None
        self._owed: set[ReplySlot] | None = None
        self._nursery: trio.Nursery | None = None
        self._exit: ExitStack | None = None
        self._followed: set[ExitStack] | None = None

    @property
    def log(self) -> Any:
        """Names the actor in each line."""
        return structlog.get_logger(actor=self.name)

    def start_task(self, function: Callable[..., Awaitable[object]], *args: object, name: str | None = None) -> None:
        """Run beside the message loop. It dies with the incarnation; if it raises, the incarnation crashes."""
        if self._nursery is None:
            raise RuntimeError(f"{self.name} is not running")
        token = sender.set((self.name, self.position))  # in `take` and `answer` the task is another's
        try:
            self._nursery.start_soon(function, *args, name=name or f"{self.name}.{getattr(function, '__name__', 'task')}")
        finally:
            sender.reset(token)

    def follow(self, topic: Topic[Any, Any]) -> None:
        """Deliver the topic's snapshot and then its changes into this actor's mailbox, until the incarnation ends.

        The mailbox's policy is what happens when the actor is slow. Of what a full one refuses, the newest of each key is
        delivered as soon as there is room.
        """
        if self._exit is None:
            self._exit = ExitStack()
        follower: Follower[Any, Any] = Follower(self._mailbox, self.start_task)
        self._exit.callback(follower.close)
        self._exit.enter_context(topic.deliver_each_to(follower.offer, self._crash))

    def follow_key(self, topic: Topic[K, E], key: K, when: Callable[[E, E], bool] | None = None) -> Callable[[], None]:
        """Like `follow`, for one key alone. Call what it returns to stop earlier.

        `when` is asked, with the event before and the new one, whether a change matters; what does not is never queued.
        """
        following = ExitStack()
        follower: Follower[K, E] = Follower(self._mailbox, self.start_task)
        following.callback(follower.close)
        try:
            following.enter_context(topic.deliver_key_to(key, partial(follower.offer, key), when, self._crash))
        except BaseException:
            following.close()
            raise
        followed = self._followed = self._followed if self._followed is not None else set()
        followed.add(following)

        def stop() -> None:
            followed.discard(following)
            following.close()

        return stop

    def answer_later(self) -> ReplySlot:
        """Take over answering the request in hand. What `handle` returns is then ignored, and what it raises is a crash: to refuse,
        fail the slot. A task that calls this takes whichever request is in hand just then: call it in `handle`.

        What is not answered when the incarnation ends fails with ActorStopped.
        """
        if self._slot is None:
            raise RuntimeError(f"{self.name} has no request in hand")
        slot, self._slot = self._slot, None
        self._owed = self._owed if self._owed is not None else set()
        slot.owe(self._owed)
        return slot

    def send_after(self, seconds: float, message: M) -> Timer:
        """Deliver this message to the actor itself once, so many seconds from now."""
        self.ref.vocabulary.require_told(message, self.name)
        if not 0 <= seconds < math.inf:
            raise ValueError(f"a message after {seconds} s makes no sense")
        timer = Timer()
        self.start_task(timer.run, self._mailbox, seconds, None, message, name=f"{self.name}.timer")
        return timer

    def send_every(self, seconds: float, message: M) -> Timer:
        """Deliver this message to the actor itself every so many seconds, the first time after as many.

        While the actor is behind, none is added to one that still waits for room.
        """
        self.ref.vocabulary.require_told(message, self.name)
        if not 0 < seconds < math.inf:
            raise ValueError(f"a message every {seconds} s makes no sense")
        timer = Timer()
        self.start_task(timer.run, self._mailbox, seconds, seconds, message, name=f"{self.name}.timer")
        return timer

    def stop(self) -> None:
        """End after the message in hand. What then becomes of it is its restart type's affair: a permanent one comes back."""
        self._mailbox.put_order(STOP)

    def passivate(self) -> None:
        """End, if nothing waits in the mailbox by then and no answer is owed; the next message makes it live again.

        For children of a dynamic group.
        """
        if not self._may_passivate:
            raise RuntimeError(f"{self.name} stands in no dynamic group, so nothing would make it live again")
        self._mailbox.put_order(PASSIVATE)

    def _let_go(self) -> None:
        """Of every topic that it followed."""
        if self._exit is not None:
            self._exit.close()
        for following in self._followed or ():
            following.close()
        self._followed = None

    # -- the loop, run by the supervisor --

    async def run(self, actor: Incarnation, grace: float, life: Life) -> bool:
        """One incarnation: start, handle until stopped, clean up. Raises what crashed it; whether it ended to be passive.

        Cleaning up takes at most `grace` seconds; in a stop, what the stop has left.
        """
        actor.context = self
        token = sender.set((self.name, self.position))
        crashed = False
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                life.begin(nursery.cancel_scope, starts_up=actor.starts_up)
                try:
                    await actor.started()
                    if actor.answers_at_once:
                        self._mailbox.answer = partial(self._answer, actor)
                    if actor.takes_at_once:
                        self._mailbox.take = self._taker(actor.take)
                    life.started()
                    await self._loop(actor)
                except Exception:
                    crashed = True
                    raise
                finally:
                    self._mailbox.answer = self._mailbox.take = None
                    self._let_go()
                    if actor.cleans_up:
                        crashed = crashed or (nursery.cancel_scope.cancel_called and not life.told_to_stop)
                        with trio.CancelScope(deadline=min(trio.current_time() + grace, life.stop_by), shield=True) as life.cleaning:
                            await self._clean_up(actor, crashed=crashed)
                        life.cleaning = None
                if nursery.child_tasks:
                    nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            if self._owed:
                for slot in tuple(self._owed):
                    slot.fail(ActorStopped(self.name))
            sender.reset(token)
        return self.passive

    async def _clean_up(self, actor: Incarnation, *, crashed: bool) -> None:
        try:
            await actor.stopped()
        except Exception as error:
            if not crashed:
                raise
            report(self.log, "cleaning up failed too", exc_info=error)

    def _answer(self, actor: Incarnation, request: M) -> object:
        """What the actor replies at once, in the asker's task; NotImplemented where it does not. A foreign error crashes the actor."""
        began = trio.current_time()
        try:
            reply = actor.answer(request)
        except ArbiterError:
            raise
        except Exception as error:  # noqa: BLE001 handed to the actor, whose crash it is
            self._lose(request)
            self._crash(error)
            raise ActorStopped(self.name) from None
        if reply is not NotImplemented:
            self._stats.record(trio.current_time() - began)
        return reply

    def _taker(self, take: Callable[[M], bool]) -> Callable[[M], bool]:
        """Whether the actor handled an offer, in the task of who offers. A fault crashes the actor, and the message is gone."""
        mailbox, stats, now = self._mailbox, self._stats, trio.lowlevel.current_clock().current_time

        def take_at_once(message: M) -> bool:
            mailbox.take = None  # what it offers to itself waits
            began = now()
            try:
                taken = take(message)
            except Exception as error:  # noqa: BLE001 handed to the actor, whose crash it is
                self._lose(message)
                self._crash(error)
                return True
            mailbox.take = take_at_once
            if taken:
                stats.record(now() - began)
            return taken

        return take_at_once

    def _crash(self, error: Exception) -> None:
        """Nothing more at once; the loop ends by this."""
        self._mailbox.answer = self._mailbox.take = None
        self._mailbox.put_order(Crashed(error))

    def _lose(self, message: object) -> None:
        """It is not delivered again."""
        self.in_hand = type(message).__name__
        self._stats.lost += 1

    async def _loop(self, actor: Incarnation) -> None:
        mailbox, stats, handle, now = self._mailbox, self._stats, actor.handle, trio.lowlevel.current_clock().current_time
        handled = 0
        caused_by = correlation.get()
        began = now()
        while True:
            item = mailbox.get_nowait()
            if item is None:
                if caused_by:  # what happens meanwhile was not caused by the last message
                    correlation.set("")
                    caused_by = ""
                item = await mailbox.get()
                began = now()
            message, slot, cause = item
            if message is STOP:
                return
            if message is PASSIVATE:
                if len(mailbox) or self._owed:
                    continue
                self.passive = True
                return
            if type(message) is Crashed:
                raise message.error
            if slot is not None and isinstance(slot, Origin):
                if slot.over:
                    continue
                slot = None
            if cause != caused_by:
                correlation.set(cause)
                caused_by = cause
            self._slot = slot
            try:
                reply = await handle(message)
            except BaseException as error:
                refusal = single(error)  # a nursery of the handler wraps it
                if self._slot is None or not isinstance(refusal, ArbiterError):
                    self._lose(message)
                    if slot is not None:
                        slot.fail(ActorStopped(self.name))
                    raise
                self._slot.fail(refusal)
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
