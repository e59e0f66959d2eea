"""What Polymarket alone does: mint and merge, the taker delay, trades that are confirmed or taken back, redeeming."""

import pytest

from arbiter.domain.book import Side
from arbiter.domain.market import TickRange
from arbiter.domain.money import Micros, parse_micros
from arbiter.sandbox.matching.events import Filled, OrderChanged, TradeMoved
from arbiter.sandbox.matching.orders import AccountId, Status, Tif, Why
from arbiter.sandbox.matching.refused import Reason, Refused
from arbiter.sandbox.matching.trades import Fate, TradeStatus
from arbiter.sandbox.world import Stage, StageChanged
from tests.matchdesk import NOW, Desk, desk, polymarket


@pytest.fixture
def poly() -> Desk:
    made = desk(polymarket())
    made.fund("ann", "bob")
    return made


def dollars(text: str) -> Micros:
    return parse_micros(text)


def test_two_buyers_of_both_outcomes_mint_a_pair(poly: Desk) -> None:
    resting = poly.buy("bob", "no", "0.48", "25").order
    trade = poly.buy("ann", "yes", "0.55", "25").trades[0]
    (maker,) = trade.makers
    assert (trade.taker.outcome, trade.taker.price) == (poly.market.yes_key, dollars("0.52"))
    assert (maker.order, maker.outcome, maker.side, maker.price) == (resting.id, poly.market.no_key, Side.BUY, dollars("0.48"))
    poly.tick(10)
    assert (poly.holds("ann", "yes"), poly.holds("bob", "no")) == (dollars("25"), dollars("25"))
    assert poly.cash("bob") == dollars("988"), "makers pay no fee"
    assert poly.cash("ann") == dollars("987") - dollars("0.312")


def test_two_sellers_of_both_outcomes_merge_a_pair(poly: Desk) -> None:
    for who in ("ann", "bob"):
        poly.matching.split(AccountId(who), poly.market.key, dollars("10"))
    poly.sell("bob", "no", "0.40", "10")
    trade = poly.sell("ann", "yes", "0.55", "10").trades[0]
    assert [(leg.side, leg.outcome, leg.cash) for leg in trade.legs] == [
        (Side.SELL, poly.market.yes_key, dollars("6")),
        (Side.SELL, poly.market.no_key, dollars("4")),
    ]
    poly.tick(10)
    assert (poly.holds("ann", "yes"), poly.holds("ann", "no"), poly.holds("bob", "no")) == (0, dollars("10"), 0)


def test_one_trade_for_each_price_with_all_the_makers_there(poly: Desk) -> None:
    poly.matching.split(AccountId("bob"), poly.market.key, dollars("10"))
    poly.sell("bob", "yes", "0.50", "10")
    poly.buy("bob", "no", "0.50", "10")
    poly.buy("bob", "no", "0.49", "10")
    trades = poly.buy("ann", "yes", "0.60", "30").trades
    assert [(trade.price, len(trade.makers), trade.taker.size) for trade in trades] == [
        (dollars("0.50"), 2, dollars("20")),
        (dollars("0.51"), 1, dollars("10")),
    ]


def test_a_fok_that_is_short_and_a_fak_that_finds_nothing_are_refused(poly: Desk) -> None:
    poly.crowd(asks=[("0.50", "30")])
    with pytest.raises(Refused, match=Reason.FOK_UNFILLED.value):
        poly.buy("ann", "yes", "0.50", "31", tif=Tif.FOK)
    with pytest.raises(Refused, match=Reason.FAK_UNFILLED.value):
        poly.buy("ann", "yes", "0.49", "10", tif=Tif.FAK)
    assert poly.book(Side.SELL) == [(dollars("0.50"), dollars("30"))]
    placed = poly.buy("ann", "yes", "0.50", "31", tif=Tif.FAK)
    assert (placed.order.status, placed.order.why, placed.order.filled) == (Status.CANCELLED, Why.UNFILLED, dollars("30"))


def test_a_buy_by_dollars_spends_them_all_and_gets_more_where_it_is_cheaper(poly: Desk) -> None:
    poly.crowd(bids=[("0.45", "50")], asks=[("0.40", "5"), ("0.50", "100")])
    order = poly.buy("ann", "yes", "0.53", "18.8679", tif=Tif.FOK, spend=dollars("10")).order
    assert (order.status, order.filled, order.taker_cash) == (Status.EXECUTED, dollars("21"), dollars("10"))
    with pytest.raises(Refused, match=Reason.FOK_UNFILLED.value):
        poly.buy("ann", "yes", "0.53", "94.33", tif=Tif.FOK, spend=dollars("50"))
    rest = poly.buy("ann", "yes", "0.53", "94.33", tif=Tif.FAK, spend=dollars("50")).order
    assert (rest.status, rest.why, rest.filled) == (Status.CANCELLED, Why.UNFILLED, dollars("84"))
    no = poly.buy("ann", "no", "0.60", "16.6666", tif=Tif.FAK, spend=dollars("10")).order
    assert (no.status, no.filled, no.taker_cash) == (Status.EXECUTED, dollars("18.1818"), dollars("9.99999"))


