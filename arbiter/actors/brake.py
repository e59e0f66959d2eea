"""Brake: whether each user's trading goes on, and everybody's. A stop holds at once, then becomes durable, then is acknowledged.

Everybody's is the status of `SYSTEM`, halted and resumed by the same messages. What holds for a user is the stricter of both.

The `Latch` lives outside the actors that restart: it is asked, with no await between, before each order leaves. It also
knows which states the store may not hold yet, so that a restart of the brake forgets none. No message waits for the
journal in the mailbox: a stop is never behind another's write.
"""

from collections.abc import Iterable
from typing import assert_never

import trio

from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.domain.ids import UserId
from arbiter.domain.trading_state import SYSTEM, TradingState, TradingStatus
from arbiter.errors import ActorStopped, ArbiterError, AskTimeout, RefusedByRisk, StoreError
from arbiter.runtime import Actor, Environment, Message, Ref, ReplySlot, Request
from arbiter.store.base import PutTradingStatus, StopMarker, Store

DURABLE_SECONDS = 0.25
"""A stop that is not durable by then is acknowledged as such, marked, and written again until it is."""
MARKER_SECONDS = 0.5
"""The longest that an answer waits for the marker, which a sick disk may hold up too."""
COMMIT_SECONDS = 5.0
AGAIN_SECONDS = 1.0
HALTED = "TRADING_HALTED"
"""The reason code of everything that is refused because its user's trading is stopped."""
HALTED_FOR_ALL = "TRADING_HALTED_FOR_ALL"
"""The same where operators stopped everybody's, which the user cannot lift."""


class Halt(Request["Halted"], frozen=True, tag=True):
    """Stop a user's trading, or everybody's. It holds before this is answered; halting twice keeps the first time and reason."""

    user: UserId
    reason: str


class Halted(Message, frozen=True, tag=True):
    """The stop holds. `durable`: also over a restart of the program, already now. `changed`: it did not hold, or was being lifted."""

    status: TradingStatus
    durable: bool
    changed: bool = False


class Resume(Request[TradingStatus], frozen=True, tag=True):
    """Lift a user's own stop, or everybody's: neither lifts the other. Answered with what holds then. Durable before it holds.

    Raises StoreError; RefusedByRisk where a stop comes meanwhile.
    """

    user: UserId


class GetTradingStatus(Request[TradingStatus], frozen=True, tag=True):
    """Whether a user's trading goes on: the stricter of the user's own status and everybody's."""

    user: UserId


class GetStanding(Request["Standing"], frozen=True, tag=True):
    """What holds for a user, and whose stop it is."""

    user: UserId


class Standing(Message, frozen=True, tag=True):
    """What holds, and the user's own status."""

    effective: TradingStatus
    own: TradingStatus

    @property
    def by_operator(self) -> bool:
        """Trading is stopped for everybody."""
        return self.effective.user == SYSTEM


class CountHalted(Request[int], frozen=True, tag=True):
    """How many users' own trading is stopped."""


Messages = Halt | Resume | GetTradingStatus | GetStanding | CountHalted


