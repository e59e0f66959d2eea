"""What Kalshi alone does: one YES book, netting, amend and decrease, reduce-only, self-trade prevention, shards, pauses."""

import pytest

from arbiter.domain.book import Side
from arbiter.domain.market import KalshiFees
from arbiter.domain.money import Micros, parse_micros
from arbiter.sandbox.matching.events import Filled, Paid
from arbiter.sandbox.matching.orders import AccountId, SelfTrade, Status, Tif, Why
from arbiter.sandbox.matching.refused import Reason, Refused
from arbiter.sandbox.matching.trades import TradeStatus
from arbiter.sandbox.world import Stage, StageChanged
from tests.matchdesk import NOW, Desk, desk, kalshi

ANN = AccountId("ann")


@pytest.fixture
def kal() -> Desk:
    made = desk(kalshi(fees=KalshiFees(balance_unit=Micros(100))))
    made.fund("ann", "bob")
    return made


def dollars(text: str) -> Micros:
    return parse_micros(text)


def test_to_sell_yes_without_any_is_to_buy_no(kal: Desk) -> None:
    order = kal.sell("ann", "yes", "0.60", "10").order
    assert (order.outcome, order.side, order.price) == (kal.market.no_key, Side.BUY, dollars("0.40"))
    assert (order.yes_side, order.yes_price) == (Side.SELL, dollars("0.60"))
    trade = kal.buy("bob", "yes", "0.60", "10").trades[0]
    assert (trade.price, trade.status) == (dollars("0.60"), TradeStatus.CONFIRMED)
    assert (kal.holds("ann", "no"), kal.holds("bob", "yes")) == (dollars("10"), dollars("10"))
    assert kal.cash("ann") == dollars("996")
    assert kal.cash("bob") == dollars("994") - dollars("0.168")


def test_opposite_positions_cancel_each_other_out_at_once(kal: Desk) -> None:
    kal.crowd(bids=[("0.58", "100")], asks=[("0.60", "100")])
    kal.buy("ann", "yes", "0.60", "10")
    kal.told("ann")
    kal.sell("ann", "yes", "0.58", "15")
    assert (kal.holds("ann", "yes"), kal.holds("ann", "no")) == (0, dollars("5"))
    fills = [event.leg for event in kal.told("ann") if isinstance(event, Filled)]
    assert [leg.shares_after for leg in fills] == [dollars("-5")]
    paid = dollars("6") - dollars("5.8") + dollars("2.1")
    fees = sum(order.taker_fees for order in kal.matching.orders(ANN))
    assert kal.cash("ann") == dollars("1000") - paid - fees


def test_who_closes_needs_no_dollars() -> None:
    poor = desk(kalshi())
    poor.fund("ann", amount="6.20")
    poor.crowd(bids=[("0.58", "100")], asks=[("0.60", "100")])
    poor.buy("ann", "yes", "0.60", "10")
    assert poor.cash("ann") < dollars("0.10")
    with pytest.raises(Refused, match=Reason.BALANCE.value):
        poor.sell("ann", "yes", "0.58", "30", tif=Tif.FAK)
    assert poor.sell("ann", "yes", "0.58", "10", tif=Tif.FAK).order.status is Status.EXECUTED


def test_an_immediate_order_that_finds_too_little_is_no_error(kal: Desk) -> None:
    kal.crowd(asks=[("0.60", "10")])
    fok = kal.buy("ann", "yes", "0.60", "11", tif=Tif.FOK).order
    assert (fok.status, fok.why, fok.filled) == (Status.CANCELLED, Why.UNFILLED, 0)
    ioc = kal.buy("ann", "yes", "0.60", "11", tif=Tif.FAK).order
    assert (ioc.status, ioc.why, ioc.filled) == (Status.CANCELLED, Why.UNFILLED, dollars("10"))


def test_reduce_only_closes_and_never_turns_round(kal: Desk) -> None:
    kal.crowd(bids=[("0.58", "100")], asks=[("0.60", "100")])
    kal.buy("ann", "yes", "0.60", "10")
    order = kal.sell("ann", "yes", "0.58", "15", tif=Tif.FAK, reduce_only=True).order
    assert (order.filled, order.why) == (dollars("10"), Why.REDUCE_ONLY)
    assert kal.matching.account(ANN).net(kal.market) == 0
    assert kal.buy("ann", "yes", "0.60", "15", tif=Tif.FAK, reduce_only=True).order.filled == 0


