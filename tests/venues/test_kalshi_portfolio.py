"""An account's pages at Kalshi: orders, fills, positions, cash and settlements, recorded ones and odd ones."""

import json

import pytest

from arbiter.domain.account_events import Standing
from arbiter.domain.book import Side
from arbiter.domain.money import MICRO, ONE, ZERO, Micros
from arbiter.errors import InvalidInput
from arbiter.venues.kalshi import portfolio
from arbiter.venues.kalshi.fields import UnreadableAnswer
from arbiter.venues.kalshi.portfolio import Page, Scope

ORDER = {
    "order_id": "v-1",
    "client_order_id": "a",
    "ticker": "KXTEST",
    "outcome_side": "yes",
    "book_side": "bid",
    "status": "resting",
    "yes_price_dollars": "0.5300",
    "no_price_dollars": "0.4700",
    "initial_count_fp": "10.00",
    "fill_count_fp": "2.50",
    "remaining_count_fp": "7.50",
}
FILL = {
    "trade_id": "t-1",
    "order_id": "v-1",
    "ticker": "KXTEST",
    "outcome_side": "yes",
    "count_fp": "2.50",
    "yes_price_dollars": "0.5300",
    "is_taker": True,
    "fee_cost": "0.043600",
    "created_time": "2026-08-10T19:30:00.123456Z",
}


def response(recording, name):
    return json.loads(recording(f"kalshi-rest/{name}_response.json").read_text())["response"]


def today(row):
    """A recorded row of January 2026 as today's API writes it: counts got another name and decimals, prices of fills another name.
    What was whole cents alone is gone; the connector does not read it."""
    names = {
        "count": "count_fp",
        "initial_count": "initial_count_fp",
        "fill_count": "fill_count_fp",
        "remaining_count": "remaining_count_fp",
        "position": "position_fp",
        "yes_count": "yes_count_fp",
        "no_count": "no_count_fp",
    }
    prices = {"yes_price_fixed": "yes_price_dollars", "no_price_fixed": "no_price_dollars"}
    cents = ("yes_price", "no_price", "price", "maker_fees", "taker_fees", "maker_fill_cost", "taker_fill_cost", "queue_position")
    new = {prices.get(name, name): value for name, value in row.items() if name not in names and name not in cents}
    return new | {new_name: f"{row[name]}.00" for name, new_name in names.items() if name in row}


def encoded(**answer):
    return json.dumps(answer).encode()


def one_order(**fields):
    return portfolio.read_order(encoded(order={**ORDER, **fields}))


def one_fill(**fields):
    page = portfolio.read_fills(encoded(fills=[{**FILL, **fields}]))
    return page.rows[0] if page.rows else None


def one_position(**fields):
    (found,) = portfolio.read_positions(encoded(market_positions=[{"ticker": "KXTEST", **fields}])).rows
    return found


# -- requests --


def test_pages_are_asked_for_at_their_largest_and_narrowed_as_told():
    scope = Scope("KXTEST", "v-1", portfolio.RESTING, 1_999, 3_001, 0, 2)
    asked = portfolio.ask_orders(scope, "next")
    assert (asked.method, asked.path) == ("GET", "/portfolio/orders")
    assert dict(asked.params) == {
        "limit": "1000",
        "ticker": "KXTEST",
        "order_id": "v-1",
        "status": "resting",
        "min_ts": "1",
        "max_ts": "4",
        "subaccount": "0",
        "exchange_index": "2",
        "cursor": "next",
    }
    for ask, path in ((portfolio.ask_fills, "fills"), (portfolio.ask_positions, "positions"), (portfolio.ask_settlements, "settlements")):
        assert ask() == ("GET", f"/portfolio/{path}", (("limit", "1000"),), b"", 1)
    assert portfolio.ask_cash().params == ()
    assert portfolio.ask_cash(3).params == (("subaccount", "3"),)


def test_one_order_is_asked_for_by_an_id_that_is_one():
    assert portfolio.ask_order("v-1").path == "/portfolio/orders/v-1"
    with pytest.raises(InvalidInput, match="order_id"):
        portfolio.ask_order("../balance")


# -- orders --


