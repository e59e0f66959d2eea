"""Orders as they go to Kalshi, and those that cannot: refused here, with the name of the field."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OrderId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.market import Market, MarketStatus, Outcome, TickRange
from arbiter.domain.money import MICRO, ONE, ZERO, Micros, parse_micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.errors import InvalidInput
from arbiter.venues.kalshi import order_groups, order_requests
from arbiter.venues.kalshi.limits import BASIC
from arbiter.venues.kalshi.order_request import ANY_SHARD, Place, count_text, place_of, price_text
from arbiter.venues.kalshi.order_requests import PLAIN, SelfTrade, Terms
from arbiter.venues.kalshi.yes_book import ASK, BID, OnBook, from_book, to_book

YES, NO = OutcomeId("yes"), OutcomeId("no")
TICKER = "KXTEST-26NOV23-A"
GRIDS = {
    "cents": (TickRange(ZERO, ONE, Micros(10_000)),),
    "tapered": (
        TickRange(ZERO, Micros(100_000), Micros(1_000)),
        TickRange(Micros(100_000), Micros(900_000), Micros(10_000)),
        TickRange(Micros(900_000), ONE, Micros(1_000)),
    ),
}
INTENTS = [(YES, Side.BUY), (YES, Side.SELL), (NO, Side.BUY), (NO, Side.SELL)]


def market(**fields):
    given_ = {"ticks": GRIDS["cents"], "size_step": Micros(10_000), "min_size": Micros(10_000)} | fields
    key = MarketKey(KALSHI, MarketId(TICKER))
    return Market(key=key, event=EventId("E"), title="t", yes=Outcome(YES, "Yes"), no=Outcome(NO, "No"), **given_)


def order(outcome=YES, side=Side.BUY, price="0.53", size="10", tif=TimeInForce.GTC, **fields):
    given_ = {"id": OrderId("arb-000001"), "user": UserId("u"), "idempotency_key": "k", "created_ms": 1_000_000} | fields
    key = OutcomeKey(KALSHI, MarketId(TICKER), outcome)
    return Order(outcome=key, side=side, price=parse_micros(price), size=parse_micros(size), tif=tif, **given_)


def body(order_, terms=PLAIN, **fields):
    return json.loads(order_requests.create(market(**fields), order_, terms).body)


def refusal(call, *args, **fields):
    with pytest.raises(InvalidInput) as caught:
        call(*args, **fields)
    return caught.value


def refused(order_, terms=PLAIN, **fields):
    return refusal(order_requests.create, market(**fields), order_, terms).field


# -- the book of YES --


def test_the_golden_side_mappings(vectors):
    cases = vectors["kalshi"]["side_mapping"]["cases"]
    assert len(cases) == 4
    for case in cases:
        side, outcome, price = case["intent"].replace("@", "").split()
        sent = body(order(OutcomeId(outcome.lower()), Side[side], price))
        assert (sent["side"], sent["price"]) == (case["side"], case["price"]), case["intent"]


@given(st.sampled_from(INTENTS), st.integers(0, ONE))
def test_to_the_book_and_back_is_the_same_order(intent, price):
    outcome, side = intent
    assert from_book(to_book(outcome, side, Micros(price)), outcome) == (side, price)


@given(st.sampled_from([BID, ASK]), st.integers(0, ONE), st.sampled_from([YES, NO]))
def test_each_place_on_the_book_is_one_order_of_either_outcome(side, price, outcome):
    on_book = OnBook(side, Micros(price))
    assert to_book(outcome, *from_book(on_book, outcome)) == on_book


def test_an_outcome_that_is_neither_yes_nor_no_has_no_place_on_the_book():
    with pytest.raises(ValueError, match="outcome 'maybe'"):
        to_book(OutcomeId("maybe"), Side.BUY, ONE)


# -- create --


def test_a_plain_order_says_all_that_is_required_and_nothing_more():
    request = order_requests.create(market(), order())
    assert (request.method, request.path, request.params, request.parts) == ("POST", "/portfolio/events/orders", (), 1)
    assert json.loads(request.body) == {
        "ticker": TICKER,
        "side": "bid",
        "count": "10.00",
        "price": "0.5300",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        "client_order_id": "arb-000001",
    }


def test_the_documented_example_is_what_is_sent():
    assert body(order(), Terms(post_only=True))["post_only"] is True


def test_everything_that_an_order_may_say_is_said():
    terms = Terms(
        post_only=True, expires_ms=2_000_999, self_trade=SelfTrade.RESTING, cancel_on_pause=True, group="g-1", subaccount=3, shard=ANY_SHARD
    )
    sent = body(order(), terms)
    assert (sent["expiration_time"], sent["self_trade_prevention_type"], sent["cancel_order_on_pause"]) == (2_000, "maker", True)
    assert (sent["order_group_id"], sent["subaccount"], sent["exchange_index"]) == ("g-1", 3, -1)


@pytest.mark.parametrize(("tif", "word"), [(TimeInForce.IOC, "immediate_or_cancel"), (TimeInForce.FOK, "fill_or_kill")])
def test_how_long_an_order_lives_is_in_the_venues_words(tif, word):
    assert body(order(tif=tif))["time_in_force"] == word


def test_only_an_order_that_takes_at_once_can_be_reduce_only():
    assert body(order(tif=TimeInForce.IOC), Terms(reduce_only=True))["reduce_only"] is True
    assert refused(order(), Terms(reduce_only=True)) == "reduce_only"
    assert refused(order(tif=TimeInForce.FOK), Terms(reduce_only=True)) == "reduce_only"


def test_an_order_of_another_shard_names_it_and_one_of_the_first_leaves_the_finding_to_the_venue():
    assert body(order(), shard=2)["exchange_index"] == 2
    assert "exchange_index" not in body(order())


def test_numbers_go_as_text():
    sent = body(order(price="0.5", size="0.01"))
    assert (sent["price"], sent["count"]) == ("0.5000", "0.01")


@pytest.mark.parametrize(
    ("given_", "terms", "field"),
    [
        ({"price": "0"}, PLAIN, "price"),
        ({"price": "1"}, PLAIN, "price"),
        ({"price": "1.2"}, PLAIN, "price"),
        ({"price": "-0.1"}, PLAIN, "price"),
        ({"price": "0.535"}, PLAIN, "price"),
        ({"price": "0.475", "outcome": NO}, PLAIN, "price"),
        ({"size": "0"}, PLAIN, "size"),
        ({"size": "-1"}, PLAIN, "size"),
        ({"size": "1.005"}, PLAIN, "size"),
        ({"outcome": OutcomeId("maybe")}, PLAIN, "outcome"),
        ({"id": OrderId("")}, PLAIN, "client_order_id"),
        ({"id": OrderId("two words")}, PLAIN, "client_order_id"),
        ({"id": OrderId("x" * 65)}, PLAIN, "client_order_id"),
        ({"tif": TimeInForce.IOC}, Terms(post_only=True), "post_only"),
        ({"tif": TimeInForce.FOK}, Terms(post_only=True), "post_only"),
        ({"tif": TimeInForce.IOC}, Terms(expires_ms=2_000_000), "expiration_time"),
        ({}, Terms(expires_ms=1_000_999), "expiration_time"),
        ({}, Terms(expires_ms=-1), "expiration_time"),
        ({}, Terms(expires_ms=10**18), "expiration_time"),
        ({}, Terms(group="../orders"), "order_group_id"),
        ({}, Terms(subaccount=64), "subaccount"),
        ({}, Terms(subaccount=-1), "subaccount"),
        ({}, Terms(shard=-2), "exchange_index"),
    ],
)
def test_what_the_venue_would_refuse_is_refused_here(given_, terms, field):
    assert refused(order(**given_), terms) == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"status": MarketStatus.PAUSED}, "market"),
        ({"status": MarketStatus.RESOLVED}, "market"),
        ({"payout": Micros(2 * MICRO)}, "market"),
        ({"ticks": ()}, "price"),
        ({"size_step": Micros(MICRO)}, None),
        ({"min_size": Micros(11 * MICRO)}, "size"),
    ],
)
def test_what_this_market_does_not_take_is_refused_here(fields, field):
    if field is None:
        assert body(order(), **fields)["count"] == "10.00"
        assert refused(order(size="1.5"), **fields) == "size"
    else:
        assert refused(order(), **fields) == field


def test_a_market_of_another_venue_or_another_market_is_refused(polymarket_market):
    assert refusal(order_requests.create, polymarket_market(), order()).field == "market"
    assert (
        refusal(order_requests.create, msgspec.structs.replace(market(), key=MarketKey(KALSHI, MarketId("B"))), order()).field == "outcome"
    )
    assert (
        refusal(order_requests.create, msgspec.structs.replace(market(), key=MarketKey(KALSHI, MarketId("A/B"))), order()).field == "market"
    )


def test_the_grid_is_that_of_the_yes_book_and_a_refusal_says_both_prices():
    grid = GRIDS["tapered"]
    assert body(order(NO, price="0.955"), ticks=grid)["price"] == "0.0450"
    error = refusal(order_requests.create, market(ticks=grid), order(NO, price="0.455"))
    assert str(error).startswith("price: 0.455, which is 0.545 on the book of YES, is not on the grid of KXTEST-26NOV23-A: 0.00 to 0.10 by")


ANY_PRICE = st.one_of(st.integers(1, 999).map(lambda tenth: tenth * 1_000), st.integers(-ONE, 2 * ONE))
ANY_SIZE = st.one_of(st.integers(-10, 10**11).map(lambda hundredth: hundredth * 10_000), st.integers(-MICRO, 10**15))


@given(st.sampled_from(list(GRIDS)), st.sampled_from(INTENTS), ANY_PRICE, ANY_SIZE)
def test_what_is_sent_means_exactly_what_was_ordered_and_all_else_is_refused(grid, intent, price, size):
    outcome, side = intent
    wanted = msgspec.structs.replace(order(outcome, side), price=Micros(price), size=Micros(size))
    there = market(ticks=GRIDS[grid])
    if not there.on_grid(price if outcome == YES else ONE - price):
        assert refused(wanted, ticks=GRIDS[grid]) == "price"
    elif size <= 0 or size % 10_000:
        assert refused(wanted, ticks=GRIDS[grid]) == "size"
    else:
        sent = body(wanted, ticks=GRIDS[grid])
        assert from_book(OnBook(sent["side"], parse_micros(sent["price"])), outcome) == (side, price)
        assert parse_micros(sent["count"]) == size


@given(st.integers(1, 9_999), st.integers(1, 10**10))
def test_amounts_come_back_from_their_text(price, count):
    assert parse_micros(price_text(Micros(price * 100))) == price * 100
    assert parse_micros(count_text(Micros(count * 10_000))) == count * 10_000


# -- changes --

THERE = Place(TICKER)
ORDER_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def test_a_cancel_always_names_the_market_in_the_query_and_signs_the_path_alone(vectors):
    request = order_requests.cancel(ORDER_ID, THERE)
    assert (request.method, request.params, request.body) == ("DELETE", (("market_ticker", TICKER),), b"")
    (case,) = (case for case in vectors["kalshi"]["auth"]["cases"] if case["method"] == "DELETE")
    assert "/trade-api/v2" + request.path == case["path"]
    (create,) = (case for case in vectors["kalshi"]["auth"]["cases"] if case["method"] == "POST")
    assert create["path"] == "/trade-api/v2" + order_requests.ORDERS


def test_a_cancel_names_shard_and_subaccount_where_they_are_not_the_first():
    params = order_requests.cancel("o-1", place_of(market(shard=3), 2)).params
    assert params == (("market_ticker", TICKER), ("subaccount", "2"), ("exchange_index", "3"))


@pytest.mark.parametrize("venue_id", ["", "a/b", "../batched", "a?b", "a b", "x" * 65, "é"])
def test_what_is_no_id_never_becomes_part_of_a_path(venue_id):
    for call in (order_requests.cancel, order_requests.decrease):
        fields = {"by": ONE} if call is order_requests.decrease else {}
        assert refusal(call, venue_id, THERE, **fields).field == "order_id"


def test_an_amend_counts_what_is_filled_and_names_both_ids():
    request = order_requests.amend(
        market(), order(NO, price="0.47", filled=Micros(4 * MICRO)), "o-1", "arb-2", Micros(480_000), Micros(7 * MICRO)
    )
    assert request.path == "/portfolio/events/orders/o-1/amend"
    assert json.loads(request.body) == {
        "ticker": TICKER,
        "side": "ask",
        "price": "0.5200",
        "count": "7.00",
        "client_order_id": "arb-000001",
        "updated_client_order_id": "arb-2",
    }


def test_an_amend_to_what_is_filled_already_is_refused():
    half = order(filled=Micros(5 * MICRO))
    assert refusal(order_requests.amend, market(), half, "o-1", "arb-2", Micros(530_000), Micros(5 * MICRO)).field == "size"
    assert refusal(order_requests.amend, market(), half, "o-1", "", Micros(530_000), Micros(6 * MICRO)).field == "updated_client_order_id"


def test_only_an_order_that_merely_shrinks_keeps_its_place():
    assert order_requests.keeps_place(order(), Micros(530_000), Micros(9 * MICRO))
    assert not order_requests.keeps_place(order(), Micros(530_000), Micros(11 * MICRO))
    assert not order_requests.keeps_place(order(), Micros(520_000), Micros(9 * MICRO))


def test_a_decrease_is_by_or_to_and_never_both():
    by = order_requests.decrease("o-1", place_of(market(shard=2), 5), by=Micros(1_500_000))
    assert (by.path, by.params) == ("/portfolio/events/orders/o-1/decrease", (("subaccount", "5"),))
    assert json.loads(by.body) == {"reduce_by": "1.50", "exchange_index": 2}
    assert json.loads(order_requests.decrease("o-1", THERE, to=ZERO).body) == {"reduce_to": "0.00"}
    assert refusal(order_requests.decrease, "o-1", THERE).field == "reduce_by"
    assert refusal(order_requests.decrease, "o-1", THERE, by=ONE, to=ONE).field == "reduce_by"
    assert refusal(order_requests.decrease, "o-1", THERE, by=ZERO).field == "reduce_by"
    assert refusal(order_requests.decrease, "o-1", THERE, by=Micros(1_005_000)).field == "reduce_by"
    assert refusal(order_requests.decrease, "o-1", THERE, to=Micros(-10_000)).field == "reduce_to"


def test_a_batch_is_charged_for_each_of_its_orders():
    orders = [(market(), order(id=OrderId(f"arb-{number}")), PLAIN) for number in range(3)]
    request = order_requests.create_batch(orders)
    assert (request.method, request.path, request.parts) == ("POST", "/portfolio/events/orders/batched", 3)
    assert [each["client_order_id"] for each in json.loads(request.body)["orders"]] == ["arb-0", "arb-1", "arb-2"]
    gone = order_requests.cancel_batch([("o-1", THERE), ("o-2", place_of(market(shard=1)))])
    assert (gone.method, gone.path, gone.parts) == ("DELETE", "/portfolio/events/orders/batched", 2)
    assert json.loads(gone.body)["orders"] == [
        {"order_id": "o-1", "market_ticker": TICKER},
        {"order_id": "o-2", "market_ticker": TICKER, "exchange_index": 1},
    ]


def test_a_batch_that_is_empty_too_large_or_names_one_id_twice_is_refused():
    one = (market(), order(), PLAIN)
    assert refusal(order_requests.create_batch, []).field == "orders"
    assert refusal(order_requests.create_batch, [one] * 11).field == "orders"
    assert refusal(order_requests.create_batch, [one, one]).field == "client_order_id"
    assert refusal(order_requests.cancel_batch, [("o", THERE)] * 51).field == "orders"
    assert refusal(order_requests.create_batch, [one, (market(), order(id=OrderId("b"), price="2"), PLAIN)]).field == "price"


def test_the_largest_batches_are_what_the_basic_tier_can_pay():
    (limit,) = (limit for limit in BASIC.limits if limit.name == "write")
    (create,), (cancel,) = BASIC.charges("POST", order_requests.BATCH), BASIC.charges("DELETE", order_requests.BATCH)
    assert (create.cost * order_requests.MOST_CREATES, cancel.cost * order_requests.MOST_CANCELS) == (limit.burst, limit.burst)


def test_cancelling_all_is_one_request():
    assert order_requests.cancel_all() == ("DELETE", "/portfolio/events/orders", (), b"", 1)
    assert order_requests.cancel_all(0).params == (("subaccount", "0"),)


# -- groups --


def test_groups_are_made_limited_triggered_reset_and_deleted():
    there = Place(TICKER, 2, 4)
    made = order_groups.create(Micros(100 * MICRO), there)
    assert (made.method, made.path) == ("POST", "/portfolio/order_groups/create")
    assert json.loads(made.body) == {"contracts_limit_fp": "100.00", "subaccount": 4, "exchange_index": 2}
    where = (("subaccount", "4"), ("exchange_index", "2"))
    assert order_groups.trigger("g-1", there) == ("PUT", "/portfolio/order_groups/g-1/trigger", where, b"{}", 1)
    assert order_groups.reset("g-1", there).path == "/portfolio/order_groups/g-1/reset"
    assert json.loads(order_groups.change_limit("g-1", Micros(5 * MICRO), there).body) == {"contracts_limit_fp": "5.00"}
    assert order_groups.delete("g-1", there)[:2] == ("DELETE", "/portfolio/order_groups/g-1")
    assert order_groups.read_one("g-1", THERE) == ("GET", "/portfolio/order_groups/g-1", (), b"", 1)
    assert order_groups.read_all(THERE).path == "/portfolio/order_groups"


def test_a_groups_limit_is_whole_contracts():
    for limit in (ZERO, Micros(500_000), Micros(1_500_000)):
        assert refusal(order_groups.create, limit, THERE).field == "limit"
    assert refusal(order_groups.trigger, "a/b", THERE).field == "order_group_id"


def test_groups_are_read_and_one_that_cannot_be_is_not_passed_over():
    (group,) = order_groups.all_groups(b'{"order_groups":[{"id":"g","contracts_limit_fp":"5.00","is_auto_cancel_enabled":true}]}')
    assert group == order_groups.OrderGroup("g", Micros(5 * MICRO), True)
    assert order_groups.one_group(b'{"is_auto_cancel_enabled":false,"orders":["o-1"]}', "g").orders == ("o-1",)
    assert order_groups.all_groups(b'{"order_groups":null}') == ()
    assert order_groups.created_group(b'{"order_group_id":"g"}') == "g"
    with pytest.raises(ValueError, match="id: is missing"):
        order_groups.all_groups(b'{"order_groups":[{}]}')
    with pytest.raises(ValueError, match="orders: not ids alone"):
        order_groups.one_group(b'{"orders":[null]}', "g")
