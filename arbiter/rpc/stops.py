"""Stops that are asked for many times at once. None is refused for their number, so they are merged: one account's cost no others.

Each sets the latch for itself, a few of one account at a time. What follows the latch (cancels, strategies) is done once for all
that come while it is under way, as long as they stand under the same latch: whatever else they would end, it kept from beginning.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from arbiter.actors import brake
from arbiter.actors.brake import Halt, Halted
from arbiter.domain.ids import UserId
from arbiter.errors import AskTimeout
from arbiter.rpc.core import HALT_SECONDS
from arbiter.runtime import Ref

HALTS_AT_ONCE = 8
"""So many stops of one account are with the brake together; in more than these, one can only wait for its like."""

R = TypeVar("R")


class Stops(Generic[R]):
    """`finish` is what follows the latch: it ends what is under way and says what became of it. It takes bounded time."""

    def __init__(self, brake: Ref[brake.Messages], finish: Callable[[UserId], Awaitable[R]]) -> None:
        self._brake = brake
        self._finish = finish
        self._turns: dict[UserId, _Turns] = {}
        self._runs: dict[tuple[UserId, int], _Run[R]] = {}

    async def halt(self, user: UserId, reason: str) -> Halted:
        """Set the latch. Raises ActorStopped, or AskTimeout after `HALT_SECONDS`.

        Once the brake was asked, its answer is waited for also where the call is cancelled, so that whoever stopped something knows it.
        """
        turns = self._turns.setdefault(user, _Turns())
        turns.users += 1
        try:
            with trio.move_on_after(HALT_SECONDS) as scope:
                async with turns.limit:
                    with trio.CancelScope(deadline=scope.deadline, shield=True):
                        return await self._brake.ask(Halt(user, reason), timeout=HALT_SECONDS)
            raise AskTimeout(self._brake.name, HALT_SECONDS)
        finally:
            turns.users -= 1
            if not turns.users:
                del self._turns[user]

    async def finish(self, halted: Halted) -> R:
        """Do what follows a latch that was set, or share the answer of who is doing it. Where that one is cancelled, the next does it."""
        key = (halted.status.user, halted.status.since_ms)
        run = self._runs.setdefault(key, _Run())
        run.users += 1
        ended = run.ended
        try:
            async with run.turn:
                if run.ended == ended or run.answer is None:
                    run.answer = await self._finish(halted.status.user)
                    run.ended += 1
                return run.answer
        finally:
            run.users -= 1
            if not run.users:
                del self._runs[key]


class _Turns:
    """The stops of one account that wait for the brake."""

    def __init__(self) -> None:
        self.users = 0
        self.limit = trio.Semaphore(HALTS_AT_ONCE)


class _Run(Generic[R]):
    """What follows one latch, and who waits for it. `ended`: how often it was done."""

    def __init__(self) -> None:
        self.users = 0
        self.ended = 0
        self.turn = trio.Lock()
        self.answer: R | None = None
