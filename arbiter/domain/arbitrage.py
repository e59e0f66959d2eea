"""Two-venue arbitrage: buy an outcome on one venue and its complement on the other for less than the pair pays.

`net(q) = q - cost_A(q) - cost_B(q) - fee_A(q) - fee_B(q)`, walking both ask ladders together. Between two level
boundaries net is a straight line in q, but a fee reserve falls due with each new level, so it is not monotone: every
boundary is weighed, and each one on the size grid that the limit prices there allow. Where the markets' minimums
forbid a boundary, the smallest size that they permit is weighed in its place.
"""

from collections.abc import Iterator
from enum import Enum
from math import gcd, lcm
from typing import NamedTuple

import msgspec

from arbiter.domain.book import Levels
from arbiter.domain.fees import FeePlan, UnknownFees
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import Market, MarketStatus
from arbiter.domain.money import MICRO, ONE, Micros, ceil_to, pico_ceil


class RejectReason(Enum):
    """Why a hedge is no opportunity."""

    NO_BOOK = "no_book"  # the scanner's own: a book or a market is not known yet
    EMPTY_BOOK = "empty_book"
    NO_EDGE = "no_edge"
    EATEN_BY_FEES = "eaten_by_fees"
    BELOW_MINIMUM = "below_minimum"
    STALE_BOOK = "stale_book"
    CROSSED_BOOK = "crossed_book"
    UNKNOWN_FEES = "unknown_fees"
    PAYOUT_NOT_ONE = "payout_not_one"
    MARKET_NOT_OPEN = "market_not_open"


class Rejected(msgspec.Struct, frozen=True):
    """No opportunity, and why."""

    reason: RejectReason


REJECTED = {reason: Rejected(reason) for reason in RejectReason}
_EMPTY_BOOK, NO_EDGE = REJECTED[RejectReason.EMPTY_BOOK], REJECTED[RejectReason.NO_EDGE]


class Offer(msgspec.Struct, frozen=True):
    """One side of a hedge as it can be bought now: the outcome, its market, its book, and whether that book is fresh."""

    outcome: OutcomeKey
    market: Market
    best_bid: Micros | None
    asks: Levels
    fresh: bool


class Leg(msgspec.Struct, frozen=True):
    """What to buy on one venue: `size` at no more than `limit` (the worst walked price), planned `cost` and `fee`."""

    outcome: OutcomeKey
    limit: Micros
    size: Micros
    cost: Micros
    fee: Micros


