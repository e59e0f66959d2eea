"""Paper fills: what an order would have got from the visible book.

An arriving order takes what its limit allows, level by level, as a taker. A resting remainder is filled at its own
limit, as a maker, when the other side later reaches it. What an order took from a level it cannot take again while
that level merely stays. Our paper orders do not see each other's fills: the visible book is the venue's, not ours.
"""

import copy
from collections.abc import Callable, Iterable

from arbiter.domain.book import Level, Levels, Side
from arbiter.domain.fees import FeeMeter
from arbiter.domain.ids import FillId
from arbiter.domain.market import Market
from arbiter.domain.money import Micros, pico_ceil, pico_floor
from arbiter.domain.order import Fill, Order, OrderState, TimeInForce


class PaperMatcher:
    """One order against the books that come."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._fees: FeeMeter | None = None
        self._taken: dict[int, int] = {}

    def copy(self) -> "PaperMatcher":
        """Another one that stands where this one stands: what is matched on one changes nothing of the other."""
        twin = copy.copy(self)
        twin._taken, twin._fees = dict(self._taken), copy.copy(self._fees)
        return twin

    def match(
        self, bids: Levels, asks: Levels, market: Market, now_ms: int, new_fill_id: Callable[[], FillId]
    ) -> tuple[Order, tuple[Fill, ...]]:
        """The order after meeting this book, and its fills. Raises UnknownFees for a market without a schedule."""
        if self._fees is None:
            self._fees = FeeMeter(market.fees)
        arriving = self.order.state is OrderState.SUBMITTING
        takeable = self._takeable(asks if self.order.side is Side.BUY else bids)
        if arriving and self.order.tif is TimeInForce.FOK and sum(level.size for level in takeable) < self.order.remaining:
            self.order = self.order.become(OrderState.CANCELLED, now_ms, reason="fill-or-kill: not enough in the book")
            return self.order, ()
        fills = tuple(self._fill(level, now_ms, new_fill_id, taker=arriving) for level in takeable)
        if arriving and not self.order.state.is_final:
            self._settle_remainder(now_ms)
        return self.order, fills

    def _takeable(self, levels: Levels) -> list[Level]:
        """What the limit allows, up to the remaining size, without what was taken before."""
        order, wanted = self.order, self.order.remaining
        found: list[Level] = []
        seen: dict[int, int] = {price: min(taken, size) for price, size in levels if (taken := self._taken.get(price))}
        self._taken = seen
        for price, size in levels:
            within = price <= order.price if order.side is Side.BUY else price >= order.price
            if not within or not wanted:
                break
            taken = min(wanted, size - seen.get(price, 0))
            if taken > 0:
                found.append(Level(price, Micros(taken)))
                wanted = Micros(wanted - taken)
        return found

    def _fill(self, level: Level, now_ms: int, new_fill_id: Callable[[], FillId], *, taker: bool) -> Fill:
        order = self.order
        assert self._fees is not None
        self._taken[level.price] = self._taken.get(level.price, 0) + level.size
        price = level.price if taker else order.price
        pico = price * level.size
        cash = pico_ceil(pico) if order.side is Side.BUY else pico_floor(pico)
        fee = self._fees.charge(order.side, price, level.size, taker=taker)
        self.order = order.fill(level.size, now_ms)
        whose = order.id, order.user, order.outcome, order.side
        return Fill(new_fill_id(), *whose, price, level.size, cash, fee, now_ms, order.strategy, taker)

    def _settle_remainder(self, now_ms: int) -> None:
        order = self.order
        if order.tif is not TimeInForce.GTC:
            reason = "nothing in the book within the limit" if not order.filled else "the rest found nothing within the limit"
            self.order = order.become(OrderState.CANCELLED, now_ms, reason=reason)
        elif order.state is OrderState.SUBMITTING:
            self.order = order.become(OrderState.OPEN, now_ms)


class ResumedMatcher(PaperMatcher):
    """Of an order that rested before a restart, with its fills until then, oldest first. Its fees go on where they stood.

    What it took is still in the visible book, but from which level is not known. So as much as it was filled counts as
    taken from the best levels of the first book that it meets.
    """

    def __init__(self, order: Order, fills: Iterable[Fill]) -> None:
        super().__init__(order)
        self._before = tuple(fills)

    def match(
        self, bids: Levels, asks: Levels, market: Market, now_ms: int, new_fill_id: Callable[[], FillId]
    ) -> tuple[Order, tuple[Fill, ...]]:
        if self._fees is None:
            self._fees = FeeMeter(market.fees)
            for fill in self._before:
                self._fees.charge(fill.side, fill.price, fill.size, taker=fill.taker)
            self._take_best(asks if self.order.side is Side.BUY else bids)
        return super().match(bids, asks, market, now_ms, new_fill_id)

    def _take_best(self, levels: Levels) -> None:
        left = int(self.order.filled)
        for price, size in levels:
            self._taken[price] = min(size, left)
            left -= self._taken[price]