def test_a_part_of_a_micro_is_in_favour_of_the_resting_side() -> None:
    fine = desk(polymarket(ticks=(TickRange(Micros(1_000), Micros(999_000), Micros(1_000)),)))
    fine.fund("ann", "bob")
    fine.buy("bob", "no", "0.433", "10")
    (trade,) = fine.buy("ann", "yes", "0.567", "4.3859", tif=Tif.FAK).trades
    # 0.433 x 4.3859 = 1.8990947
    assert (trade.makers[0].cash, trade.taker.cash) == (dollars("1.899094"), dollars("2.486806"))


@pytest.mark.parametrize("options", [{}, {"tif": Tif.GTD, "expires_ms": NOW + 200_000}])
def test_only_an_immediate_buy_can_be_by_dollars(poly: Desk, options: dict[str, object]) -> None:
    with pytest.raises(Refused, match="spend"):
        poly.buy("ann", "yes", "0.50", "20", spend=dollars("10"), **options)
    with pytest.raises(Refused, match="spend"):
        poly.sell("ann", "yes", "0.50", "20", spend=dollars("10"), tif=Tif.FAK)


def test_small_orders_are_refused_when_they_would_rest_and_cheap_buys_when_they_would_trade(poly: Desk) -> None:
    poly.crowd(asks=[("0.10", "30")])
    with pytest.raises(Refused, match=Reason.TOO_SMALL.value):
        poly.buy("ann", "yes", "0.05", "4.99")
    with pytest.raises(Refused, match=r"^marketable_too_small: 0\.90$"):
        poly.buy("ann", "yes", "0.10", "9")
    assert poly.buy("ann", "yes", "0.09", "9").order.status is Status.RESTING


def test_nobody_sells_what_he_has_not_nor_what_is_not_confirmed(poly: Desk) -> None:
    with pytest.raises(Refused, match=Reason.BALANCE.value):
        poly.sell("ann", "yes", "0.50", "10")
    poly.crowd(asks=[("0.50", "30")])
    poly.buy("ann", "yes", "0.50", "10")
    with pytest.raises(Refused, match=Reason.BALANCE.value):
        poly.sell("ann", "yes", "0.60", "10")
    poly.tick(10)
    poly.sell("ann", "yes", "0.60", "10")
    with pytest.raises(Refused, match=Reason.BALANCE.value):
        poly.sell("ann", "yes", "0.70", "5")


def test_a_trade_is_mined_and_confirmed_in_time(poly: Desk) -> None:
    poly.crowd(asks=[("0.50", "30")])
    poly.buy("ann", "yes", "0.50", "10")
    seen = []
    for _ in range(5):
        seen.append([event.trade.status for event in poly.told("ann") if isinstance(event, TradeMoved)])
        poly.tick(1)
    assert seen == [[TradeStatus.MATCHED], [], [TradeStatus.MINED], [], [TradeStatus.CONFIRMED]]


@pytest.mark.parametrize("fate", [Fate.FAILED, Fate.FAILED_AFTER_RETRY, Fate.FAILED_AFTER_MINED])
def test_a_trade_that_fails_gives_both_sides_back_what_they_gave(poly: Desk, fate: Fate) -> None:
    poly.matching.split(AccountId("bob"), poly.market.key, dollars("10"))
    poly.matching.doom(fate)
    poly.sell("bob", "yes", "0.50", "10")
    placed = poly.buy("ann", "yes", "0.50", "10")
    poly.tick(10)
    assert (poly.cash("ann"), poly.holds("ann", "yes")) == (dollars("1000"), 0)
    assert (poly.cash("bob"), poly.holds("bob", "yes")) == (dollars("990"), dollars("10"))
    after = poly.matching.order(placed.order.id)
    assert after is not None
    assert after.status is Status.EXECUTED, "the order itself still says that it was matched"
    later = poly.buy("ann", "no", "0.10", "10")
    assert later.order.status is Status.RESTING