def test_taker_at_cross_ends_the_arriving_order_where_it_meets_its_owners(kal: Desk) -> None:
    kal.sell("bob", "yes", "0.50", "5")
    mine = kal.sell("ann", "yes", "0.55", "5").order
    kal.sell("bob", "yes", "0.60", "5")
    order = kal.buy("ann", "yes", "0.60", "15", self_trade=SelfTrade.TAKER_AT_CROSS).order
    assert (order.filled, order.status, order.why) == (dollars("5"), Status.CANCELLED, Why.SELF_TRADE)
    assert kal.matching.order(mine.id) == mine


def test_maker_ends_the_resting_order_and_goes_on(kal: Desk) -> None:
    mine = kal.sell("ann", "yes", "0.55", "5").order
    kal.sell("bob", "yes", "0.60", "5")
    order = kal.buy("ann", "yes", "0.60", "5", self_trade=SelfTrade.MAKER).order
    after = kal.matching.order(mine.id)
    assert after is not None
    assert (order.status, after.status, after.why) == (Status.EXECUTED, Status.CANCELLED, Why.SELF_TRADE)


def test_a_fok_that_is_short_for_its_owners_own_orders_leaves_them_alone(kal: Desk) -> None:
    mine = kal.sell("ann", "yes", "0.55", "5").order
    assert kal.buy("ann", "yes", "0.60", "5", tif=Tif.FOK, self_trade=SelfTrade.MAKER).order.filled == 0
    assert kal.matching.order(mine.id) == mine


def test_a_smaller_order_keeps_its_place_and_any_other_change_loses_it(kal: Desk) -> None:
    first, second = (kal.buy(who, "yes", "0.40", "10").order.id for who in ("ann", "bob"))
    ahead = kal.matching.queue_ahead
    kal.matching.decrease(ANN, first, dollars("8"), NOW)
    kal.matching.amend(ANN, first, dollars("0.40"), dollars("6"), NOW)
    kal.matching.amend(ANN, first, dollars("0.40"), dollars("6"), NOW, expires_ms=NOW + 10_000)
    assert (ahead(first), ahead(second)) == (0, dollars("6"))
    kal.matching.amend(ANN, first, dollars("0.40"), dollars("7"), NOW)
    assert (ahead(first), ahead(second)) == (dollars("10"), 0)
    kal.matching.amend(ANN, first, dollars("0.41"), dollars("7"), NOW, client_id="again")
    assert kal.book(Side.BUY)[0] == (dollars("0.41"), dollars("7"))
    found = kal.matching.order_of(ANN, "again")
    assert found is not None
    assert found.id == first


def test_an_amended_order_meets_what_it_crosses_and_counts_what_was_filled(kal: Desk) -> None:
    order = kal.buy("ann", "yes", "0.40", "10").order
    kal.sell("bob", "yes", "0.40", "4")
    kal.sell("bob", "yes", "0.50", "3")
    placed = kal.matching.amend(ANN, order.id, dollars("0.50"), dollars("12"), NOW)
    assert [trade.taker.size for trade in placed.trades] == [dollars("3")]
    assert (placed.order.filled, placed.order.remaining, placed.order.initial) == (dollars("7"), dollars("5"), dollars("10"))


def test_an_amendment_that_is_refused_leaves_the_order_where_it_was(kal: Desk) -> None:
    order = kal.buy("ann", "yes", "0.40", "10", post_only=True).order
    kal.sell("bob", "yes", "0.50", "3")
    kal.matching.drain()
    for price, size, reason in (("0.50", "10", Reason.POST_ONLY_CROSS), ("0.45", "9000", Reason.BALANCE), ("0.455", "10", Reason.PRICE)):
        with pytest.raises(Refused, match=reason.value):
            kal.matching.amend(ANN, order.id, dollars(price), dollars(size), NOW)
    assert kal.matching.drain() == ([], [])
    assert (kal.matching.order(order.id), kal.matching.queue_ahead(order.id)) == (order, 0)


