"""What becomes of an order on either venue: its place, what it takes, what it is refused for."""

import pytest

from arbiter.domain.book import LevelChange, PublicTrade, Side
from arbiter.domain.ids import OrderId
from arbiter.domain.money import Micros, parse_micros
from arbiter.sandbox.matching.orders import AccountId, Status, Tif, Why
from arbiter.sandbox.matching.refused import Reason, Refused
from arbiter.sandbox.world import Stage, StageChanged
from tests.matchdesk import NOW, Desk, desk, kalshi, polymarket

BOTH = [polymarket(), kalshi()]


@pytest.fixture(params=BOTH, ids=["polymarket", "kalshi"])
def floor(request: pytest.FixtureRequest) -> Desk:
    made = desk(request.param)
    made.fund("ann", "bob", "cid")
    return made


def refused(reason: Reason) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, match=f"^{reason.value}")


def test_the_better_price_is_taken_first_and_of_one_price_the_older_order(floor: Desk) -> None:
    late_but_best = [floor.buy(who, "no", price, "10").order.id for who, price in (("ann", "0.40"), ("bob", "0.40"), ("cid", "0.45"))]
    first, second, best = late_but_best
    trades = floor.buy("ann", "yes", "0.70", "25").trades
    made = [(leg.order, leg.size) for trade in trades for leg in trade.makers]
    assert made == [(best, parse_micros("10")), (first, parse_micros("10")), (second, parse_micros("5"))]


def test_a_fill_is_at_the_resting_orders_price_and_the_rest_rests_at_the_limit(floor: Desk) -> None:
    floor.buy("bob", "no", "0.60", "10")
    placed = floor.buy("ann", "yes", "0.45", "30")
    assert [(trade.price, trade.taker.cash) for trade in placed.trades] == [(parse_micros("0.40"), parse_micros("4"))]
    assert placed.order.status is Status.RESTING
    assert floor.book(Side.BUY) == [(parse_micros("0.45"), parse_micros("20"))]


def test_what_was_there_before_an_order_trades_before_it(floor: Desk) -> None:
    floor.crowd(bids=[("0.40", "30")], asks=[("0.50", "30")])
    order = floor.buy("ann", "yes", "0.40", "10").order
    assert floor.matching.queue_ahead(order.id) == parse_micros("30")
    bid = LevelChange(floor.market.yes_key, Side.BUY, parse_micros("0.40"), parse_micros("50"))
    floor.matching.apply(bid, NOW)
    assert floor.matching.queue_ahead(order.id) == parse_micros("30"), "what comes later stands behind"
    less = LevelChange(floor.market.yes_key, Side.BUY, parse_micros("0.40"), parse_micros("35"))
    floor.matching.apply(less, NOW)
    assert floor.matching.queue_ahead(order.id) == parse_micros("30"), "who came last goes first"
    sold = PublicTrade(floor.market.yes_key, parse_micros("0.40"), parse_micros("34"), Side.SELL, NOW)
    floor.matching.apply(sold, NOW)
    after = floor.matching.order(order.id)
    assert after is not None
    assert after.filled == parse_micros("4")


def test_a_level_that_was_taken_is_back_when_the_world_speaks_of_it(floor: Desk) -> None:
    floor.crowd(asks=[("0.50", "30")])
    floor.buy("ann", "yes", "0.50", "30", tif=Tif.FAK)
    assert floor.book(Side.SELL) == []
    floor.matching.apply(LevelChange(floor.market.yes_key, Side.SELL, parse_micros("0.50"), parse_micros("12")), NOW)
    assert floor.book(Side.SELL) == [(parse_micros("0.50"), parse_micros("12"))]


def test_the_world_meets_a_resting_order_that_it_reaches(floor: Desk) -> None:
    order = floor.buy("ann", "yes", "0.55", "10").order
    floor.crowd(bids=[("0.48", "30")], asks=[("0.50", "30")])
    after = floor.matching.order(order.id)
    assert after is not None
    assert (after.status, after.maker_cash) == (Status.EXECUTED, parse_micros("5.5"))
    assert floor.book(Side.SELL) == [(parse_micros("0.50"), parse_micros("20"))]


def test_everybody_sees_orders_and_trades_in_the_yes_book(floor: Desk) -> None:
    floor.matching.drain()
    floor.buy("bob", "no", "0.60", "10")
    placed = floor.buy("ann", "yes", "0.40", "4", tif=Tif.FAK)
    outcome, at, trade = floor.market.yes_key, parse_micros("0.40"), placed.trades[0].id
    assert floor.matching.drain()[1] == [
        LevelChange(outcome, Side.SELL, at, parse_micros("10")),
        PublicTrade(outcome, at, parse_micros("4"), Side.BUY, NOW, trade),
        LevelChange(outcome, Side.SELL, at, parse_micros("6")),
    ]


def test_post_only_that_would_trade_is_refused(floor: Desk) -> None:
    floor.crowd(asks=[("0.50", "30")])
    with refused(Reason.POST_ONLY_CROSS):
        floor.buy("ann", "yes", "0.50", "10", post_only=True)
    assert floor.buy("ann", "yes", "0.49", "10", post_only=True).order.status is Status.RESTING


