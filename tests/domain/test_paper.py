from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.book import Level, Levels, Side
from arbiter.domain.fees import FeeMeter, UnknownFees
from arbiter.domain.ids import KALSHI, FillId
from arbiter.domain.market import KalshiFees, Market, PolymarketFees
from arbiter.domain.money import MICRO, Micros
from arbiter.domain.order import Fill, Order, OrderState, TimeInForce
from arbiter.domain.paper import PaperMatcher, ResumedMatcher

FREE = PolymarketFees(Micros(0))
S = OrderState


def _levels(*pairs: tuple[int, int]) -> Levels:
    """Levels from cents and whole contracts."""
    return tuple(Level(Micros(cents * 10_000), Micros(contracts * MICRO)) for cents, contracts in pairs)


class Desk:
    """A matcher with a market, a clock that stands at 9 and ids that count."""

    def __init__(self, market: Market, order: Order) -> None:
        self.market = market
        self.matcher = PaperMatcher(order)
        numbers = count(1)
        self.new_id = lambda: FillId(f"f{next(numbers)}")

    def meet(self, bids: Levels = (), asks: Levels = ()) -> tuple[Order, tuple[Fill, ...]]:
        return self.matcher.match(bids, asks, self.market, 9, self.new_id)


@pytest.fixture(scope="module")
def desk(market: Callable[..., Market], order: Callable[..., Order]) -> Callable[..., Desk]:
    """An order on its way (by default: buy 10 at 50 cents, GTC) at a market without fees."""

    def make(fees: PolymarketFees | KalshiFees | None = FREE, **fields: object) -> Desk:
        return Desk(market(fees=fees), order(**{"state": S.SUBMITTING} | fields))

    return make


