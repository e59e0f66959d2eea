"""Kalshi's answers to orders: what became of them, derived from counts, on exchanges that really happened."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.account_events import Standing
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, MarketId, OrderId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.money import MICRO, ZERO, Micros, parse_micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.errors import VenueRejected
from arbiter.venues.kalshi import order_answers
from arbiter.venues.kalshi.fields import UnreadableAnswer
from arbiter.venues.kalshi.order_answers import Cancelled, Refused, standing_of
from arbiter.venues.kalshi.order_refusals import Meaning

ID = OrderId("arb-1")


def order(size="10", tif=TimeInForce.GTC, outcome="yes", **fields):
    key = OutcomeKey(KALSHI, MarketId("KXTEST"), OutcomeId(outcome))
    given_ = {"id": ID, "side": Side.BUY, "price": Micros(90_000), "user": UserId("u"), "idempotency_key": "k", "created_ms": 0} | fields
    return Order(outcome=key, size=parse_micros(size), tif=tif, **given_)


def answer(filled="0.00", remaining="10.00", **fields):
    return {
        "order_id": "v-1",
        "client_order_id": ID,
        "fill_count": filled,
        "remaining_count": remaining,
        "ts_ms": 1_781_821_370_267,
    } | fields


def placed(said, order_=None):
    return order_answers.placed(json.dumps(said).encode(), order_ or order())


def unreadable(said, order_=None):
    with pytest.raises(UnreadableAnswer) as caught:
        placed(said, order_)
    return caught.value.field


def recorded(recording):
    """The exchanges of January 2026 that made an order, by the name of each. They used V1, which is no more: its `order` object is
    brought to the flat answer of V2, count by count."""
    found = {}
    for line in recording("orders/real_order_responses_redacted.jsonl").read_text().splitlines():
        exchange = json.loads(line)
        if exchange["fixture"].startswith("kalshi") and exchange["status"] == 201:
            sent, old = exchange["request"], exchange["response"]["order"]
            said = answer(f"{old['fill_count']}.00", f"{old['remaining_count']}.00")
            found[exchange["fixture"]] = placed(said, order(str(sent["count"]), TimeInForce.IOC)), old
    return found


def test_the_recorded_exchanges_end_as_the_venue_said(recording):
    words = {Standing.EXECUTED: "executed", Standing.CANCELLED: "canceled"}
    found = recorded(recording)
    assert len(found) == 6
    for name, (result, old) in found.items():
        assert words[result.standing] == old["status"], name
        assert result.filled == old["fill_count"] * MICRO, name


def test_the_recorded_partial_fill_is_cancelled_with_114_of_200_filled_though_nothing_remains(recording):
    result, old = recorded(recording)["kalshi_partial_fill_real.json"]
    assert (old["status"], old["remaining_count"]) == ("canceled", 0)
    assert (result.standing, result.filled, result.remaining) == (Standing.CANCELLED, 114 * MICRO, ZERO)


@pytest.mark.parametrize(
    ("tif", "filled", "remaining", "standing", "rests"),
    [
        (TimeInForce.GTC, "0.00", "10.00", Standing.RESTING, "10"),
        (TimeInForce.GTC, "4.50", "5.50", Standing.RESTING, "5.5"),
        (TimeInForce.GTC, "10.00", "0.00", Standing.EXECUTED, "0"),
        # it would have met an order of our own: taken, and gone at once
        (TimeInForce.GTC, "0.00", "0.00", Standing.CANCELLED, "0"),
        (TimeInForce.IOC, "0.00", "0.00", Standing.CANCELLED, "0"),
        (TimeInForce.IOC, "0.00", "10.00", Standing.CANCELLED, "0"),
        (TimeInForce.IOC, "9.99", "0.01", Standing.CANCELLED, "0"),
        (TimeInForce.IOC, "10.00", "0.00", Standing.EXECUTED, "0"),
        (TimeInForce.FOK, "10.00", "0.00", Standing.EXECUTED, "0"),
        (TimeInForce.FOK, "0.00", "0.00", Standing.CANCELLED, "0"),
    ],
)
def test_what_became_of_an_order_is_in_its_counts(tif, filled, remaining, standing, rests):
    result = placed(answer(filled, remaining), order(tif=tif))
    assert (result.standing, result.filled, result.remaining) == (standing, parse_micros(filled), parse_micros(rests))


@given(st.sampled_from(TimeInForce), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_only_a_whole_fill_is_executed_and_only_gtc_rests(tif, size, filled, remaining):
    standing = standing_of(tif, Micros(size), Micros(filled), Micros(remaining))
    assert (standing is Standing.EXECUTED) is (filled >= size)
    if standing is Standing.RESTING:
        assert tif is TimeInForce.GTC
        assert remaining > 0


def test_the_average_price_is_in_the_orders_own_terms_and_the_fee_exact():
    said = answer("10.00", "0.00", average_fill_price="0.530000", average_fee_paid="0.017500")
    assert (placed(said).average_price, placed(said).average_fee) == (530_000, 17_500)
    assert placed(said, order(outcome="no")).average_price == 470_000
    assert placed(answer()).average_price is None


def test_numbers_may_come_as_numbers_and_unknown_fields_do_not_matter():
    said = answer(4, 6, ts_ms="5", novelty={"a": [1]}, average_fill_price=0.53)
    result = placed(said)
    assert (result.filled, result.remaining, result.at_ms, result.average_price) == (4 * MICRO, 6 * MICRO, 5, 530_000)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "order_id"),
        ([], "answer"),
        (answer(order_id=None), "order_id"),
        (answer(order_id=""), "order_id"),
        (answer(client_order_id="arb-2"), "client_order_id"),
        (answer(fill_count=None), "fill_count"),
        (answer(remaining_count=None), "remaining_count"),
        (answer("-1.00"), "fill_count"),
        (answer("many"), "fill_count"),
        (answer(True), "fill_count"),
        (answer("1e400"), "fill_count"),
        (answer(1e300), "fill_count"),
        (answer("6.00", "5.00"), "fill_count"),
        (answer(average_fill_price="1.01"), "average_fill_price"),
        ({"order": answer()}, "order_id"),
    ],
)
def test_an_answer_that_cannot_be_understood_leaves_the_order_unknown(said, field):
    assert unreadable(said) == field


def test_an_error_in_an_answer_that_does_not_refuse_counts_where_it_is_known_to_be_final():
    with pytest.raises(VenueRejected, match="this endpoint is gone"):
        placed({"error": {"code": "deprecated_v1_order_endpoint", "message": "this endpoint is gone"}})
    assert unreadable({"error": {"code": "who_knows", "message": "?"}}) == "error"
    assert unreadable({"error": {"code": "order_already_exists", "message": "?"}}) == "error"
    assert placed(answer(error=None)).venue_id == "v-1"


def test_bytes_that_are_no_json_are_unreadable():
    for body in (b"", b"<html>", b"\xff", b"[" * 100_000):
        with pytest.raises(UnreadableAnswer):
            order_answers.placed(body, order())


def test_an_answer_may_come_as_the_client_hands_it_on_undecoded():
    raw = msgspec.json.decode(json.dumps(answer("10.00", "0.00")).encode(), type=msgspec.Raw)
    assert order_answers.placed(raw, order()).standing is Standing.EXECUTED


# -- batches --


def test_each_order_of_a_batch_is_told_apart_by_our_id():
    orders = [order(id=OrderId(name)) for name in ("a", "b", "c", "d")]
    rows = [
        answer(client_order_id="b", order_id="v-b"),
        {"client_order_id": "a", "error": {"code": "insufficient_balance", "message": "insufficient balance", "details": ""}},
        {"client_order_id": "c", "error": {"code": "internal_server_error", "message": "?", "details": ""}},
        answer(client_order_id="stranger"),
        None,
    ]
    results = order_answers.placed_batch(json.dumps({"orders": rows}).encode(), orders)
    assert results[0] == Refused(Meaning.FUNDS, "insufficient_balance", "insufficient balance")
    assert results[1].venue_id == "v-b"
    assert results[2:] == [None, None], "an error that says nothing final, and no row at all"


def test_rows_without_our_id_count_in_their_order_and_only_where_none_is_missing():
    orders = [order(id=OrderId(name)) for name in ("a", "b")]
    first, second = answer(client_order_id="", order_id="v-1"), answer(client_order_id=None, order_id="v-2")
    both = order_answers.placed_batch(json.dumps({"orders": [first, second]}).encode(), orders)
    assert [each.venue_id for each in both] == ["v-1", "v-2"]
    assert order_answers.placed_batch(json.dumps({"orders": [second]}).encode(), orders) == [None, None]
    assert order_answers.placed_batch(b'{"orders":null}', orders) == [None, None]


def test_the_cancels_of_a_batch_are_told_apart_by_the_venues_id():
    rows = [
        {"order_id": "v-1", "client_order_id": "a", "reduced_by": "1.00", "ts_ms": 7, "error": None},
        {"order_id": "v-2", "reduced_by": "0.00", "error": {"code": "not_found", "message": "not found", "details": ""}},
        {"order_id": "v-9", "reduced_by": "1.00"},
        {"order_id": "v-3"},
    ]
    results = order_answers.cancelled_batch(json.dumps({"orders": rows}).encode(), ["v-1", "v-2", "v-3"])
    assert results == {"v-1": Cancelled("v-1", "a", Micros(MICRO), 7), "v-2": Refused(Meaning.GONE, "not_found", "not found")}


# -- changes --


def test_a_cancel_says_how_much_it_took_off_the_book():
    said = b'{"order_id":"v-1","client_order_id":"a","reduced_by":"1.50","ts_ms":9}'
    assert order_answers.cancelled(said, "v-1") == Cancelled("v-1", "a", Micros(1_500_000), 9)
    with pytest.raises(UnreadableAnswer, match="order_id: of another order"):
        order_answers.cancelled(said, "v-2")


def test_an_amended_order_says_what_rests_and_what_crossed():
    said = b'{"order_id":"v-1","client_order_id":"b","remaining_count":"3.00","fill_count":"1.00","average_fee_paid":"0.01","ts_ms":9}'
    result = order_answers.changed(said, "v-1")
    assert (result.client_id, result.remaining, result.filled, result.average_fee) == ("b", 3 * MICRO, MICRO, 10_000)
    bare = order_answers.changed(b'{"order_id":"v-1","remaining_count":null,"fill_count":null}', "v-1")
    assert (bare.remaining, bare.filled) == (None, None)
    with pytest.raises(UnreadableAnswer, match="of another order"):
        order_answers.changed(said, "v-2")