class Opportunity(msgspec.Struct, frozen=True):
    """Both legs, the same size on each. `gross` is the payout less the cost, `net` is gross less all planned fees."""

    legs: tuple[Leg, Leg]
    size: Micros
    gross: Micros
    net: Micros

    @property
    def net_per_contract(self) -> Micros:
        return Micros(self.net * MICRO // self.size)


def find(a: Offer, b: Offer, *, min_edge: int = 0, max_size: int | None = None) -> Opportunity | Rejected:
    """The size that maximises the total net, or why there is none.

    `min_edge` is in micros a contract: a step further into the books is taken only while it earns at least that, or
    where a market's minimum asks for it and the whole still does.
    """
    hopeless = without_edge(_best_ask(a), _best_ask(b), min_edge)
    if hopeless is not None:
        return hopeless
    unfit = _unfit(a) or _unfit(b)
    if unfit is not None:
        return REJECTED[unfit]
    try:
        return _best(a, b, min_edge, max_size)
    except UnknownFees:
        return REJECTED[RejectReason.UNKNOWN_FEES]


def without_edge(ask_a: Micros | None, ask_b: Micros | None, min_edge: int = 0) -> Rejected | None:
    """What the best asks alone rule out, which is nearly everything. `find` begins with it; ask it before building offers."""
    if ask_a is None or ask_b is None:
        return _EMPTY_BOOK
    return None if _enough(ask_a, ask_b, min_edge) else NO_EDGE


def _best_ask(offer: Offer) -> Micros | None:
    return offer.asks[0].price if offer.asks else None


def _unfit(offer: Offer) -> RejectReason | None:
    """What forbids trusting this side at all."""
    market = offer.market
    if offer.best_bid is not None and offer.best_bid >= offer.asks[0].price:
        return RejectReason.CROSSED_BOOK  # which is not fresh either
    if not offer.fresh:
        return RejectReason.STALE_BOOK
    if market.status is not MarketStatus.OPEN:
        return RejectReason.MARKET_NOT_OPEN
    if market.payout != ONE:
        return RejectReason.PAYOUT_NOT_ONE
    if market.fees is None:
        return RejectReason.UNKNOWN_FEES
    return None


class _Hedged(NamedTuple):
    """A size and what both sides of it come to."""

    size: Micros
    a: "_Taken"
    b: "_Taken"
    fits: bool
    """Whether both markets permit orders so small."""

    @property
    def net(self) -> int:
        return self.size - self.a.cost - self.b.cost - self.a.fee - self.b.fee

    def rank(self, min_edge: int) -> tuple[int, int]:
        """What it earns beyond the least edge; of two that earn the same beyond it, the one that earns more."""
        net = self.net
        return (net * MICRO - min_edge * self.size, net)


class _Taken(NamedTuple):
    """What an order comes to: its limit is the worst price that it takes."""

    limit: Micros
    cost: Micros
    fee: Micros


class _Walk:
    """One ask ladder, walked from its best level: the level in hand, and what all before it come to."""

    __slots__ = ("_before", "_fees", "_index", "_offer", "_pico", "end", "price")

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._fees = FeePlan(offer.market.fees)
        self._index = 0
        self._before = 0
        self._pico = 0
        self.price, self.end = offer.asks[0]
        """The price of the level in hand, and the size at which it is used up."""

    def advance(self) -> bool:
        """Take the level in hand whole and go on to the next; False where there is none."""
        asks = self._offer.asks
        if self._index + 1 == len(asks):
            return False
        size = Micros(self.end - self._before)
        self._pico += self.price * size
        self._fees.take(self.price, size)
        self._before = self.end
        self._index += 1
        self.price, size = asks[self._index]
        self.end = Micros(self._before + size)
        return True

    def take(self, size: Micros) -> _Taken:
        """An order of `size`, which ends in the level in hand."""
        part = Micros(size - self._before)
        return _Taken(self.price, pico_ceil(self._pico + self.price * part), self._fees.fee_with(self.price, part))

    def permits(self, size: Micros, cost: Micros) -> bool:
        market = self._offer.market
        return size >= market.min_size and cost >= market.min_notional

    def least(self) -> int:
        """The smallest order that the market permits, if it ends in the level in hand: ask only where a larger one there is permitted."""
        market = self._offer.market
        # a cost is rounded up, so it reaches the minimum with the first trillionth above the micro below it
        lacking = (market.min_notional - 1) * MICRO + 1 - self._pico
        enough = self._before + -(-lacking // self.price) if market.min_notional and lacking > 0 else 0
        return max(market.min_size, enough)

    def size_step(self) -> int:
        """The size grid at the price in hand: the market's own, made coarser where price x size must be whole cents."""
        market = self._offer.market
        if not market.notional_step:
            return market.size_step
        # the smallest size whose product with the price is a multiple of the notional step
        unit = market.notional_step * MICRO
        return lcm(market.size_step, unit // gcd(unit, self.price))


def _best(a: Offer, b: Offer, min_edge: int, max_size: int | None) -> Opportunity | Rejected:
    best: _Hedged | None = None
    best_rank = (0, 0)
    tried = too_small = False
    for hedged in _weighed(_Walk(a), _Walk(b), min_edge, max_size):
        tried = True
        rank = hedged.rank(min_edge)
        if rank > best_rank:
            if hedged.fits:
                best, best_rank = hedged, rank
            else:
                too_small = True
    if best is None:
        return REJECTED[RejectReason.EATEN_BY_FEES if tried and not too_small else RejectReason.BELOW_MINIMUM]
    size, on_a, on_b, _ = best
    legs = Leg(a.outcome, on_a.limit, size, on_a.cost, on_a.fee), Leg(b.outcome, on_b.limit, size, on_b.cost, on_b.fee)
    return Opportunity(legs, size, Micros(size - on_a.cost - on_b.cost), Micros(best.net))


def _weighed(a: _Walk, b: _Walk, min_edge: int, max_size: int | None) -> Iterator[_Hedged]:
    """The sizes that may be the best one: both ends of each stretch that lies in one level of each ladder."""
    start = 0
    while _enough(a.price, b.price, min_edge):
        end = min(a.end, b.end) if max_size is None else min(a.end, b.end, max_size)
        step = lcm(a.size_step(), b.size_step())
        first, last = start - start % step + step, end - end % step
        if first <= last:
            yield from _ends(a, b, Micros(first), Micros(last), step, min_edge)
        if end == max_size or (end == a.end and not a.advance()) or (end == b.end and not b.advance()):
            return
        start = end


def _enough(price_a: int, price_b: int, min_edge: int) -> bool:
    """Whether a contract at these prices earns anything, and at least the least edge, before fees."""
    return price_a + price_b < ONE and price_a + price_b + min_edge <= ONE


def _ends(a: _Walk, b: _Walk, first: Micros, last: Micros, step: int, min_edge: int) -> Iterator[_Hedged]:
    """Net is straight between the ends of a stretch, so one of them is its best; where the better one is too small for
    the markets' minimums, the smallest size that is not takes its place."""
    at_last = _hedged(a, b, last)
    yield at_last
    if first == last:
        return
    at_first = _hedged(a, b, first)
    yield at_first
    if at_last.fits and not at_first.fits and at_first.rank(min_edge) > at_last.rank(min_edge):
        yield _hedged(a, b, ceil_to(max(a.least(), b.least()), step))


def _hedged(a: _Walk, b: _Walk, size: Micros) -> _Hedged:
    on_a, on_b = a.take(size), b.take(size)
    return _Hedged(size, on_a, on_b, a.permits(size, on_a.cost) and b.permits(size, on_b.cost))