def test_a_decrease_to_nothing_cancels(kal: Desk) -> None:
    order = kal.buy("ann", "yes", "0.40", "10").order
    after = kal.matching.decrease(ANN, order.id, Micros(0), NOW)
    assert (after.status, after.why, kal.book(Side.BUY)) == (Status.CANCELLED, Why.CANCELLED, [])


def test_what_one_holds_covers_the_cheapest_of_what_one_sells_and_makers_fees_are_kept_ready() -> None:
    made = desk(kalshi(fees=KalshiFees(maker_fees=True)))
    made.fund("ann")
    made.crowd(asks=[("0.20", "10")])
    made.buy("ann", "yes", "0.20", "10")
    before = made.matching.free(ANN)
    # as NO these cost 0.40 and 0.70; with 10 YES in hand the dearer one alone must be paid for
    made.sell("ann", "yes", "0.60", "10")
    made.sell("ann", "yes", "0.30", "10")
    # the makers' fees 0.042 and 0.03675, each up to a cent, and a cent more for each order
    assert before - made.matching.free(ANN) == dollars("7") + dollars("0.05") + dollars("0.04") + dollars("0.02")


def test_each_shard_has_its_own_dollars() -> None:
    away = desk(kalshi(shard=2))
    away.fund("ann", pool=0)
    with pytest.raises(Refused, match=Reason.BALANCE.value):
        away.buy("ann", "yes", "0.40", "10")
    away.fund("ann", pool=2)
    away.buy("ann", "yes", "0.40", "10")
    assert away.matching.free(ANN, 2) < dollars("1000") == away.matching.free(ANN)


def test_fees_are_gathered_by_order_and_makers_pay_where_the_series_says_so() -> None:
    made = desk(kalshi(fees=KalshiFees(maker_fees=True)))
    made.fund("ann", "bob")
    resting = made.sell("bob", "yes", "0.50", "10").order
    taken = [made.buy("ann", "yes", "0.50", "5", tif=Tif.FAK).order for _ in range(2)]
    after = made.matching.order(resting.id)
    assert after is not None
    # 0.07 x 5 x 0.25 = 0.0875, up to a cent; the maker's 0.021875 twice: 0.03, then 0.02 since the order has 0.008125 to its good
    assert [order.taker_fees for order in taken] == [dollars("0.09")] * 2
    assert after.maker_fees == dollars("0.05")
    assert made.matching.account(AccountId("bob")).cash[0] == dollars("994.95")


def test_a_pause_ends_who_asked_for_it_and_its_end_all_others(kal: Desk) -> None:
    wary = kal.buy("ann", "yes", "0.40", "10", cancel_on_pause=True).order.id
    calm = kal.buy("ann", "yes", "0.41", "10").order.id
    kal.matching.apply(StageChanged(kal.market.key, Stage.PAUSED), NOW)
    assert [order.id for order in kal.matching.open_orders(ANN)] == [calm]
    with pytest.raises(Refused, match=Reason.MARKET_INACTIVE.value):
        kal.buy("ann", "yes", "0.40", "10")
    kal.matching.apply(StageChanged(kal.market.key, Stage.ACTIVE), NOW)
    ended = [kal.matching.order(order) for order in (wary, calm)]
    assert [order.why for order in ended if order] == [Why.HALTED, Why.HALTED]


@pytest.mark.parametrize(("pays", "amount"), [("1", "0"), ("0", "10"), ("0.5", "5")])
def test_a_settled_market_pays_by_itself(kal: Desk, pays: str, amount: str) -> None:
    kal.crowd(bids=[("0.60", "100")])
    kal.sell("ann", "yes", "0.60", "10")
    before = kal.cash("ann")
    kal.told("ann")
    kal.matching.apply(StageChanged(kal.market.key, Stage.DETERMINED, dollars(pays)), NOW)
    assert kal.cash("ann") == before
    kal.matching.apply(StageChanged(kal.market.key, Stage.SETTLED, dollars(pays)), NOW)
    assert kal.cash("ann") == before + dollars(amount)
    (paid,) = kal.told("ann")
    assert isinstance(paid, Paid)
    assert (paid.yes, paid.no, paid.amount) == (0, dollars("10"), dollars(amount))