def test_a_trade_under_way_can_be_turned_and_a_final_one_not(poly: Desk) -> None:
    poly.crowd(asks=[("0.50", "30")])
    trade = poly.buy("ann", "yes", "0.50", "10").trades[0].id
    poly.tick(3)
    poly.matching.turn(trade, Fate.RETRIED, poly.now)
    poly.told("ann")
    poly.tick(20)
    steps = [event.trade.status for event in poly.told("ann") if isinstance(event, TradeMoved)]
    assert steps == [TradeStatus.RETRYING, TradeStatus.MINED, TradeStatus.CONFIRMED]
    with pytest.raises(KeyError):
        poly.matching.turn(trade, Fate.FAILED, poly.now)


def test_the_taker_delay_holds_an_order_and_then_matches_it_or_not() -> None:
    delayed = desk(polymarket(taker_delay_ms=3_000))
    delayed.fund("ann", "bob")
    delayed.crowd(asks=[("0.50", "30")])
    one = delayed.buy("ann", "yes", "0.50", "10", tif=Tif.FOK)
    two = delayed.buy("bob", "yes", "0.50", "30", tif=Tif.FOK)
    assert [(each.order.status, each.trades) for each in (one, two)] == [(Status.DELAYED, ())] * 2
    assert delayed.buy("ann", "yes", "0.40", "10").order.status is Status.RESTING, "who takes nothing is not held back"
    delayed.tick(2.999)
    assert delayed.book(Side.SELL) == [(dollars("0.50"), dollars("30"))]
    delayed.told("ann")
    delayed.tick(0.001)
    first, second = (delayed.matching.order(each.order.id) for each in (one, two))
    assert first is not None
    assert second is not None
    assert (first.status, second.status, second.why, second.filled) == (Status.EXECUTED, Status.CANCELLED, Why.UNFILLED, 0)


def test_a_delayed_order_can_be_cancelled(poly: Desk) -> None:
    delayed = desk(polymarket(taker_delay_ms=3_000))
    delayed.fund("ann")
    delayed.crowd(asks=[("0.50", "30")])
    order = delayed.buy("ann", "yes", "0.50", "10").order
    delayed.matching.cancel(AccountId("ann"), order.id, NOW)
    delayed.tick(5)
    assert delayed.holds("ann", "yes") == delayed.matching.account(AccountId("ann")).incoming_shares[delayed.market.yes_key] == 0
    assert delayed.matching.free(AccountId("ann")) == dollars("1000")


def test_what_an_account_hears_of_a_fill_is_its_own_leg_and_the_whole_trade(poly: Desk) -> None:
    poly.buy("bob", "no", "0.50", "10")
    poly.told("bob")
    poly.buy("ann", "yes", "0.50", "4", tif=Tif.FAK)
    fill, order, moved = poly.told("bob")
    assert isinstance(fill, Filled)
    assert (fill.leg.account, fill.leg.taker, fill.leg.shares_after) == ("bob", False, dollars("4"))
    assert isinstance(order, OrderChanged)
    assert (order.why, order.order.remaining) == (Why.TRADE, dollars("6"))
    assert isinstance(moved, TradeMoved)
    assert moved.trade == fill.trade


@pytest.mark.parametrize(("pays", "void"), [("1", False), ("0", False), ("0.5", True)])
def test_a_settled_market_pays_who_redeems_once(poly: Desk, pays: str, void: bool) -> None:
    poly.matching.split(AccountId("ann"), poly.market.key, dollars("10"))
    poly.crowd(bids=[("0.50", "30")])
    poly.sell("ann", "no", "0.50", "10", tif=Tif.GTC)
    poly.matching.split(AccountId("ann"), poly.market.key, dollars("7"))
    with pytest.raises(Refused, match=Reason.MARKET_INACTIVE.value):
        poly.matching.redeem(AccountId("ann"), poly.market.key, NOW)
    poly.matching.apply(StageChanged(poly.market.key, Stage.SETTLED, dollars(pays), void), NOW)
    worth = (17 * dollars(pays)) + 17 * (dollars("1") - dollars(pays))
    assert poly.matching.redeem(AccountId("ann"), poly.market.key, NOW) == worth
    assert poly.matching.redeem(AccountId("ann"), poly.market.key, NOW) == 0
    assert poly.cash("ann") == dollars("1000")


def test_a_trade_that_is_not_confirmed_yet_is_so_before_its_market_pays(poly: Desk) -> None:
    poly.crowd(asks=[("0.50", "30")])
    poly.buy("ann", "yes", "0.50", "10")
    poly.matching.apply(StageChanged(poly.market.key, Stage.SETTLED, dollars("1")), NOW)
    assert poly.matching.redeem(AccountId("ann"), poly.market.key, NOW) == dollars("10")