def test_an_order_goes_when_its_time_comes(floor: Desk) -> None:
    early = 60_000 if floor.market in BOTH[:1] else 0
    order = floor.buy("ann", "yes", "0.40", "10", tif=Tif.GTD, expires_ms=NOW + 200_000).order
    floor.tick((200_000 - early - 1) / 1000)
    assert floor.book(Side.BUY) != []
    floor.tick(0.001)
    after = floor.matching.order(order.id)
    assert after is not None
    assert (after.status, after.why, floor.book(Side.BUY)) == (Status.CANCELLED, Why.EXPIRED, [])


@pytest.mark.parametrize(
    ("price", "size", "options", "reason"),
    [
        ("0.405", "10", {}, Reason.PRICE),
        ("1", "10", {}, Reason.PRICE),
        ("0.40", "10.001", {}, Reason.SIZE),
        ("0.40", "0", {}, Reason.SIZE),
        ("0.40", "10", {"tif": Tif.FAK, "post_only": True}, Reason.COMBINATION),
        ("0.40", "10", {"reduce_only": True}, Reason.COMBINATION),
        ("0.40", "10", {"tif": Tif.GTD}, Reason.EXPIRATION),
        ("0.40", "10", {"tif": Tif.GTD, "expires_ms": NOW - 1}, Reason.EXPIRATION),
        ("0.40", "10", {"expires_ms": NOW + 1_000_000}, Reason.EXPIRATION),
        ("0.99", "2000", {}, Reason.BALANCE),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_changes_nothing(
    floor: Desk, price: str, size: str, options: dict[str, object], reason: Reason
) -> None:
    floor.matching.drain()
    with refused(reason):
        floor.buy("ann", "yes", price, size, **options)
    assert floor.matching.drain() == ([], [])
    assert floor.matching.orders(AccountId("ann")) == []


def test_an_id_counts_once_also_after_the_order_is_over(floor: Desk) -> None:
    order = floor.buy("ann", "yes", "0.40", "10", id=OrderId("same"), client_id="mine").order
    floor.matching.cancel(AccountId("ann"), order.id, NOW)
    with refused(Reason.DUPLICATE):
        floor.buy("ann", "yes", "0.40", "10", id=OrderId("same"))
    with refused(Reason.DUPLICATE):
        floor.buy("ann", "yes", "0.40", "10", client_id="mine")
    assert floor.matching.order_of(AccountId("ann"), "mine") == floor.matching.order(order.id)
    assert floor.buy("bob", "yes", "0.40", "10", client_id="mine").order.status is Status.RESTING


def test_resting_orders_hold_back_dollars_until_they_go(floor: Desk) -> None:
    before = floor.matching.free(AccountId("ann"))
    order = floor.buy("ann", "yes", "0.40", "2000").order
    with refused(Reason.BALANCE):
        floor.buy("ann", "no", "0.40", "1000")
    assert floor.matching.free(AccountId("ann")) <= before - parse_micros("800")
    floor.matching.cancel(AccountId("ann"), order.id, NOW)
    assert floor.matching.free(AccountId("ann")) == before


def test_cancels_are_by_id_by_outcome_by_market_or_of_all_and_of_ones_own_alone(floor: Desk) -> None:
    yes, no = (floor.buy("ann", outcome, "0.40", "10").order.id for outcome in ("yes", "no"))
    floor.buy("bob", "yes", "0.30", "10")
    with refused(Reason.NO_SUCH_ORDER):
        floor.matching.cancel(AccountId("bob"), yes, NOW)
    ended = floor.matching.cancel_all(AccountId("ann"), NOW, outcome=floor.market.no_key)
    assert [(each.id, each.why) for each in ended] == [(no, Why.CANCELLED)]
    assert [each.id for each in floor.matching.cancel_all(AccountId("ann"), NOW, market=floor.market.key)] == [yes]
    assert floor.matching.cancel_all(AccountId("ann"), NOW) == []
    assert len(floor.matching.open_orders(AccountId("bob"))) == 1
    with refused(Reason.NO_SUCH_ORDER):
        floor.matching.cancel(AccountId("ann"), yes, NOW)


def test_a_close_ends_all_orders_and_takes_no_new_ones(floor: Desk) -> None:
    floor.crowd(bids=[("0.30", "30")])
    order = floor.buy("ann", "yes", "0.40", "10").order
    floor.matching.apply(StageChanged(floor.market.key, Stage.CLOSED), NOW)
    after = floor.matching.order(order.id)
    assert after is not None
    assert (after.why, floor.book(Side.BUY)) == (Why.CLOSED, [])
    with refused(Reason.MARKET_INACTIVE):
        floor.buy("ann", "yes", "0.40", "10")


def test_a_withdrawal_ends_the_newest_orders_that_it_uncovers(floor: Desk) -> None:
    first, second = (floor.buy("ann", "yes", price, "1000").order.id for price in ("0.40", "0.30"))
    floor.matching.withdraw(AccountId("ann"), Micros(parse_micros("400")), NOW)
    assert [each.id for each in floor.matching.open_orders(AccountId("ann"))] == [first]
    after = floor.matching.order(second)
    assert after is not None
    assert after.why is Why.MARGIN
