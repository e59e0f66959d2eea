"""PositionTracker: positions and P&L as the fold of the ledger.

It reads the ledger from the store by a cursor, so no entry can be lost or counted twice: whoever made entries durable
asks it to catch up, and it looks by itself each second in case nobody could.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import assert_never

import trio

from arbiter.actors.market_feed import MarketData
from arbiter.domain.ids import OutcomeKey, UserId
from arbiter.domain.ledger import LedgerFold, Position
from arbiter.domain.marks import Mark, mark
from arbiter.runtime import Actor, Cursor, Environment, Message, Request, Topic
from arbiter.store.base import NumberedEntry, Store

MARK_SECONDS = 1.0
"""How often held positions are valued anew, and the ledger is looked at unasked."""
PAGE = 1000
"""Ledger entries read together."""


class PositionChanged(Message, frozen=True, tag=True):
    """A position as it is now, with its value. A closed one has size 0 and is the last word of its key."""

    position: Position
    mark: Mark
    at_ms: int


class CatchUp(Request[None], frozen=True, tag=True):
    """Answered when every ledger entry up to `sequence` is in the positions."""

    sequence: int


class GetPositions(Request[tuple[PositionChanged, ...]], frozen=True, tag=True):
    """A user's open positions, valued now, in outcome order."""

    user: UserId


class GetHoldings(Request[tuple[Position, ...]], frozen=True, tag=True):
    """Every position that a user has or ever had (closed ones have size 0): what cash and risk are computed from."""

    user: UserId


Messages = CatchUp | GetPositions | GetHoldings


class _Ledger:
    """The store's ledger as a log."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read_after(self, position: int, limit: int) -> Sequence[NumberedEntry]:
        return await self._store.ledger_after(position, limit)


class PositionTracker(Actor[Messages]):
    """Folds entries into positions and publishes each change of a position or of its value."""

    def __init__(
        self, store: Store, data: MarketData, changes: Topic[tuple[UserId, OutcomeKey], PositionChanged], environment: Environment
    ) -> None:
        self._cursor: Cursor[NumberedEntry] = Cursor(_Ledger(store), batch=PAGE)  # from the beginning: the fold is in memory
        self._data = data
        self._changes = changes
        self._environment = environment
        self._fold = LedgerFold()
        self._ever: dict[UserId, dict[OutcomeKey, Position]] = defaultdict(dict)
        self._held: dict[UserId, dict[OutcomeKey, PositionChanged]] = defaultdict(dict)
        self._told = False
        """From the start's last step on each change is told; before it the ledger's past would be."""

    async def started(self) -> None:
        await self._read_on()
        self._changes.start_over()
        self._told = True
        for positions in tuple(self._ever.values()):
            for position in tuple(positions.values()):
                if position.size:
                    self._tell(position)
        self.context.start_task(self._look_for_ever)

    async def handle(self, message: Messages) -> object:
        match message:
            case CatchUp(sequence):
                if sequence > self._cursor.position:
                    await self._read_on()
                return None
            case GetPositions() | GetHoldings():
                return self.answer(message)
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        match request:
            case GetPositions(user):
                self._mark_user(user)
                return tuple(sorted(self._held[user].values(), key=lambda change: change.position.outcome))
            case GetHoldings(user):
                return tuple(self._ever[user].values())
            case _:
                return NotImplemented

    async def _look_for_ever(self) -> None:
        while True:
            await trio.sleep(MARK_SECONDS)
            await self._read_on()
            for user in tuple(self._held):
                self._mark_user(user)

    async def _read_on(self) -> None:
        """Apply what the ledger holds beyond the cursor."""
        await self._cursor.read_on(self._apply)

    async def _apply(self, page: Sequence[NumberedEntry]) -> None:
        for numbered in page:
            position = self._fold.apply(numbered.entry)
            self._ever[position.user][position.outcome] = position
            if self._told:
                self._tell(position)

    # -- telling --

    def _tell(self, position: Position) -> None:
        change = self._valued(position)
        held = self._held[position.user]
        key = (position.user, position.outcome)
        if position.size:
            held[position.outcome] = change
            self._changes.publish(key, change)
        else:
            held.pop(position.outcome, None)
            self._changes.publish_passing(key, change)

    def _mark_user(self, user: UserId) -> None:
        for change in tuple(self._held[user].values()):
            valued = self._valued(change.position)
            if valued.mark != change.mark:
                self._tell(change.position)

    def _valued(self, position: Position) -> PositionChanged:
        book = self._data.books.get(position.outcome)
        fresh = book is not None and self._data.fresh(book, self._environment.monotonic())
        value = mark(position, book.bids if book and fresh else (), book.asks if book and fresh else ())
        return PositionChanged(position, value, self._environment.unix_ms())
