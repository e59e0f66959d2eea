from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.domain.arbitrage import REJECTED, Offer, Opportunity, Rejected, RejectReason, find
from arbiter.domain.book import Level, Levels
from arbiter.domain.fees import planned_taker_fee
from arbiter.domain.ids import KALSHI, POLYMARKET, PairId
from arbiter.domain.market import KalshiFees, Market, MarketStatus, PolymarketFees
from arbiter.domain.money import MICRO, ONE, Micros
from arbiter.domain.pair import pair_markets

CENT = 10_000
HUNDREDTH = Micros(10_000)
FREE = PolymarketFees(Micros(0))

MarketMaker = Callable[..., Market]


def _levels(*pairs: tuple[int, int]) -> Levels:
    """Levels from cents and whole contracts."""
    return tuple(Level(Micros(cents * CENT), Micros(count * MICRO)) for cents, count in pairs)


def _offer(market: Market, asks: Levels, bids: Levels = (), *, fresh: bool = True) -> Offer:
    return Offer(market.yes_key, market, bids[0].price if bids else None, asks, fresh)


def _opportunity(found: Opportunity | Rejected) -> Opportunity:
    assert isinstance(found, Opportunity), found
    return found


# The formula, written once more from the design: every size is tried.


class Tried(NamedTuple):
    size: int
    limits: tuple[int, int]
    costs: tuple[int, int]
    fees: tuple[int, int]
    fits: bool

    @property
    def net(self) -> int:
        return self.size - sum(self.costs) - sum(self.fees)

    def beyond(self, min_edge: int) -> Fraction:
        """What it earns more than the least edge."""
        return self.net - Fraction(min_edge * self.size, MICRO)


def _walk(asks: Levels, size: int) -> list[tuple[int, int]] | None:
    taken = []
    for price, available in asks:
        if size:
            taken.append((price, min(size, available)))
            size -= taken[-1][1]
    return None if size else taken


def _fee(market: Market, taken: list[tuple[int, int]]) -> int:
    def curve(price: int, size: int) -> Fraction:
        return Fraction(size * price * (ONE - price), MICRO**2)

    if isinstance(market.fees, PolymarketFees):
        return ceil(sum(curve(*each) for each in taken) * Fraction(market.fees.rate, MICRO) / 10) * 10
    assert isinstance(market.fees, KalshiFees)
    rate = Fraction(market.fees.multiplier * 7, MICRO * 100)
    return sum(ceil(curve(*each) * rate) + market.fees.balance_unit for each in taken)


def _try(a: Offer, b: Offer, size: int, min_edge: int) -> Tried | None:
    """The hedge of this size, or None where the depth, the grids or the edge of the last step forbid it."""
    limits, costs, fees, fits = [], [], [], True
    for offer in (a, b):
        market, taken = offer.market, _walk(offer.asks, size)
        if taken is None or size % market.size_step:
            return None
        limit = taken[-1][0]
        if market.notional_step and limit * size % (market.notional_step * MICRO):
            return None
        limits.append(limit)
        costs.append(ceil(sum(Fraction(price * each, MICRO) for price, each in taken)))
        fees.append(_fee(market, taken))
        fits = fits and size >= market.min_size and costs[-1] >= market.min_notional
    if sum(limits) >= ONE or sum(limits) + min_edge > ONE:
        return None
    return Tried(size, (limits[0], limits[1]), (costs[0], costs[1]), (fees[0], fees[1]), fits)


def _try_all(a: Offer, b: Offer, min_edge: int, max_size: int | None) -> dict[int, Tried]:
    deepest = min(sum(level.size for level in offer.asks) for offer in (a, b))
    if max_size is not None:
        deepest = min(deepest, max_size)
    return {size: tried for size in range(GRID, deepest + 1, GRID) if (tried := _try(a, b, size, min_edge))}


# Between two boundaries net is a straight line but for rounding: a micro a cost and a Kalshi level, ten a Polymarket fee.
ROUNDING = 32

# a coarse grid, so that every size can be tried; level sizes lie on and between it
GRID = Micros(250_000)