def _taken(fills: tuple[Fill, ...]) -> list[tuple[int, int]]:
    return [(fill.price // 10_000, fill.size // MICRO) for fill in fills]


def test_an_arriving_buy_takes_the_asks_within_its_limit_best_first(desk: Callable[..., Desk]) -> None:
    order, fills = desk().meet(asks=_levels((48, 4), (50, 3), (51, 100)))
    assert _taken(fills) == [(48, 4), (50, 3)]
    assert [fill.cash for fill in fills] == [4 * 480_000, 3 * 500_000]
    assert (order.state, order.remaining) == (S.PARTIALLY_FILLED, 3 * MICRO)


def test_an_arriving_sell_takes_the_bids_within_its_limit_best_first(desk: Callable[..., Desk]) -> None:
    order, fills = desk(side=Side.SELL).meet(bids=_levels((55, 4), (50, 30), (49, 100)), asks=_levels((56, 1)))
    assert _taken(fills) == [(55, 4), (50, 6)]
    assert order.state is S.FILLED


def test_fills_say_whose_they_are(desk: Callable[..., Desk]) -> None:
    order, (fill,) = desk(strategy="arb").meet(asks=_levels((50, 10)))
    assert (fill.id, fill.order, fill.user, fill.outcome, fill.side, fill.at_ms, fill.strategy) == (
        *("f1", order.id, order.user, order.outcome, Side.BUY, 9, "arb"),
    )


def test_an_order_that_finds_nothing_rests_and_is_open(desk: Callable[..., Desk]) -> None:
    order, fills = desk().meet(asks=_levels((51, 10)))
    assert (order.state, fills) == (S.OPEN, ())


@pytest.mark.parametrize(("asks", "filled", "word"), [(_levels((51, 9)), 0, "nothing in the book"), (_levels((50, 4)), 4, "the rest")])
def test_what_an_immediate_order_does_not_get_at_once_is_cancelled(desk: Callable[..., Desk], asks: Levels, filled: int, word: str) -> None:
    order, _ = desk(tif=TimeInForce.IOC).meet(asks=asks)
    assert (order.state, order.filled) == (S.CANCELLED, filled * MICRO)
    assert word in order.reason


def test_fill_or_kill_is_all_or_nothing(desk: Callable[..., Desk]) -> None:
    order, fills = desk(tif=TimeInForce.FOK).meet(asks=_levels((49, 5), (50, 4), (51, 100)))
    assert (order.state, order.filled, fills) == (S.CANCELLED, 0, ())
    order, fills = desk(tif=TimeInForce.FOK).meet(asks=_levels((49, 5), (50, 5)))
    assert (order.state, _taken(fills)) == (S.FILLED, [(49, 5), (50, 5)])


def test_a_resting_order_fills_at_its_own_limit_when_the_other_side_reaches_it(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.meet(asks=_levels((51, 10)))
    order, fills = one.meet(asks=_levels((47, 4)))
    assert _taken(fills) == [(50, 4)], "a maker gets its own price, not the better one that came"
    assert (order.state, order.remaining) == (S.PARTIALLY_FILLED, 6 * MICRO)
    order, fills = one.meet(asks=_levels((50, 100)))
    assert (_taken(fills), order.state) == ([(50, 6)], S.FILLED)


def test_what_was_taken_from_a_level_is_not_taken_again_while_it_stays(desk: Callable[..., Desk]) -> None:
    one = desk()
    assert _taken(one.meet(asks=_levels((50, 4)))[1]) == [(50, 4)]
    assert one.meet(asks=_levels((50, 4)))[1] == ()
    assert _taken(one.meet(asks=_levels((50, 5)))[1]) == [(50, 1)], "only what was added"
    assert one.meet(asks=_levels((50, 2)))[1] == (), "it shrank: the rest of it is what we took"
    assert _taken(one.meet(asks=_levels((50, 5)))[1]) == [(50, 3)], "and grew again"


def test_a_level_that_went_and_came_is_a_new_one(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.meet(asks=_levels((50, 4)))
    one.meet(asks=())
    assert _taken(one.meet(asks=_levels((50, 4)))[1]) == [(50, 4)]


def test_a_taker_pays_the_fee_of_each_level_and_a_maker_none(desk: Callable[..., Desk]) -> None:
    one = desk(fees=PolymarketFees(Micros(40_000)))
    _, (taken,) = one.meet(asks=_levels((40, 4)))
    assert taken.fee == 38_400
    _, (made,) = one.meet(asks=_levels((45, 6)))
    assert made.fee == 0


def test_one_fee_meter_runs_through_all_fills_of_an_order(desk: Callable[..., Desk]) -> None:
    schedule = KalshiFees(maker_fees=True)
    one = desk(fees=schedule)
    fills = [
        *one.meet(asks=_levels((41, 2), (43, 3)))[1],
        *one.meet(asks=_levels((44, 1)))[1],
        *one.meet(asks=_levels((44, 1), (45, 9)))[1],
    ]
    meter = FeeMeter(schedule)
    assert [fill.fee for fill in fills] == [
        meter.charge(Side.BUY, fill.price, fill.size, taker=taker) for fill, taker in zip(fills, [True, True, False, False], strict=True)
    ]


def test_a_fill_says_whether_it_took_what_rested(desk: Callable[..., Desk]) -> None:
    one = desk()
    assert [fill.taker for fill in one.meet(asks=_levels((49, 1), (50, 1)))[1]] == [True, True]
    assert [fill.taker for fill in one.meet(asks=_levels((48, 3)))[1]] == [False]


@given(
    st.sampled_from([True, False]), st.lists(st.tuples(st.integers(30, 50), st.integers(1, 3)), min_size=2, max_size=8), st.integers(1, 7)
)
def test_an_order_that_is_resumed_with_its_fills_pays_what_it_would_have_paid(
    desk: Callable[..., Desk], maker_fees: bool, offers: list[tuple[int, int]], resumed_after: int
) -> None:
    schedule = KalshiFees(maker_fees=maker_fees)
    books = [_levels((cents, size)) for cents, size in offers]
    fees = []
    for restarts in (False, True):
        one = desk(fees=schedule)
        filled: list[Fill] = []
        for number, book in enumerate(books):
            if one.matcher.order.state.is_final:
                break
            one.meet(asks=())  # so that what was taken is forgotten: which level that was is not known after a restart
            if restarts and number == resumed_after:
                one.matcher = ResumedMatcher(one.matcher.order, filled)
                one.meet(asks=_levels((99, 1)))
                one.meet(asks=())
            filled += one.meet(asks=book)[1]
        fees.append([fill.fee for fill in filled])
    assert fees[0] == fees[1]


def test_a_resumed_order_does_not_take_again_what_it_took(desk: Callable[..., Desk]) -> None:
    one = desk()
    _, fills = one.meet(asks=_levels((49, 3)))
    one.matcher = ResumedMatcher(one.matcher.order, fills)
    assert one.meet(asks=_levels((49, 3)))[1] == ()
    assert _taken(one.meet(asks=_levels((49, 4)))[1]) == [(50, 1)]


def test_what_is_matched_on_a_copy_changes_nothing_of_the_original(desk: Callable[..., Desk]) -> None:
    one = desk(fees=KalshiFees(maker_fees=True))
    one.meet(asks=_levels((47, 1)))
    original, order = one.matcher, one.matcher.order
    outcomes = []
    for _ in range(2):
        one.matcher = original.copy()
        outcomes.append([(fill.size, fill.fee) for fill in one.meet(asks=_levels((47, 3), (49, 1)))[1]])
        assert original.order is order
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 2


def test_without_a_fee_schedule_nothing_is_filled(desk: Callable[..., Desk]) -> None:
    one = desk(fees=None)
    with pytest.raises(UnknownFees):
        one.meet(asks=_levels((40, 4)))
    assert one.matcher.order.filled == 0


@pytest.mark.parametrize(("side", "cash"), [(Side.BUY, 1), (Side.SELL, 0)])
def test_cash_is_rounded_once_against_us(desk: Callable[..., Desk], side: Side, cash: int) -> None:
    half_a_micro = (Level(Micros(500_000), Micros(1)),)
    _, (fill,) = desk(side=side, size=Micros(1)).meet(bids=half_a_micro, asks=half_a_micro)
    assert fill.cash == cash


ladders = st.lists(st.tuples(st.integers(1, 99), st.integers(1, 9)), max_size=5, unique_by=lambda pair: pair[0])


@given(
    st.sampled_from(Side), st.sampled_from(TimeInForce), st.integers(1, 99), st.integers(1, 25), st.lists(ladders, min_size=1, max_size=5)
)
def test_no_order_gets_more_than_it_wants_or_worse_than_its_limit(
    desk: Callable[..., Desk], side: Side, tif: TimeInForce, limit: int, size: int, books: list[list[tuple[int, int]]]
) -> None:
    one = desk(fees=KalshiFees(), side=side, tif=tif, price=Micros(limit * 10_000), size=Micros(size * MICRO))
    total = 0
    for number, book in enumerate(books):
        opposite = _levels(*sorted(book, reverse=side is Side.SELL))
        order, fills = one.meet(bids=opposite if side is Side.SELL else (), asks=opposite if side is Side.BUY else ())
        total += sum(fill.size for fill in fills)
        assert order.filled == total <= order.size
        assert all(fill.price <= order.price if side is Side.BUY else fill.price >= order.price for fill in fills)
        assert not fills or all(fill.cash > 0 for fill in fills)
        within = sum(n for cents, n in book if (cents <= limit if side is Side.BUY else cents >= limit)) * MICRO
        if not number:
            assert total == (0 if tif is TimeInForce.FOK and within < order.size else min(within, order.size))
        if order.state.is_final:
            assert order.state is (S.FILLED if total == order.size else S.CANCELLED)
            return
    assert tif is TimeInForce.GTC


def test_a_kalshi_market_is_matched_like_any_other(market: Callable[..., Market], order: Callable[..., Order]) -> None:
    one = Desk(market(KALSHI, fees=KalshiFees()), order(state=S.SUBMITTING))
    assert one.meet(asks=_levels((50, 10)))[0].state is S.FILLED