class Latch:
    """What holds now, in memory, and what of it the store may not hold. Only the brake changes it; who sends orders reads it."""

    def __init__(self) -> None:
        self._statuses: dict[UserId, TradingStatus] = {}
        self._doubts: dict[UserId, object] = {}
        self.loaded = False

    def own(self, user: UserId) -> TradingStatus:
        """A user's own status, or that of SYSTEM. Before the first load nobody may trade: unknown fails closed."""
        if not self.loaded:
            return TradingStatus(user, TradingState.HALTED, 0, "the trading state is being loaded")
        return self._statuses.get(user, TradingStatus(user))

    def status(self, user: UserId) -> TradingStatus:
        """What holds for a user. Where everybody is stopped, that is the status of SYSTEM."""
        system = self._statuses.get(SYSTEM)
        return system if system is not None and system.state is TradingState.HALTED and self.loaded else self.own(user)

    def halted(self, user: UserId) -> bool:
        return self.status(user).state is TradingState.HALTED

    def require_trading(self, user: UserId) -> None:
        """Raises RefusedByRisk while the user's trading is stopped, or everybody's."""
        status = self.status(user)
        if status.state is not TradingState.HALTED:
            return
        if status.user == SYSTEM:
            raise RefusedByRisk(HALTED_FOR_ALL, "trading is stopped for everybody by an operator; only an operator can resume it")
        raise RefusedByRisk(HALTED, "trading is stopped; it goes on only after ResumeTrading (in the chat: /resume CONFIRM)")

    def halted_users(self) -> int:
        """How many users stopped their own trading."""
        return sum(status.state is TradingState.HALTED for user, status in self._statuses.items() if user != SYSTEM)

    def set(self, status: TradingStatus) -> None:
        self._statuses[status.user] = status

    def load(self, stored: Iterable[TradingStatus], marked: Iterable[TradingStatus] = ()) -> None:
        """What is durable, and the stops that the marker keeps. A halt that is only in memory stays: nothing but a resume lifts one."""
        stored = tuple(stored)
        for status in (*marked, *stored):
            known = self._statuses.get(status.user)
            if known is None or known.state is not TradingState.HALTED:
                self._statuses[status.user] = status
        durable = {status.user for status in stored if status.state is TradingState.HALTED}
        for user in self._statuses.keys() - durable:
            if self._statuses[user].state is TradingState.HALTED and user not in self._doubts:
                self.doubt(user)
        self.loaded = True

    # -- what the store may not hold --

    def doubt(self, user: UserId) -> None:
        """From now on the store may say something else than what holds; writes under way settle that no more."""
        self._doubts[user] = object()

    def doubt_of(self, user: UserId) -> object | None:
        """The doubt as it is now; None where the store says what holds."""
        return self._doubts.get(user)

    def settle(self, user: UserId, doubt: object | None) -> None:
        """What held at the time of this doubt is durable. A newer doubt stays."""
        if self._doubts.get(user) is doubt:
            self._doubts.pop(user, None)

    def unwritten(self) -> tuple[TradingStatus, ...]:
        """What holds of everybody whose state is in doubt."""
        return tuple(self.own(user) for user in self._doubts)