def _ladder(first: int, steps: list[tuple[int, int]]) -> Levels:
    """Asks from a first price in cents upwards, by (cents to the next, size in half grids)."""
    found = []
    for rise, size in steps:
        found.append(Level(Micros(first * CENT), Micros(size * GRID // 2)))
        first += rise
    return tuple(found)


ladders = st.builds(_ladder, st.integers(36, 54), st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60)), min_size=1, max_size=4))
polymarket = st.fixed_dictionaries(
    {
        "fees": st.builds(PolymarketFees, st.sampled_from([0, 40_000, 70_000]).map(Micros)),
        "size_step": st.just(GRID),
        "notional_step": st.sampled_from([0, CENT]).map(Micros),
        "min_size": st.sampled_from([0, 5 * MICRO, 12 * MICRO]).map(Micros),
        "min_notional": st.sampled_from([0, 0, 3 * MICRO]).map(Micros),
    }
)
kalshi_fees = st.builds(
    KalshiFees, st.sampled_from([0, 500_000, ONE]).map(Micros), st.just(False), st.sampled_from([0, 100, 10_000]).map(Micros)
)
kalshi = st.fixed_dictionaries(
    {
        "fees": kalshi_fees,
        "size_step": st.sampled_from([GRID, Micros(2 * GRID)]),
        "min_size": st.sampled_from([0, 0, 7 * MICRO]).map(Micros),
    }
)
edges = st.sampled_from([0, 0, 5_000, 10_000, 20_000])
caps = st.none() | st.integers(0, 80).map(lambda size: size * GRID) | st.integers(1, 20 * MICRO)


@settings(max_examples=200)
@given(ladders, ladders, polymarket, kalshi, edges, caps, st.booleans())
def test_the_search_finds_what_trying_every_size_finds(
    market: MarketMaker,
    asks_a: Levels,
    asks_b: Levels,
    at_a: dict[str, Any],
    at_b: dict[str, Any],
    min_edge: int,
    cap: int | None,
    swap: bool,
) -> None:
    a, b = _offer(market(POLYMARKET, **at_a), asks_a), _offer(market(KALSHI, **at_b), asks_b)
    if swap:
        a, b = b, a
    found = find(a, b, min_edge=min_edge, max_size=cap)
    tried = _try_all(a, b, min_edge, cap)
    good = [each for each in tried.values() if each.fits and each.net > 0 and each.beyond(min_edge) >= 0]
    best = max((each.beyond(min_edge) for each in good), default=None)
    if isinstance(found, Rejected):
        assert best is None or best < ROUNDING, (found, max(good, key=lambda each: each.beyond(min_edge)))
        return
    same = tried[found.size]
    assert same in good
    assert same == Tried(
        found.size,
        (found.legs[0].limit, found.legs[1].limit),
        (found.legs[0].cost, found.legs[1].cost),
        (found.legs[0].fee, found.legs[1].fee),
        True,
    )
    assert (found.net, found.gross) == (same.net, found.size - sum(same.costs))
    assert [leg.outcome for leg in found.legs] == [a.outcome, b.outcome]
    assert [leg.size for leg in found.legs] == [found.size, found.size]
    assert best is not None
    assert best - ROUNDING < same.beyond(min_edge) <= best


@settings(max_examples=50)
@given(ladders, ladders, polymarket, kalshi, edges)
def test_which_side_is_named_first_changes_nothing(
    market: MarketMaker, asks_a: Levels, asks_b: Levels, at_a: dict[str, Any], at_b: dict[str, Any], min_edge: int
) -> None:
    a, b = _offer(market(POLYMARKET, **at_a), asks_a), _offer(market(KALSHI, **at_b), asks_b)
    one, other = find(a, b, min_edge=min_edge), find(b, a, min_edge=min_edge)
    if isinstance(one, Opportunity) and isinstance(other, Opportunity):
        assert (one.size, one.net, one.legs) == (other.size, other.net, other.legs[::-1])
    else:
        assert one is other


def test_without_fees_the_whole_depth_with_an_edge_is_taken_and_no_more(market: MarketMaker) -> None:
    a = _offer(market(POLYMARKET, fees=FREE), _levels((40, 10), (45, 10), (60, 100)))
    b = _offer(market(KALSHI, fees=FREE), _levels((50, 15), (54, 10), (70, 100)))
    found = _opportunity(find(a, b))
    # 10 at 40 + 50, 5 at 45 + 50, 5 at 45 + 54; the next would be 60 + 54
    assert found.size == 20 * MICRO
    assert found.net == found.gross == 10 * 100_000 + 5 * 50_000 + 5 * 10_000
    assert [leg.limit for leg in found.legs] == [45 * CENT, 54 * CENT]
    assert found.net_per_contract == 65_000


def test_a_kalshi_level_costs_a_reserve_so_a_thin_one_is_left(market: MarketMaker) -> None:
    """Net falls at the thin level and would rise again behind it: not monotone, so the search must look past it."""
    free_kalshi = KalshiFees(multiplier=Micros(0))
    a = _offer(market(POLYMARKET, fees=FREE), _levels((40, 1_000)))
    thin = (*_levels((50, 10)), Level(Micros(51 * CENT), HUNDREDTH))
    alone = _opportunity(find(a, _offer(market(KALSHI, fees=free_kalshi), thin)))
    assert alone.size == 10 * MICRO, "a hundredth at 9 cents does not earn the cent that its level reserves"
    deep = _opportunity(find(a, _offer(market(KALSHI, fees=free_kalshi), thin + _levels((52, 100)))))
    assert deep.size == 110 * MICRO + HUNDREDTH
    assert deep.legs[1].fee == 3 * CENT


