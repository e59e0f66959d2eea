"""Two-venue arbitrage: buy an outcome on one venue and its complement on the other for less than the pair pays.

`net(q) = q - cost_A(q) - cost_B(q) - fee_A(q) - fee_B(q)`, walking both ask ladders together. Between two level
boundaries net is a straight line in q, but a fee reserve falls due with each new level, so it is not monotone: every
boundary is weighed, and each one on the size grid that the limit prices there allow. Where the markets' minimums
forbid a boundary, the smallest size that they permit is weighed in its place.
"""

from bisect import bisect_left
from collections.abc import Iterator
from enum import Enum
from math import gcd, lcm
from typing import NamedTuple

import msgspec

from arbiter.domain.book import Level, Levels
from arbiter.domain.fees import UnknownFees, planned_taker_fee
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import Market, MarketStatus
from arbiter.domain.money import MICRO, ONE, Micros, pico_ceil


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
    if not offer.fresh:
        return RejectReason.STALE_BOOK
    if offer.best_bid is not None and offer.best_bid >= offer.asks[0].price:
        return RejectReason.CROSSED_BOOK
    if market.status is not MarketStatus.OPEN:
        return RejectReason.MARKET_NOT_OPEN
    if market.payout != ONE:
        return RejectReason.PAYOUT_NOT_ONE
    if market.fees is None:
        return RejectReason.UNKNOWN_FEES
    return None


def _best(a: Offer, b: Offer, min_edge: int, max_size: int | None) -> Opportunity | Rejected:
    best: Opportunity | None = None
    best_rank = (0, 0)
    stretches = _stretches(a, b, min_edge, max_size)
    too_small = not stretches
    for stretch in stretches:
        for found in _ends(a, b, stretch, min_edge):
            rank = _rank(found, min_edge)
            if rank <= best_rank:
                continue
            if _too_small(a, b, found):
                too_small = True
                continue
            best, best_rank = found, rank
    if best is not None:
        return best
    return REJECTED[RejectReason.BELOW_MINIMUM if too_small else RejectReason.EATEN_BY_FEES]


def _rank(found: Opportunity, min_edge: int) -> tuple[int, int]:
    """What it earns beyond the least edge; of two that earn the same beyond it, the one that earns more."""
    return (found.net * MICRO - min_edge * found.size, found.net)


class _Stretch(NamedTuple):
    """The sizes from `first` to `last` on the grid that end in one level of each ladder."""

    first: Micros
    last: Micros
    step: int
    limit_a: Micros
    limit_b: Micros


def _stretches(a: Offer, b: Offer, min_edge: int, max_size: int | None) -> list[_Stretch]:
    """Each stretch of both ladders on which the gross edge is enough and a size on the grid lies."""
    found: list[_Stretch] = []
    index_a = index_b = start = 0
    end_a, end_b = a.asks[0].size, b.asks[0].size
    while True:
        price_a, price_b = a.asks[index_a].price, b.asks[index_b].price
        if not _enough(price_a, price_b, min_edge):
            return found
        end = min(end_a, end_b) if max_size is None else min(end_a, end_b, max_size)
        step = lcm(_size_step(a.market, price_a), _size_step(b.market, price_b))
        first, last = start - start % step + step, end - end % step
        if first <= last:
            found.append(_Stretch(Micros(first), Micros(last), step, price_a, price_b))
        start = end
        if end == max_size:
            return found
        if end == end_a:
            index_a += 1
            if index_a == len(a.asks):
                return found
            end_a = Micros(end_a + a.asks[index_a].size)
        if end == end_b:
            index_b += 1
            if index_b == len(b.asks):
                return found
            end_b = Micros(end_b + b.asks[index_b].size)


def _enough(price_a: int, price_b: int, min_edge: int) -> bool:
    """Whether a contract at these prices earns anything, and at least the least edge, before fees."""
    return price_a + price_b < ONE and price_a + price_b + min_edge <= ONE


def _ends(a: Offer, b: Offer, stretch: _Stretch, min_edge: int) -> Iterator[Opportunity]:
    """Net is straight between the ends of a stretch, so one of them is its best; where the better one is too small for
    the markets' minimums, the smallest size that is not takes its place."""
    first, last, step, limit_a, limit_b = stretch
    at_last = _price(a, b, last, limit_a, limit_b)
    yield at_last
    if first == last:
        return
    at_first = _price(a, b, first, limit_a, limit_b)
    yield at_first
    if _rank(at_first, min_edge) > _rank(at_last, min_edge) and _too_small(a, b, at_first) and not _too_small(a, b, at_last):
        sizes = range(first, last + 1, step)
        index = bisect_left(sizes, True, key=lambda size: not _too_small(a, b, _price(a, b, Micros(size), limit_a, limit_b)))
        yield _price(a, b, Micros(sizes[index]), limit_a, limit_b)


def _size_step(market: Market, limit: int) -> int:
    """The size grid at this limit price: the market's own, made coarser where price x size must be whole cents."""
    if not market.notional_step:
        return market.size_step
    # the smallest size whose product with the limit is a multiple of the notional step
    unit = market.notional_step * MICRO
    return lcm(market.size_step, unit // gcd(unit, limit))


def _price(a: Offer, b: Offer, size: Micros, limit_a: Micros, limit_b: Micros) -> Opportunity:
    leg_a, leg_b = _leg(a, size, limit_a), _leg(b, size, limit_b)
    gross = Micros(size - leg_a.cost - leg_b.cost)
    return Opportunity((leg_a, leg_b), size, gross, Micros(gross - leg_a.fee - leg_b.fee))


def _leg(offer: Offer, size: Micros, limit: Micros) -> Leg:
    taken: list[Level] = []
    left: int = size
    for level in offer.asks:
        if level.size >= left:
            taken.append(Level(level.price, Micros(left)))
            break
        taken.append(level)
        left -= level.size
    cost = pico_ceil(sum(price * each for price, each in taken))
    return Leg(offer.outcome, limit, size, cost, planned_taker_fee(offer.market.fees, taken))


def _too_small(a: Offer, b: Offer, found: Opportunity) -> bool:
    return _below_minimum(a.market, found.legs[0]) or _below_minimum(b.market, found.legs[1])


def _below_minimum(market: Market, leg: Leg) -> bool:
    return leg.size < market.min_size or leg.cost < market.min_notional