def test_the_recorded_orders_parse_and_the_page_goes_on(recording):
    answer = response(recording, "portfolio_orders")
    page = portfolio.read_orders(encoded(orders=[today(row) for row in answer["orders"]], cursor=answer["cursor"]))
    assert (len(page.rows), page.cursor, page.unreadable) == (5, answer["cursor"], 0)
    first = page.rows[0]
    assert (first.standing, first.size, first.filled, first.remaining) == (Standing.EXECUTED, 32 * MICRO, 32 * MICRO, ZERO)
    assert (first.price, first.cash, first.side) == (600_000, 13_870_000, Side.BUY)
    sold = page.rows[3]
    assert (sold.outcome.outcome, sold.side, sold.price) == ("no", Side.SELL, 30_000), "97 cents of YES is 3 of NO"


def test_a_recorded_single_order_parses(recording):
    found = portfolio.read_order(encoded(order=today(response(recording, "portfolio_order_single")["order"])))
    assert (found.standing, found.size, found.remaining, found.price) == (Standing.RESTING, 2 * MICRO, 2 * MICRO, 300_000)
    assert (found.fees, found.cash, found.expires_ms) == (None, ZERO, 0)
    assert found.created_ms == 1_768_421_884_727


def test_the_recorded_orders_before_and_after_an_amend_and_a_cancel_parse(recording):
    amended = response(recording, "amend_order")
    old, new = (portfolio.read_order(encoded(order=today(amended[name]))) for name in ("old_order", "order"))
    assert old.venue_id == new.venue_id
    assert old.client_id != new.client_id
    for name in ("create_order", "cancel_order", "decrease_order"):
        row = response(recording, name)["order"]
        assert portfolio.read_order(encoded(order=today(row))).said == row["status"]


def test_the_recorded_partial_fill_is_cancelled_and_114_of_200_are_ours(recording):
    lines = recording("orders/real_order_responses_redacted.jsonl").read_text().splitlines()
    (exchange,) = (each for each in map(json.loads, lines) if each["fixture"] == "kalshi_partial_fill_real.json")
    found = portfolio.read_order(encoded(order=today(exchange["response"]["order"])))
    assert (found.standing, found.size, found.filled, found.remaining) == (Standing.CANCELLED, 200 * MICRO, 114 * MICRO, ZERO)
    assert (found.cash, found.fees) == (10_260_000, 660_000), "114 at 0.09, and the fee, to the micro"


def test_counts_that_only_the_old_api_had_are_not_read_as_todays(recording):
    page = portfolio.read_orders(json.dumps(response(recording, "portfolio_orders")).encode())
    assert (page.rows, page.unreadable) == ((), 5), "said, not passed over"


def test_an_order_told_in_todays_fields():
    found = one_order(
        taker_fees_dollars="0.0400",
        maker_fees_dollars="0.0036",
        taker_fill_cost_dollars="1.3250",
        maker_fill_cost_dollars="",
        last_update_reason="Trade",
        order_group_id="g",
        exchange_index=2,
        subaccount_number=None,
        expiration_time="2026-08-10T19:30:00Z",
    )
    assert (found.venue_id, found.client_id, str(found.outcome)) == ("v-1", "a", "kalshi:KXTEST:yes")
    assert (found.fees, found.cash, found.reason, found.group) == (43_600, 1_325_000, "Trade", "g")
    assert (found.shard, found.subaccount, found.expires_ms) == (2, 0, 1_786_390_200_000)


