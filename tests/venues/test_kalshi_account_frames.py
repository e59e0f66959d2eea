"""Frames of Kalshi's private channels: what they tell, and that nothing else than the typed error ever comes of one."""

import contextlib
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.account_events import AccountEvent, FillTold, GroupEvent, OrderTold, PositionTold, Standing, seen_from
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, MarketId, OrderId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.money import MICRO, ONE, ZERO, Micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.errors import VenueRejected
from arbiter.venues.kalshi import account_frames, order_answers, order_groups, portfolio, wire
from arbiter.venues.kalshi.account_frames import AccountFrame
from arbiter.venues.kalshi.fields import UnreadableAnswer
from arbiter.venues.wire_numbers import MalformedFrame

FILL = {
    "trade_id": "t-1",
    "order_id": "v-1",
    "client_order_id": "a",
    "market_ticker": "KXTEST",
    "exchange_index": 2,
    "is_taker": True,
    "side": "yes",
    "action": "buy",
    "outcome_side": "yes",
    "book_side": "bid",
    "purchased_side": "yes",
    "yes_price_dollars": "0.7500",
    "count_fp": "278.00",
    "fee_cost": "3.6488",
    "post_position_fp": "500.00",
    "subaccount": 3,
    "ts": 1_671_899_397,
    "ts_ms": 1_671_899_397_123,
}
ORDER = {
    "order_id": "v-1",
    "user_id": "u",
    "client_order_id": "a",
    "ticker": "KXTEST",
    "status": "canceled",
    "outcome_side": "no",
    "book_side": "ask",
    "yes_price_dollars": "0.5300",
    "initial_count_fp": "10.00",
    "fill_count_fp": "4.00",
    "remaining_count_fp": "0.00",
    "taker_fill_cost_dollars": "1.8800",
    "maker_fill_cost_dollars": "0.0000",
    "taker_fees_dollars": "0.0700",
    "maker_fees_dollars": "0.0000",
    "order_group_id": None,
    "created_ts_ms": 1_000,
    "last_updated_ts_ms": 2_000,
    "expiration_ts_ms": 3_000,
    "last_update_reason": "SelfTradeCancel",
    "subaccount_number": 0,
}


def frame(kind, msg, **fields):
    return json.dumps({"type": kind, "sid": 13, "msg": msg, **fields}).encode()


def event(kind, msg, **fields):
    found = account_frames.decode(frame(kind, msg, **fields))
    assert isinstance(found, AccountFrame)
    return found.event


def test_a_fill_tells_price_size_fee_ids_and_the_position_after_it():
    found = event("fill", FILL)
    assert isinstance(found, FillTold)
    assert (found.trade_id, found.venue_id, found.client_id, str(found.outcome)) == ("t-1", "v-1", "a", "kalshi:KXTEST:yes")
    assert (found.side, found.price, found.size, found.fee, found.taker) == (Side.BUY, 750_000, 278 * MICRO, 3_648_800, True)
    assert (found.position_after, found.shard, found.subaccount, found.at_ms) == (500 * MICRO, 2, 3, 1_671_899_397_123)


def test_a_purchase_of_no_comes_back_as_one_with_the_position_in_its_terms():
    found = event("fill", {**FILL, "side": "no", "outcome_side": "no", "book_side": "ask", "post_position_fp": "-20.00"})
    assert (found.outcome.outcome, found.side, found.price, found.position_after) == ("no", Side.BUY, 250_000, 20 * MICRO)
    yes = seen_from(found, OutcomeKey(KALSHI, MarketId("KXTEST"), OutcomeId("yes")))
    assert (yes.side, yes.price, yes.position_after) == (Side.SELL, 750_000, -20 * MICRO)


def test_an_order_that_ended_tells_why_and_what_was_filled_before():
    found = event("user_order", ORDER)
    assert isinstance(found, OrderTold)
    assert (found.standing, found.reason, found.size, found.filled) == (Standing.CANCELLED, "SelfTradeCancel", 10 * MICRO, 4 * MICRO)
    assert (found.outcome.outcome, found.side, found.price) == ("no", Side.BUY, 470_000)
    assert (found.cash, found.fees, found.created_ms, found.updated_ms, found.expires_ms) == (1_880_000, 70_000, 1_000, 2_000, 3_000)


def test_words_that_we_do_not_know_are_kept():
    found = event("user_order", {**ORDER, "status": "hibernating", "last_update_reason": "Whim"})
    assert (found.standing, found.said, found.reason) == (Standing.UNKNOWN, "hibernating", "Whim")
    group = event("order_group_updates", {"event_type": "renamed", "order_group_id": "g"})
    assert (group.event, group.said) == (GroupEvent.UNKNOWN, "renamed")