def test_a_step_is_taken_only_while_it_earns_the_least_edge(market: MarketMaker) -> None:
    a = _offer(market(POLYMARKET, fees=FREE), _levels((40, 10), (45, 10), (47, 10)))
    b = _offer(market(KALSHI, fees=FREE), _levels((50, 100)))
    sizes = {edge: _opportunity(find(a, b, min_edge=edge * CENT)).size // MICRO for edge in (0, 3, 5, 10)}
    assert sizes == {0: 30, 3: 30, 5: 20, 10: 10}
    assert find(a, b, min_edge=10 * CENT + 1) is REJECTED[RejectReason.NO_EDGE]


def test_exactly_the_least_edge_is_enough_and_nothing_is_not(market: MarketMaker) -> None:
    a, b = _offer(market(POLYMARKET, fees=FREE), _levels((49, 10))), _offer(market(KALSHI, fees=FREE), _levels((50, 10)))
    assert _opportunity(find(a, b, min_edge=CENT)).net == 10 * CENT
    even = _offer(market(KALSHI, fees=FREE), _levels((51, 10)))
    assert find(a, even) is REJECTED[RejectReason.NO_EDGE]


def test_the_largest_size_is_kept(market: MarketMaker) -> None:
    a, b = _offer(market(POLYMARKET, fees=FREE), _levels((40, 10))), _offer(market(KALSHI, fees=FREE), _levels((50, 10)))
    assert _opportunity(find(a, b, max_size=3 * MICRO)).size == 3 * MICRO
    assert _opportunity(find(a, b, max_size=3 * MICRO + 9_999)).size == 3 * MICRO
    assert _opportunity(find(a, b, max_size=10**12)).size == 10 * MICRO


def test_price_times_size_is_whole_cents_where_the_venue_asks_for_it(market: MarketMaker) -> None:
    a = _offer(market(POLYMARKET, fees=FREE, notional_step=Micros(CENT)), (Level(Micros(330_000), Micros(7_770_000)),))
    b = _offer(market(KALSHI, fees=FREE), _levels((50, 100)))
    found = _opportunity(find(a, b))
    # 0.33 q is whole cents on whole contracts only
    assert found.size == 7 * MICRO
    assert found.legs[0].cost % CENT == 0


def test_both_grids_hold_at_once(market: MarketMaker) -> None:
    a = _offer(market(POLYMARKET, fees=FREE, size_step=Micros(4 * MICRO)), _levels((33, 100)))
    b = _offer(market(KALSHI, fees=FREE, size_step=Micros(6 * MICRO)), _levels((50, 40)))
    assert _opportunity(find(a, b)).size == 36 * MICRO


@pytest.mark.parametrize(
    ("fields", "size"),
    [({"min_size": Micros(5 * MICRO)}, 5), ({"min_notional": Micros(2 * MICRO)}, 5), ({"min_size": Micros(6 * MICRO)}, None)],
)
def test_a_hedge_meets_the_minimums_of_both_markets_or_is_none(market: MarketMaker, fields: dict[str, Micros], size: int | None) -> None:
    a, b = _offer(market(POLYMARKET, fees=FREE, **fields), _levels((40, 5))), _offer(market(KALSHI, fees=FREE), _levels((50, 100)))
    found = find(a, b)
    if size is None:
        assert found is REJECTED[RejectReason.BELOW_MINIMUM]
    else:
        assert _opportunity(found).size == size * MICRO
    assert (find(b, a) is found) if size is None else _opportunity(find(b, a)).size == size * MICRO


def test_where_the_best_size_is_below_the_minimum_the_smallest_that_is_not_is_taken(market: MarketMaker) -> None:
    """Behind three good contracts the fees eat the edge, but the market asks for five."""
    a = _offer(market(POLYMARKET, fees=PolymarketFees(Micros(70_000)), min_size=Micros(5 * MICRO)), _levels((45, 3), (49, 4)))
    b = _offer(market(KALSHI, fees=FREE), _levels((50, 100)))
    found = _opportunity(find(a, b))
    assert found.size == 5 * MICRO
    assert found.net == max(each.net for each in _try_all(a, b, 0, None).values() if each.fits)


def test_planned_fees_are_those_of_the_walked_levels(market: MarketMaker) -> None:
    a = _offer(market(POLYMARKET, fees=PolymarketFees(Micros(40_000))), _levels((30, 10), (31, 10)))
    b = _offer(market(KALSHI, fees=KalshiFees()), _levels((50, 12), (51, 8)))
    found = _opportunity(find(a, b))
    assert found.size == 20 * MICRO
    assert found.legs[0].fee == planned_taker_fee(a.market.fees, a.asks)
    assert found.legs[1].fee == planned_taker_fee(b.market.fees, b.asks)
    assert found.net == found.gross - found.legs[0].fee - found.legs[1].fee


@pytest.mark.parametrize("inverted", [False, True])
def test_an_inverted_pair_finds_the_same_edge_at_the_outcomes_that_mean_the_same(market: MarketMaker, inverted: bool) -> None:
    """A's YES is cheap; its hedge is what pays when A's YES does not: B's NO, or B's YES when B asks the opposite."""
    a, b = market(POLYMARKET, fees=FREE), market(KALSHI, fees=FREE)
    pair = pair_markets(PairId("p"), "title", a, b, inverted=inverted)
    markets, hedge = {a.key: a, b.key: b}, b.yes_key if inverted else b.no_key
    asks = {key: _levels((70, 10)) for key in pair.outcomes} | {a.yes_key: _levels((40, 10)), hedge: _levels((50, 10))}
    offers = {key: Offer(key, markets[key.market_key], None, asks[key], True) for key in pair.outcomes}
    results = [find(offers[one], offers[other]) for one, other in pair.hedges]
    found = _opportunity(results[0])
    assert [leg.outcome for leg in found.legs] == [a.yes_key, hedge]
    assert found.net == 10 * 100_000
    assert results[1] is REJECTED[RejectReason.NO_EDGE]


GOOD = {"fees": FREE}
REJECTIONS: list[tuple[RejectReason, dict[str, Any]]] = [
    (RejectReason.EMPTY_BOOK, {"asks": ()}),
    (RejectReason.NO_EDGE, {"asks": _levels((60, 10))}),
    (RejectReason.NO_EDGE, {"asks": _levels((50, 10)), "fresh": False}),
    (RejectReason.EATEN_BY_FEES, {"asks": _levels((49, 10)), "fees": PolymarketFees(Micros(70_000))}),
    (RejectReason.EATEN_BY_FEES, {"asks": (Level(Micros(40 * CENT), Micros(5 * HUNDREDTH)),), "fees": KalshiFees()}),
    (RejectReason.BELOW_MINIMUM, {"min_size": Micros(11 * MICRO)}),
    (RejectReason.BELOW_MINIMUM, {"min_notional": Micros(5 * MICRO)}),
    (RejectReason.BELOW_MINIMUM, {"asks": (Level(Micros(40 * CENT), Micros(9_999)),)}),
    (RejectReason.STALE_BOOK, {"fresh": False}),
    (RejectReason.CROSSED_BOOK, {"bids": _levels((41, 1))}),
    (RejectReason.CROSSED_BOOK, {"bids": _levels((40, 1))}),
    (RejectReason.UNKNOWN_FEES, {"fees": None}),
    (RejectReason.UNKNOWN_FEES, {"fees": PolymarketFees(Micros(70_000), exponent=9)}),
    (RejectReason.PAYOUT_NOT_ONE, {"payout": Micros(2 * ONE)}),
    *((RejectReason.MARKET_NOT_OPEN, {"status": status}) for status in MarketStatus if status is not MarketStatus.OPEN),
]


@pytest.mark.parametrize(("reason", "flaw"), REJECTIONS)
@pytest.mark.parametrize("swap", [False, True])
def test_a_flaw_on_either_side_is_a_rejection_with_its_reason(
    market: MarketMaker, reason: RejectReason, flaw: dict[str, Any], swap: bool
) -> None:
    fields = GOOD | flaw
    given = {"asks": fields.pop("asks", _levels((40, 10))), "bids": fields.pop("bids", ()), "fresh": fields.pop("fresh", True)}
    a, b = _offer(market(POLYMARKET, **fields), **given), _offer(market(KALSHI, fees=FREE), _levels((50, 10)), _levels((49, 10)))
    assert (find(b, a) if swap else find(a, b)) == Rejected(reason)


def test_every_reason_of_the_search_is_tested_and_one_is_the_scanners_own() -> None:
    assert set(RejectReason) - {reason for reason, _ in REJECTIONS} == {RejectReason.NO_BOOK}


def test_the_flawless_offers_of_the_rejections_are_an_opportunity(market: MarketMaker) -> None:
    a, b = _offer(market(POLYMARKET, **GOOD), _levels((40, 10))), _offer(market(KALSHI, fees=FREE), _levels((50, 10)), _levels((49, 10)))
    assert _opportunity(find(a, b)).net == MICRO