def test_a_status_that_we_do_not_know_is_kept_and_concludes_nothing():
    found = one_order(status="pondering")
    assert (found.standing, found.said) == (Standing.UNKNOWN, "pondering")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("yes", Side.BUY, 530_000)),
        ({"outcome_side": "no", "book_side": "ask"}, ("no", Side.BUY, 470_000)),
        ({"outcome_side": "no", "book_side": None}, ("no", Side.BUY, 470_000)),
        ({"outcome_side": None, "book_side": "ask"}, ("no", Side.BUY, 470_000)),
        # the old words say in which of two equal ways
        ({"outcome_side": "no", "book_side": "ask", "side": "yes", "action": "sell"}, ("yes", Side.SELL, 530_000)),
        ({"outcome_side": "no", "book_side": "ask", "side": "no", "action": "buy"}, ("no", Side.BUY, 470_000)),
        ({"side": "no", "action": "sell"}, ("no", Side.SELL, 470_000)),
        # and are not believed where they contradict, nor needed where they are gone
        ({"side": "yes", "action": "sell"}, ("yes", Side.BUY, 530_000)),
        ({"outcome_side": None, "book_side": None, "side": "no", "action": "buy"}, ("no", Side.BUY, 470_000)),
        ({"yes_price_dollars": None}, ("yes", Side.BUY, 530_000)),
        ({"yes_price_dollars": 0.53}, ("yes", Side.BUY, 530_000)),
    ],
)
def test_directions_and_prices_come_back_in_the_terms_of_an_outcome(fields, expected):
    found = one_order(**fields)
    assert (found.outcome.outcome, found.side, found.price) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome_side": "no", "book_side": "bid"},
        {"outcome_side": "maybe"},
        {"outcome_side": None, "book_side": None},
        {"outcome_side": None, "book_side": None, "side": "yes"},
        {"order_id": None},
        {"ticker": ""},
        {"status": None},
        {"status": 5.5e3, "initial_count_fp": None},
        {"initial_count_fp": "-1.00"},
        {"fill_count_fp": [1]},
        {"yes_price_dollars": "1.5"},
        {"yes_price_dollars": None, "no_price_dollars": None},
        {"client_order_id": {"a": 1}},
        {"client_order_id": "x" * 2_000},
        {"exchange_index": 1.5},
    ],
)
def test_an_order_that_cannot_be_understood_is_counted_and_hides_no_other(fields):
    page = portfolio.read_orders(encoded(orders=[ORDER, {**ORDER, **fields}, None, ORDER]))
    assert (len(page.rows), page.unreadable) == (2, 2)


def test_lists_that_are_null_or_absent_are_empty_and_an_empty_cursor_ends():
    for read, name in (
        (portfolio.read_orders, "orders"),
        (portfolio.read_fills, "fills"),
        (portfolio.read_positions, "market_positions"),
        (portfolio.read_settlements, "settlements"),
    ):
        assert read(encoded(**{name: None, "cursor": None})) == read(b"{}") == read(encoded(**{name: [], "cursor": ""})) == Page((), "", 0)
        for body in (encoded(**{name: {}}), b"[]", b"null", b"", b"<html>"):
            with pytest.raises(UnreadableAnswer):
                read(body)


# -- fills --


def test_the_recorded_fills_parse(recording):
    answer = response(recording, "portfolio_fills")
    page = portfolio.read_fills(encoded(fills=[today(row) for row in answer["fills"]], cursor=answer["cursor"]))
    assert (len(page.rows), page.unreadable, page.cursor) == (5, 0, answer["cursor"])
    first = page.rows[0]
    assert (first.size, first.price, first.side, first.taker, first.cash) == (32 * MICRO, 600_000, Side.BUY, True, 19_200_000)
    assert (first.fee, first.at_ms) == (None, 1_768_061_471_109), "January's fills told no fee"
    by_order = {order: sum(fill.size for fill in page.rows if fill.venue_id == order) for order in {fill.venue_id for fill in page.rows}}
    orders = portfolio.read_orders(encoded(orders=[today(row) for row in response(recording, "portfolio_orders")["orders"]])).rows
    assert {order.venue_id: order.filled for order in orders if by_order.get(order.venue_id) == order.filled}, "fills add up to their order"


def test_a_fill_told_in_todays_fields_has_its_fee_to_the_micro():
    found = one_fill()
    assert (found.trade_id, found.venue_id, found.client_id) == ("t-1", "v-1", "")
    assert (found.fee, found.cash, found.taker, found.position_after) == (43_600, 1_325_000, True, None)
    assert found.at_ms == 1_786_390_200_123


