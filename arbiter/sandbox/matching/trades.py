"""The life of a trade: MATCHED -> MINED -> CONFIRMED, or by RETRYING, or to FAILED, which takes everything back.

Only CONFIRMED and FAILED are final. Which way a trade goes is its fate, and a script may set it before or after it began.
"""

from collections import deque
from enum import Enum
from heapq import heappop, heappush
from types import MappingProxyType

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketKey, OrderId, OutcomeKey
from arbiter.domain.money import Micros
from arbiter.sandbox.matching.orders import AccountId

KEPT_TRADES = 100_000
"""Final trades beyond these are forgotten, oldest first."""


class TradeStatus(Enum):
    """Where a trade stands on its way to the chain."""

    MATCHED = "matched"
    MINED = "mined"
    RETRYING = "retrying"
    CONFIRMED = "confirmed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (TradeStatus.CONFIRMED, TradeStatus.FAILED)


_T = TradeStatus
STEPS: MappingProxyType[TradeStatus, frozenset[TradeStatus]] = MappingProxyType(
    {
        _T.MATCHED: frozenset({_T.MINED, _T.RETRYING, _T.FAILED}),
        # a block can be undone: a hash that is seen before CONFIRMED can change
        _T.MINED: frozenset({_T.CONFIRMED, _T.RETRYING, _T.FAILED}),
        _T.RETRYING: frozenset({_T.MINED, _T.FAILED}),
        _T.CONFIRMED: frozenset(),
        _T.FAILED: frozenset(),
    }
)


class Fate(Enum):
    """What a trade goes through after MATCHED."""

    CONFIRMED = (_T.MINED, _T.CONFIRMED)
    RETRIED = (_T.RETRYING, _T.MINED, _T.CONFIRMED)
    FAILED = (_T.FAILED,)
    FAILED_AFTER_RETRY = (_T.RETRYING, _T.FAILED)
    FAILED_AFTER_MINED = (_T.MINED, _T.RETRYING, _T.FAILED)


class Leg(msgspec.Struct, frozen=True):
    """One party's part of a trade, in its own terms. `account` and `order` None: the crowd's.

    `cash`: dollars for the shares without the fee, never negative; paid when it bought, got when it sold. `shares_after`:
    what it holds of its outcome, unconfirmed shares too; where positions net, YES less NO of the market.
    """

    account: AccountId | None
    order: OrderId | None
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    cash: Micros
    fee: Micros
    taker: bool
    pool: int
    shares_after: Micros = Micros(0)


class Trade(msgspec.Struct, frozen=True):
    """One arriving order met others. Makers may be of the other outcome, at the complementary price.

    `price` is of YES, and one for all of it. Each leg's own price is of its own outcome.
    """

    id: str
    market: MarketKey
    price: Micros
    taker: Leg
    makers: tuple[Leg, ...]
    at_ms: int
    updated_ms: int
    status: TradeStatus = TradeStatus.MATCHED

    @property
    def legs(self) -> tuple[Leg, ...]:
        return (self.taker, *self.makers)

    def become(self, status: TradeStatus, now_ms: int) -> "Trade":
        """ValueError for a step that the table does not have."""
        if status not in STEPS[self.status]:
            raise ValueError(f"trade {self.id}: {self.status.value} cannot become {status.value}")
        return msgspec.structs.replace(self, status=status, updated_ms=now_ms)


class TradeBoard:
    """All trades and the steps that are due. `step_ms` None: each is final as it comes."""

    def __init__(self, step_ms: int | None) -> None:
        self.trades: dict[str, Trade] = {}
        self._step_ms = step_ms
        self._fates: deque[Fate] = deque()
        self._ahead: dict[str, list[TradeStatus]] = {}
        self._due: list[tuple[int, int, str]] = []
        self._planned: dict[str, int] = {}
        """By trade the number of the only entry of `_due` that counts."""
        self._plans = 0
        self._number = 0
        self._final: deque[str] = deque()

    def next_id(self) -> str:
        self._number += 1
        return f"trade-{self._number:08d}"

    def doom(self, fate: Fate, count: int = 1) -> None:
        """The next so many trades go this way."""
        self._fates.extend([fate] * count)

    def turn(self, trade: str, fate: Fate, now_ms: int) -> None:
        """A trade that is under way goes this way from now on. KeyError if it is unknown or final."""
        if trade not in self._ahead:
            raise KeyError(trade)
        allowed = STEPS[self.trades[trade].status]
        # what lies behind it already is left out
        start = next(index for index, step in enumerate(fate.value) if step in allowed)
        self._ahead[trade] = list(fate.value[start:])
        self._plan(trade, now_ms)

    def add(self, trade: Trade) -> Trade:
        """As it is kept: final at once where trades have no life."""
        if self._step_ms is None:
            trade = msgspec.structs.replace(trade, status=_T.CONFIRMED)
            self._end(trade.id)
        else:
            fate = self._fates.popleft() if self._fates else Fate.CONFIRMED
            self._ahead[trade.id] = list(fate.value)
            self._plan(trade.id, trade.at_ms)
        self.trades[trade.id] = trade
        return trade

    @property
    def next_ms(self) -> int | None:
        """When the next step is due, Unix ms; it may turn out to be none."""
        return self._due[0][0] if self._due else None

    def advance(self) -> Trade | None:
        """The step that is due next. None: it was replanned or done meanwhile."""
        at_ms, number, trade = heappop(self._due)
        if self._planned.get(trade) != number:
            return None
        moved = self._step(trade, at_ms)
        if trade in self._ahead:
            self._plan(trade, at_ms)
        return moved

    def rush(self, market: MarketKey, now_ms: int) -> list[Trade]:
        """Every step that trades of this market still have before them, at once: it is about to pay."""
        moved = []
        for trade in [each for each in self._ahead if self.trades[each].market == market]:
            while trade in self._ahead:
                moved.append(self._step(trade, now_ms))
        return moved

    def _step(self, trade: str, at_ms: int) -> Trade:
        moved = self.trades[trade] = self.trades[trade].become(self._ahead[trade].pop(0), at_ms)
        if moved.status.is_final:
            del self._ahead[trade], self._planned[trade]
            self._end(trade)
        return moved

    def _plan(self, trade: str, now_ms: int) -> None:
        assert self._step_ms is not None
        self._plans += 1
        self._planned[trade] = self._plans
        heappush(self._due, (now_ms + self._step_ms, self._plans, trade))

    def _end(self, trade: str) -> None:
        self._final.append(trade)
        if len(self._final) > KEPT_TRADES:
            self.trades.pop(self._final.popleft(), None)
