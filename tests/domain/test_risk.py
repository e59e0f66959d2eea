from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.domain.account import Tier
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET, MarketId, OutcomeId, OutcomeKey, UserId, VenueId
from arbiter.domain.ledger import Position
from arbiter.domain.limits import TIERS
from arbiter.domain.market import Market, MarketStatus, PolymarketFees
from arbiter.domain.money import MICRO, Micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.domain.risk import Approved, Exposure, Refused, Verdict, check
from arbiter.domain.wallet import CashPool

FREE = TIERS[Tier.FREE]  # 5 positions, the largest of $100
FEES = PolymarketFees(Micros(0))
NOTHING = Exposure()


def _outcome(name: str = "m", venue: VenueId = POLYMARKET, outcome: str = "yes") -> OutcomeKey:
    return OutcomeKey(venue, MarketId(name), OutcomeId(outcome))


def _held(size: int, cost: int = 0, outcome: OutcomeKey | None = None) -> Position:
    return Position(UserId("u1"), outcome or _outcome(), Micros(size * MICRO), Micros(cost * MICRO))


@pytest.fixture(scope="module")
def judge(market: Callable[..., Market], order: Callable[..., Order]) -> Callable[..., Verdict]:
    """The verdict on an order (by default: buy 10 at 50 cents) with everything else in its favour but what is given."""

    def run(exposure: Exposure = NOTHING, *, book_fresh: bool = True, suspended: bool = False, venue: Any = None, **fields: Any) -> Verdict:
        return check(order(**fields), market(**{"fees": FEES} | (venue or {})), FREE, exposure, book_fresh=book_fresh, suspended=suspended)

    return run


def _code(verdict: Verdict) -> str:
    return verdict.code if isinstance(verdict, Refused) else "approved"


def test_an_order_within_every_limit_is_approved_as_it_is(judge: Callable[..., Verdict], order: Callable[..., Order]) -> None:
    assert judge() == Approved(order())


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("venue", "fields", "code"),
    [
        *(({"status": status}, {}, "MARKET_NOT_OPEN") for status in MarketStatus if status is not MarketStatus.OPEN),
        ({}, {"price": Micros(505_000)}, "PRICE_OFF_GRID"),
        ({}, {"price": Micros(0)}, "PRICE_OFF_GRID"),
        ({}, {"price": Micros(MICRO)}, "PRICE_OFF_GRID"),
        ({}, {"size": Micros(10_001)}, "SIZE_OFF_GRID"),
        ({}, {"size": Micros(0)}, "SIZE_OFF_GRID"),
        ({}, {"size": Micros(-10_000)}, "SIZE_OFF_GRID"),
        ({"min_size": Micros(11 * MICRO)}, {}, "BELOW_MIN_SIZE"),
        ({"min_notional": Micros(5 * MICRO + 1)}, {}, "BELOW_MIN_NOTIONAL"),
    ],
)
def test_what_the_venue_would_refuse_is_refused_here_on_both_sides(
    judge: Callable[..., Verdict], side: Side, venue: dict[str, Any], fields: dict[str, Any], code: str
) -> None:
    assert _code(judge(Exposure((_held(100),)), venue=venue, side=side, **fields)) == code


def test_a_minimum_is_met_by_exactly_that_much(judge: Callable[..., Verdict]) -> None:
    assert _code(judge(venue={"min_size": Micros(10 * MICRO), "min_notional": Micros(5 * MICRO)})) == "approved"


@pytest.mark.parametrize(
    ("side", "tif", "code"),
    [
        (Side.BUY, TimeInForce.IOC, "NOTIONAL_OFF_GRID"),
        (Side.BUY, TimeInForce.FOK, "NOTIONAL_OFF_GRID"),
        (Side.BUY, TimeInForce.GTC, "approved"),
        (Side.SELL, TimeInForce.IOC, "approved"),
    ],
)
def test_only_an_immediate_buy_needs_whole_cents(judge: Callable[..., Verdict], side: Side, tif: TimeInForce, code: str) -> None:
    given = {"side": side, "tif": tif, "price": Micros(330_000), "venue": {"notional_step": Micros(10_000)}}
    assert _code(judge(Exposure((_held(100),)), size=Micros(1_010_000), **given)) == code
    assert _code(judge(Exposure((_held(100),)), size=Micros(2 * MICRO), **given)) == "approved"


@pytest.mark.parametrize(
    ("given_conditions", "code"),
    [({"suspended": True}, "SUSPENDED"), ({"venue": {"fees": None}}, "UNKNOWN_FEES"), ({"book_fresh": False}, "STALE_BOOK")],
)
def test_missing_or_stale_input_refuses_entries_and_never_reductions(
    judge: Callable[..., Verdict], given_conditions: dict[str, Any], code: str
) -> None:
    assert _code(judge(Exposure((_held(10),)), **given_conditions)) == code
    assert _code(judge(Exposure((_held(10),)), side=Side.SELL, **given_conditions)) == "approved"


def test_no_more_is_sold_than_is_held_less_what_rests(judge: Callable[..., Verdict], order: Callable[..., Order]) -> None:
    resting = order(side=Side.SELL, size=Micros(8 * MICRO), filled=Micros(2 * MICRO))
    assert _code(judge(Exposure((_held(16),), (resting,)), side=Side.SELL)) == "approved"
    refused = judge(Exposure((_held(15),), (resting,)), side=Side.SELL)
    assert refused == Refused("MORE_THAN_HELD", "9.00 can be sold: 15.00 held, 6.00 in open orders")
    assert _code(judge(side=Side.SELL)) == "MORE_THAN_HELD"