class Brake(Actor[Messages]):
    """Sets and lifts the latch, and makes what it set durable."""

    def __init__(self, store: Store, journal: Ref[JournalMessages], latch: Latch, environment: Environment, marker: StopMarker) -> None:
        self._store = store
        self._journal = journal
        self._latch = latch
        self._environment = environment
        self._marker = marker
        self._marked: tuple[TradingStatus, ...] | None = None
        """What the marker says; None: not known."""
        self._marking = trio.Lock()
        self._resuming: dict[UserId, list[ReplySlot]] = {}
        """Resumes whose commit is under way, with who waits for it. A stop takes its user out."""

    async def started(self) -> None:
        marked = () if self._latch.loaded else await self._marker.read()
        self._latch.load(await self._store.trading_statuses(), marked)
        self.context.start_task(self._write_again_for_ever)

    async def handle(self, message: Messages) -> object:
        match message:
            case Halt(user, reason):
                changed = self._latch.own(user).state is not TradingState.HALTED or user in self._resuming
                status = self._halt(user, reason)
                self.context.start_task(self._answer_halt, status, changed, self.context.answer_later())
                return None
            case Resume(user):
                return self._resume(user)
            case GetTradingStatus() | GetStanding() | CountHalted():
                return self.answer(message)
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        match request:
            case GetTradingStatus(user):
                return self._latch.status(user)
            case GetStanding(user):
                return Standing(self._latch.status(user), self._latch.own(user))
            case CountHalted():
                return self._latch.halted_users()
            case _:
                return NotImplemented

    # -- stopping --

    def _halt(self, user: UserId, reason: str) -> TradingStatus:
        """No await in here: it holds when this returns."""
        status = self._latch.own(user)
        for slot in self._resuming.pop(user, ()):
            slot.fail(RefusedByRisk(HALTED, "trading was stopped again before it was resumed"))
        if status.state is not TradingState.HALTED:
            status = TradingStatus(user, TradingState.HALTED, self._environment.unix_ms(), reason)
            self._latch.set(status)
            self._latch.doubt(user)
        return status

    async def _answer_halt(self, status: TradingStatus, changed: bool, slot: ReplySlot) -> None:
        user = status.user
        if self._latch.doubt_of(user) is not None:
            await self._write(status, DURABLE_SECONDS)
        if self._latch.doubt_of(user) is not None:
            await self._mark_soon()
        slot.answer(Halted(status, self._latch.doubt_of(user) is None, changed))

    async def _write(self, status: TradingStatus, seconds: float) -> None:
        """Make it durable, unless it holds no more or is being lifted: then it would come after the resume's own write."""
        if self._latch.own(status.user) is not status or status.user in self._resuming:
            return
        doubt = self._latch.doubt_of(status.user)
        try:
            await self._journal.ask(Commit((PutTradingStatus(status),)), timeout=seconds)
        except (StoreError, ActorStopped, AskTimeout) as error:
            self.context.log.error("a trading state is not durable yet", user=status.user, problem=str(error))
        else:
            self._latch.settle(status.user, doubt)

    async def _write_again_for_ever(self) -> None:
        while True:
            for status in self._latch.unwritten():
                await self._write(status, COMMIT_SECONDS)
            await self._mark()
            await trio.sleep(AGAIN_SECONDS)

    # -- the marker: the stops that are not durable, for a start to find --

    async def _mark_soon(self) -> None:
        """Update the marker; do not wait longer than `MARKER_SECONDS` for it."""
        done = trio.Event()
        self.context.start_task(self._mark, done)
        with trio.move_on_after(MARKER_SECONDS):
            await done.wait()

    async def _mark(self, done: trio.Event | None = None) -> None:
        async with self._marking:
            stops = tuple(status for status in self._latch.unwritten() if status.state is TradingState.HALTED)
            if stops != self._marked:
                try:
                    await self._marker.write(stops)
                    self._marked = stops
                except StoreError as error:
                    self._marked = None
                    self.context.log.error("the stop marker could not be written", stops=len(stops), problem=str(error))
        if done is not None:
            done.set()

    # -- resuming --

    def _resume(self, user: UserId) -> TradingStatus | None:
        if self._latch.own(user).state is TradingState.ACTIVE:
            return self._latch.status(user)
        if user not in self._resuming:
            self._resuming[user] = []
            self.context.start_task(self._write_resume, user, self._resuming[user])
        self._resuming[user].append(self.context.answer_later())
        return None

    async def _write_resume(self, user: UserId, waiting: list[ReplySlot]) -> None:
        if self._resuming.get(user) is not waiting:
            return
        self._latch.doubt(user)  # where the outcome stays unknown, the store may say that trading goes on
        doubt = self._latch.doubt_of(user)
        status = TradingStatus(user, TradingState.ACTIVE, self._environment.unix_ms())
        problem: ArbiterError | None = None
        try:
            await self._journal.ask(Commit((PutTradingStatus(status),)), timeout=COMMIT_SECONDS)
        except (StoreError, ActorStopped, AskTimeout) as error:
            problem = error
        if self._resuming.get(user) is not waiting:
            self._latch.doubt(user)  # stopped meanwhile: the stop is written after this, whatever came first
            return
        if problem is None:
            self._latch.set(status)
            self._latch.settle(user, doubt)
            if self._marked != ():
                await self._mark_soon()
        del self._resuming[user]
        _answer_all(waiting, self._latch.status(user), problem)


def _answer_all(waiting: Iterable[ReplySlot], status: TradingStatus, problem: ArbiterError | None) -> None:
    for slot in waiting:
        if problem is None:
            slot.answer(status)
        else:
            slot.fail(problem)
