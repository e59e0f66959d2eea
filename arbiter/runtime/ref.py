"""Refs: how an actor is reached. A ref survives the restarts of its actor.

Waiting sends (`tell`, `ask`) go only to actors earlier in the tree; the runtime refuses others, so two actors can
never wait for each other. News flows later in the tree by topic or `offer`.
"""

import math
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import trio

from arbiter.errors import AskTimeout
from arbiter.runtime.mailbox import Mailbox
from arbiter.runtime.message import Request
from arbiter.runtime.reply import ReplySlot
from arbiter.runtime.turns import IN_A_ROW, TURNS
from arbiter.runtime.vocabulary import ANYTHING

__all__ = ["DirectionError", "Position", "Ref", "ReplySlot", "sender"]

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")

Position = tuple[int, ...]
"""Where an actor stands in the tree: the indices on the way down. Earlier compares less."""

sender: ContextVar[tuple[str, Position] | None] = ContextVar("sender", default=None)
"""The actor in whose task (or child task) the code runs; None outside of the tree."""


class DirectionError(RuntimeError):
    """A waiting send toward an actor that is not earlier in the tree: a bug of the caller."""


class Ref(Generic[M_contra]):
    """The address of an actor that understands `M_contra`."""

    __slots__ = ("_mailbox", "name", "position", "vocabulary")

    def __init__(self, name: str, mailbox: Mailbox) -> None:
        self.name = name
        self.position: Position | None = None
        self.vocabulary = ANYTHING
        """Which messages the actor understands, known from its class at the latest when it is first made."""
        self._mailbox = mailbox

    def __repr__(self) -> str:
        return f"<Ref {self.name}>"

    async def tell(self, message: M_contra) -> None:
        """Deliver, waiting for room. Raises DirectionError, NotRunning (the actor is gone for good), TypeError for what it is not told."""
        if message.__class__ not in self.vocabulary.told:
            self.vocabulary.require_told(message, self.name)
        self._check_direction("tell")
        await self._mailbox.put(message)

    def offer(self, message: M_contra) -> bool:
        """Deliver without waiting, in any direction; False when it was not taken. Raises TypeError for what it is not told."""
        if message.__class__ not in self.vocabulary.told:
            self.vocabulary.require_told(message, self.name)
        return self._mailbox.offer(message)

    def offer_urgent(self, message: M_contra) -> None:
        """Deliver before everything that waits, in any direction. Raises MailboxFull when 64 urgent ones wait, TypeError."""
        self.vocabulary.require_told(message, self.name)
        self._mailbox.put_urgent(message)

    async def ask(self, request: Request[R], *, timeout: float) -> R:  # noqa: ASYNC109 a deadline is part of the message's contract
        """Deliver and wait for the reply, `timeout` seconds in all.

        Raises what the handler refused with (an ArbiterError), NotRunning when it could not be sent, ActorStopped when
        the actor died before it answered, AskTimeout past the deadline. After the last two the outcome is unknown. Overloaded where
        newer messages took its place in a mailbox that drops the oldest: then it was not begun.
        TypeError for what it is not asked, ValueError for a timeout that is not finite and above 0.
        """
        if request.__class__ not in self.vocabulary.asked:
            self.vocabulary.require_asked(request, self.name)
        try:
            ends = 0 < timeout < math.inf
        except TypeError:
            ends = False
        if not ends:
            raise ValueError(f"an ask has a deadline: a timeout of {timeout!r} s is none")
        self._check_direction("ask")
        mailbox = self._mailbox
        if mailbox.answer is not None and mailbox.idle:
            TURNS.sent += 1
            if TURNS.sent % IN_A_ROW:
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                await trio.lowlevel.checkpoint()
            if mailbox.answer is not None and mailbox.idle:  # still, after that
                reply = mailbox.answer(request)
                if reply is not NotImplemented:
                    return reply  # type: ignore[return-value]  # what the actor replies to this request
        slot = ReplySlot()
        with trio.move_on_after(timeout):
            await mailbox.put(request, slot)
            return await slot.wait()  # type: ignore[no-any-return]
        raise AskTimeout(self.name, timeout)

    def _check_direction(self, verb: str) -> None:
        current = sender.get()
        if current is None or self.position is None:
            return
        name, position = current
        if self.position >= position:
            raise DirectionError(f"{name} may not {verb} {self.name}: it is not earlier in the tree; use offer or a topic")


AnyRef = Ref[Any]