def test_a_sale_counts_only_its_own_outcome(judge: Callable[..., Verdict], order: Callable[..., Order]) -> None:
    elsewhere = (
        _held(100, outcome=_outcome(outcome="no")),
        _held(100, outcome=_outcome("other")),
        _held(100, outcome=_outcome(venue=KALSHI)),
    )
    assert _code(judge(Exposure(elsewhere), side=Side.SELL)) == "MORE_THAN_HELD"
    others = order(side=Side.SELL, outcome=_outcome(outcome="no")), order(side=Side.BUY)
    assert _code(judge(Exposure((_held(10),), others), side=Side.SELL)) == "approved"


def test_a_position_may_cost_the_largest_amount_and_no_micro_more(judge: Callable[..., Verdict]) -> None:
    assert _code(judge(size=Micros(200 * MICRO))) == "approved"
    assert _code(judge(size=Micros(200 * MICRO + 10_000))) == "POSITION_TOO_LARGE"
    assert _code(judge(Exposure((_held(200, cost=95),)))) == "approved"
    assert _code(judge(Exposure((_held(200, cost=95),)), size=Micros(10 * MICRO + 10_000))) == "POSITION_TOO_LARGE"


def test_open_buys_of_the_market_reserve_their_worst_cost(judge: Callable[..., Verdict], order: Callable[..., Order]) -> None:
    resting = order(size=Micros(200 * MICRO), filled=Micros(10 * MICRO))  # may still cost $95
    assert _code(judge(Exposure((), (resting,)))) == "approved"
    assert _code(judge(Exposure((_held(10, cost=5),), (resting,)))) == "POSITION_TOO_LARGE"
    assert _code(judge(Exposure((), (order(side=Side.SELL, size=Micros(500 * MICRO)),)))) == "approved"


def test_both_outcomes_of_a_market_count_as_one_position(judge: Callable[..., Verdict], order: Callable[..., Order]) -> None:
    assert _code(judge(Exposure((_held(200, 60), _held(200, 36, _outcome(outcome="no")))))) == "POSITION_TOO_LARGE"
    assert _code(judge(Exposure((_held(200, 90, _outcome("other")),), (order(outcome=_outcome("third")),)))) == "approved"


def test_a_new_market_beyond_the_open_positions_is_refused_but_an_old_one_is_not(
    judge: Callable[..., Verdict], order: Callable[..., Order]
) -> None:
    four = tuple(_held(1, outcome=_outcome(f"other{n}")) for n in range(4))
    assert _code(judge(Exposure(four))) == "approved"
    fifth = order(outcome=_outcome("resting"))
    assert _code(judge(Exposure(four, (fifth,)))) == "TOO_MANY_POSITIONS", "an open buy may become a position"
    assert _code(judge(Exposure(four, (order(),)))) == "approved"
    assert _code(judge(Exposure((*four, _held(1))))) == "approved"
    assert _code(judge(Exposure((*four, _held(0, outcome=_outcome("closed")))))) == "approved"
    five = (*four, _held(1, outcome=_outcome("other0", KALSHI)))
    assert _code(judge(Exposure(five))) == "TOO_MANY_POSITIONS", "the same id on another venue is another market"
    assert _code(judge(Exposure((*five, _held(1, outcome=_outcome(outcome="no")))))) == "approved"


@settings(max_examples=40)
@given(st.lists(st.integers(1, 30_000).map(lambda hundredths: Micros(hundredths * 10_000)), max_size=8))
def test_orders_approved_one_after_another_never_pass_the_limit_together(
    judge: Callable[..., Verdict], order: Callable[..., Order], sizes: list[Micros]
) -> None:
    resting: tuple[Order, ...] = ()
    for size in sizes:
        verdict = judge(Exposure((), resting), size=size)
        if isinstance(verdict, Approved):
            resting = (*resting, verdict.order)
    assert sum(each.price * each.size for each in resting) <= FREE.largest_position * MICRO


@pytest.mark.parametrize(
    ("pools", "code"),
    [
        (((POLYMARKET, 5 * MICRO, 0),), "approved"),
        (((POLYMARKET, 5 * MICRO - 1, 0),), "NOT_ENOUGH_CASH"),
        (((POLYMARKET, 9 * MICRO, 4 * MICRO),), "approved"),
        (((POLYMARKET, 9 * MICRO, 4 * MICRO + 1),), "NOT_ENOUGH_CASH"),
        (((KALSHI, 99 * MICRO, 0),), "NOT_ENOUGH_CASH"),
        ((), "NOT_ENOUGH_CASH"),
    ],
)
def test_a_buy_needs_its_worst_cost_in_cash_on_its_own_venue(
    judge: Callable[..., Verdict], pools: tuple[tuple[VenueId, int, int], ...], code: str
) -> None:
    cash = tuple(CashPool(venue, Micros(all_of_it), Micros(reserved)) for venue, all_of_it, reserved in pools)
    assert _code(judge(Exposure(cash=cash))) == code
    assert _code(judge(Exposure((_held(10),), cash=()), side=Side.SELL)) == "approved", "a sale needs no cash"