def test_a_position_is_told_of_the_outcome_that_is_held():
    found = event(
        "market_position", {"market_ticker": "KXTEST", "position_fp": "-1.50", "position_cost_dollars": "0.7050", "fees_paid_dollars": 0}
    )
    assert isinstance(found, PositionTold)
    assert (found.outcome.outcome, found.size, found.cost, found.fees, found.realised) == ("no", 1_500_000, 705_000, ZERO, None)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("created", GroupEvent.CREATED),
        ("triggered", GroupEvent.TRIGGERED),
        ("reset", GroupEvent.RESET),
        ("deleted", GroupEvent.DELETED),
        ("limit_updated", GroupEvent.LIMIT_CHANGED),
    ],
)
def test_what_became_of_a_group_is_told_in_its_sequence(word, meaning):
    msg = {"event_type": word, "order_group_id": "g", "contracts_limit_fp": "150.00", "ts_ms": 5}
    found = account_frames.decode(frame("order_group_updates", msg, seq=7))
    assert (found.sid, found.seq) == (13, 7)
    assert (found.event.event, found.event.limit, found.event.at_ms) == (meaning, 150 * MICRO, 5)


def test_only_a_groups_frames_count():
    assert account_frames.decode(frame("fill", FILL)).seq == 0


def test_what_is_of_no_private_channel_is_the_lines_own():
    assert isinstance(account_frames.decode(b'{"id":1,"type":"subscribed","msg":{"channel":"fill","sid":13}}'), wire.Subscribed)
    assert isinstance(account_frames.decode(b'{"type":"error","id":1,"msg":{"code":9,"msg":"auth"}}'), wire.Error)
    assert account_frames.decode(b'{"type":"quote_created","sid":4}') == wire.Unknown("quote_created", 4)


def test_the_private_channels_are_subscribed_to_without_markets():
    for channel in account_frames.ACCOUNT_CHANNELS:
        assert json.loads(wire.subscribe(1, channel, ())) == {"id": 1, "cmd": "subscribe", "params": {"channels": [channel]}}


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type":7}',
        b'{"type":"fill"}',
        b'{"type":"fill","msg":[]}',
        b"[" * 100_000,
        b"\xff",
        frame("fill", {**FILL, "count_fp": "-1.00"}),
        frame("fill", {**FILL, "yes_price_dollars": None}),
        frame("user_order", {**ORDER, "book_side": "bid"}),
        frame("market_position", {"market_ticker": "KXTEST"}),
        frame("fill", FILL, sid="x"),
    ],
)
def test_a_frame_that_cannot_be_read_is_malformed(bad):
    with pytest.raises(MalformedFrame):
        account_frames.decode(bad)


# -- whatever comes --

NAMES = sorted({*FILL, *ORDER, "position_fp", "order", "orders", "fills", "error", "code", "balance", "balance_breakdown", "fill_count"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["yes", "no", "bid", "0.5", "-1.00", "1e9", "9" * 30]),
)
OBJECTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*NAMES, "x"]), inner, max_size=6)),
    max_leaves=12,
)


def spoiled(whole):
    """A good object with some of its fields something else."""
    return st.dictionaries(st.sampled_from(sorted(whole)), OBJECTS, max_size=4).map(lambda other: {**whole, **other})


ROWS = st.one_of(OBJECTS, spoiled(FILL), spoiled(ORDER))
ASKED = Order(
    OrderId("a"), UserId("u"), OutcomeKey(KALSHI, MarketId("M"), OutcomeId("no")), Side.BUY, Micros(500_000), ONE, TimeInForce.GTC, "k", 0
)
READERS = {
    "orders": portfolio.read_orders,
    "order": portfolio.read_order,
    "fills": portfolio.read_fills,
    "market_positions": portfolio.read_positions,
    "settlements": portfolio.read_settlements,
    "balance_breakdown": portfolio.read_cash,
    "order_groups": order_groups.all_groups,
}
ANSWERS = [
    lambda body: order_answers.placed(body, ASKED),
    lambda body: order_answers.placed_batch(body, [ASKED]),
    lambda body: order_answers.cancelled(body, "v-1"),
    lambda body: order_answers.cancelled_batch(body, ["v-1"]),
    lambda body: order_answers.changed(body, "v-1"),
]


def dumped(value):
    return json.dumps(value).encode()  # floats that are not finite become words that are no JSON


@given(st.sampled_from(sorted(READERS)), st.lists(ROWS, max_size=3), OBJECTS)
def test_no_page_raises_anything_but_the_typed_error(name, rows, cursor):
    for body in (dumped({name: rows, "cursor": cursor, "balance": 5}), dumped({name: rows[0] if rows else None}), dumped(cursor)):
        with contextlib.suppress(UnreadableAnswer):
            READERS[name](body)


@given(st.sampled_from(ANSWERS), st.one_of(ROWS, st.lists(ROWS, max_size=3).map(lambda rows: {"orders": rows})))
def test_no_answer_to_an_order_raises_anything_but_the_two_typed_errors(read, said):
    with contextlib.suppress(UnreadableAnswer, VenueRejected):
        read(dumped(said))


@given(st.sampled_from(["fill", "user_order", "market_position", "order_group_updates", "x"]), ROWS, SCALARS, SCALARS)
def test_no_frame_raises_anything_but_malformed(kind, msg, sid, seq):
    try:
        found = account_frames.decode(dumped({"type": kind, "msg": msg, "sid": sid, "seq": seq}))
    except MalformedFrame:
        return
    assert isinstance(found, (AccountFrame, wire.Unknown))
    if isinstance(found, AccountFrame):
        assert isinstance(found.event, get_args(AccountEvent))


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_malformed(data):
    with contextlib.suppress(MalformedFrame):
        account_frames.decode(data)
