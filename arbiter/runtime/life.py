"""What an incarnation's loop needs of those around it: its actor, its supervisor, and the orders that both may give it."""

from typing import Any, ClassVar, Protocol

import trio

from arbiter.runtime.mailbox import Order

STOP = Order()
"""Finish the message in hand, then end."""
PASSIVATE = Order()
"""End, unless something waits."""


class Crashed(Order):
    """End by what was raised while answering or taking in another's task."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Incarnation(Protocol):
    """What the loop needs of an actor (`actor.py` says what each means)."""

    answers_at_once: ClassVar[bool]
    takes_at_once: ClassVar[bool]
    batch: ClassVar[int]
    starts_up: ClassVar[bool]
    cleans_up: ClassVar[bool]
    context: Any

    async def started(self) -> None: ...

    async def handle(self, message: Any) -> object: ...

    def answer(self, request: Any) -> object: ...

    def take(self, message: Any) -> bool: ...

    async def stopped(self) -> None: ...


class Life(Protocol):
    """What the loop needs of its supervisor."""

    stop_by: float
    """When the incarnation is to be gone, where it is being stopped."""
    told_to_stop: bool
    cleaning: trio.CancelScope | None
    """In which it cleans up: a stop that comes meanwhile may shorten it."""

    def begin(self, scope: trio.CancelScope, *, starts_up: bool) -> None:
        """It runs in this scope."""

    def started(self) -> None:
        """It is ready."""
