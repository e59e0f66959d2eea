"""Brake: whether each user's trading goes on. An emergency stop holds at once, then becomes durable, then is acknowledged.

The `Latch` lives outside the actors that restart: it is asked, with no await between, before each order leaves.
"""

from typing import assert_never

import trio

from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.domain.ids import UserId
from arbiter.domain.trading_state import TradingState, TradingStatus
from arbiter.errors import ActorStopped, AskTimeout, StoreError
from arbiter.runtime import Actor, Environment, Message, Ref, Request
from arbiter.store.base import PutTradingStatus, Store

DURABLE_SECONDS = 0.25
"""A stop that is not durable by then is acknowledged as such, and written again until it is."""
COMMIT_SECONDS = 5.0
AGAIN_SECONDS = 1.0


class Halt(Request["Halted"], frozen=True, tag=True):
    """Stop a user's trading. It holds before this is answered; halting twice keeps the first time and reason."""

    user: UserId
    reason: str


class Halted(Message, frozen=True, tag=True):
    """The stop holds. `durable`: also over a restart of the program, already now."""

    status: TradingStatus
    durable: bool


class Resume(Request[TradingStatus], frozen=True, tag=True):
    """Let a user trade again. Durable before it holds. Raises StoreError."""

    user: UserId


class GetTradingStatus(Request[TradingStatus], frozen=True, tag=True):
    """Whether a user's trading goes on."""

    user: UserId


Messages = Halt | Resume | GetTradingStatus


class Latch:
    """What holds now, in memory. Only the brake changes it; who sends orders reads it."""

    def __init__(self) -> None:
        self._statuses: dict[UserId, TradingStatus] = {}
        self._loaded = False

    def status(self, user: UserId) -> TradingStatus:
        """A user's status. Before the first load nobody may trade: unknown fails closed."""
        if not self._loaded:
            return TradingStatus(user, TradingState.HALTED, 0, "the trading state is being loaded")
        return self._statuses.get(user, TradingStatus(user))

    def halted(self, user: UserId) -> bool:
        return self.status(user).state is TradingState.HALTED

    def set(self, status: TradingStatus) -> None:
        self._statuses[status.user] = status

    def load(self, statuses: list[TradingStatus]) -> None:
        """What is durable. A halt that is only in memory still stays: nothing but a resume lifts one."""
        for status in statuses:
            known = self._statuses.get(status.user)
            if known is None or known.state is not TradingState.HALTED:
                self._statuses[status.user] = status
        self._loaded = True


class Brake(Actor[Messages]):
    """Sets and lifts the latch, and makes what it set durable."""

    def __init__(self, store: Store, journal: Ref[JournalMessages], latch: Latch, environment: Environment) -> None:
        self._store = store
        self._journal = journal
        self._latch = latch
        self._environment = environment
        self._unwritten: dict[UserId, TradingStatus] = {}

    async def started(self) -> None:
        self._latch.load(await self._store.trading_statuses())
        self.context.start_task(self._write_again_for_ever)

    async def handle(self, message: Messages) -> object:
        match message:
            case Halt(user, reason):
                return await self._halt(user, reason)
            case Resume(user):
                return await self._resume(user)
            case GetTradingStatus(user):
                return self._latch.status(user)
            case _:
                assert_never(message)

    async def _halt(self, user: UserId, reason: str) -> Halted:
        status = self._latch.status(user)
        if status.state is not TradingState.HALTED:
            status = TradingStatus(user, TradingState.HALTED, self._environment.unix_ms(), reason)
            self._latch.set(status)
            self._unwritten[user] = status
        if user in self._unwritten:
            await self._write(status, DURABLE_SECONDS)
        return Halted(status, user not in self._unwritten)

    async def _resume(self, user: UserId) -> TradingStatus:
        status = self._latch.status(user)
        if status.state is TradingState.ACTIVE:
            return status
        status = TradingStatus(user, TradingState.ACTIVE, self._environment.unix_ms())
        await self._journal.ask(Commit((PutTradingStatus(status),)), timeout=COMMIT_SECONDS)
        self._unwritten.pop(user, None)
        self._latch.set(status)
        return status

    async def _write(self, status: TradingStatus, seconds: float) -> None:
        try:
            await self._journal.ask(Commit((PutTradingStatus(status),)), timeout=seconds)
        except (StoreError, ActorStopped, AskTimeout) as error:
            self.context.log.error("a stop is not durable yet", user=status.user, problem=str(error))
        else:
            if self._unwritten.get(status.user) is status:
                del self._unwritten[status.user]

    async def _write_again_for_ever(self) -> None:
        while True:
            await trio.sleep(AGAIN_SECONDS)
            for status in tuple(self._unwritten.values()):
                if self._unwritten.get(status.user) is status:  # not resumed meanwhile
                    await self._write(status, COMMIT_SECONDS)