def test_a_fills_time_is_taken_from_where_it_is():
    assert one_fill(created_time=None, ts=1_786_390_200).at_ms == 1_786_390_200_000
    assert one_fill(created_time="2026-08-10T19:30:00", ts=1).at_ms == 1_786_390_200_000, "without a zone it is UTC"
    assert one_fill(created_time="soon").at_ms == 0
    assert one_fill(created_time="0001-01-01T00:00:00+14:00", ts=1e300).at_ms == 0, "no time before the venue was there"


def test_a_fill_of_nothing_or_without_an_id_is_none():
    assert one_fill(count_fp="0.00") is None
    assert one_fill(trade_id=None) is None
    assert one_fill(trade_id=None, fill_id="f").trade_id == "f"
    assert one_fill(is_taker="yes") is None
    assert one_fill(is_taker=None).taker is None


# -- positions --


def test_the_recorded_positions_parse(recording):
    rows = response(recording, "portfolio_positions")["market_positions"]
    page = portfolio.read_positions(encoded(market_positions=[today(row) for row in rows], event_positions=None))
    assert (len(page.rows), page.unreadable) == (len(rows), 0)
    last = page.rows[-1]
    assert (last.outcome.outcome, last.size, last.cost, last.fees, last.realised) == ("yes", 72 * MICRO, 369_960_000, 476_940_000, ZERO)
    assert last.updated_ms == 1_767_843_082_667


def test_a_position_below_zero_is_one_of_no():
    held = one_position(position_fp="-3.25", realized_pnl_dollars="-0.012345")
    assert (held.outcome.outcome, held.size, held.realised) == ("no", 3_250_000, -12_345)
    assert one_position(position_fp="0.00").size == ZERO


# -- cash --


def test_the_recorded_balance_is_in_cents(recording):
    cash = portfolio.read_cash(json.dumps(response(recording, "portfolio_balance")).encode())
    assert (cash.total.cash, cash.portfolio_value, cash.pools) == (100 * MICRO, 250 * MICRO, ())
    assert (cash.total.updated_ms, cash.total.shard) == (1_768_231_443_000, None)


def test_dollars_are_exact_where_cents_are_cut_off_and_pools_are_told_apart():
    pools = [{"exchange_index": 0, "balance": "60.0000"}, {"exchange_index": 2, "balance_dollars": "40.1299"}]
    cash = portfolio.read_cash(encoded(balance=10_012, balance_dollars="100.1299", balance_breakdown=pools), 4)
    assert cash.total.cash == 100_129_900
    assert [(pool.shard, pool.cash, pool.subaccount) for pool in cash.pools] == [(0, 60 * MICRO, 4), (2, 40_129_900, 4)]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"balance": "10.5"},
        {"balance": 1, "balance_breakdown": [{"exchange_index": 0, "balance": 6000}]},
        {"balance": 1, "balance_breakdown": [{"balance": "1.00"}]},
        {"balance": 1, "balance_breakdown": [7]},
    ],
)
def test_cash_that_could_be_another_amount_is_refused(answer):
    with pytest.raises(UnreadableAnswer):
        portfolio.read_cash(encoded(**answer))


# -- settlements --


def test_the_recorded_settlement_parses(recording):
    rows = response(recording, "portfolio_settlements")["settlements"]
    page = portfolio.read_settlements(encoded(settlements=[today(row) for row in rows]))
    (found,) = page.rows
    assert (found.said, found.yes_payout, found.cash, found.fee) == ("yes", ONE, ZERO, 730_000)
    assert (found.yes_size, found.no_size, found.at_ms) == (37 * MICRO, 37 * MICRO, 1_768_020_631_435)


@pytest.mark.parametrize(
    ("result", "value", "payout"),
    [
        ("no", None, ZERO),
        ("scalar", 37, Micros(370_000)),
        ("scalar", None, None),
        ("scalar", 4_559, None),
        ("void", None, None),
        ("annulled", None, None),
    ],
)
def test_what_a_yes_pays_is_said_or_unknown_but_never_guessed(result, value, payout):
    row = {"ticker": "M", "market_result": result, "value": value, "yes_count_fp": "1.00", "no_count_fp": "0.00", "revenue": 50}
    (found,) = portfolio.read_settlements(encoded(settlements=[row])).rows
    assert (found.yes_payout, found.said, found.cash) == (payout, result, 500_000)
