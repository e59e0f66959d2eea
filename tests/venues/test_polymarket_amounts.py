"""Amounts, prices and terms of orders: the golden rows, a reference in fractions, and what is refused."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.domain.book import Side
from arbiter.domain.money import MAX_MICROS, MICRO, ONE, Micros, micros_from_decimal, parse_micros
from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.amounts import (
    TICKS,
    Amounts,
    check_price,
    check_rests,
    immediate_amounts,
    limit_amounts,
    market_amounts,
)
from arbiter.venues.polymarket.order_rules import OrderRefused, OrderRule
from arbiter.venues.polymarket.order_terms import OrderType, Terms, resting_for

NOW = 1_767_225_600
CENT = Micros(10_000)
DECIMALS = {"0.1": (1, 3), "0.01": (2, 4), "0.005": (3, 5), "0.0025": (4, 6), "0.001": (3, 5), "0.0001": (4, 6)}
"""The sheet's table (A5.3), by hand: decimals of a price and of an amount."""

sides = st.sampled_from(Side)
sizes = st.integers(1, 10**12).map(Micros)


@st.composite
def grids(draw: st.DrawFn) -> tuple[str, Micros]:
    """A tick and a price on it."""
    tick = draw(st.sampled_from(sorted(DECIMALS)))
    step = parse_micros(tick)
    return tick, Micros(draw(st.integers(1, MICRO // step - 1)) * step)


def down(value: Fraction, decimals: int) -> Fraction:
    return Fraction(floor(value * 10**decimals), 10**decimals)


def sheet_rounding(value: Fraction, decimals: int) -> Fraction:
    """The sheet's R: as it is if short enough, else up to four decimals more, and if that is still too long, down."""
    if down(value, decimals) == value:
        return value
    finer = Fraction(ceil(value * 10 ** (decimals + 4)), 10 ** (decimals + 4))
    return finer if down(finer, decimals) == finer else down(finer, decimals)


def base_units(value: Fraction) -> int:
    return round(value * MICRO)  # Python rounds a Fraction half to even


def reference(kind: str, side: Side, tick: str, price: Micros, amount: Micros) -> tuple[int, int]:
    """The sheet's table in fractions."""
    price_decimals, decimals = DECIMALS[tick]
    told, rate = Fraction(amount, MICRO), Fraction(price, MICRO)
    first = down(told, 2)
    if kind == "limit":
        second = sheet_rounding(first * rate, decimals)
        return (base_units(second), base_units(first)) if side is Side.BUY else (base_units(first), base_units(second))
    rate = down(rate, price_decimals)
    second = sheet_rounding(first / rate if side is Side.BUY else first * rate, decimals)
    return base_units(first), base_units(second)


def refused(rule: OrderRule, field: str, call: Callable[[], object]) -> str:
    """What is said when this rule refuses for this field."""
    with pytest.raises(OrderRefused) as caught:
        call()
    assert (caught.value.rule, caught.value.field) == (rule, field)
    assert isinstance(caught.value, InvalidInput)
    return str(caught.value)


# -- amounts --


def test_the_grids_are_the_sheets() -> None:
    assert {parse_micros(tick): decimals for tick, decimals in DECIMALS.items()} == dict(TICKS)


def test_every_golden_row_gives_the_same_two_integers(vectors: dict[str, Any]) -> None:
    rows = vectors["polymarket"]["amounts"]["cases"]
    assert len(rows) == 112
    for row in rows:
        side, price, tick = Side[row["side"]], parse_micros(row["price"]), parse_micros(row["tick"])
        expected = int(row["makerAmount"]), int(row["takerAmount"])
        if row["kind"] == "limit":
            assert limit_amounts(side, price, parse_micros(row["size"]), tick) == expected, row
            continue
        amount = parse_micros(row["amount"])
        assert market_amounts(side, price, amount, tick, taker_decimals=6) == expected, row
        # as sent: the server is said to refuse more than four decimals
        assert market_amounts(side, price, amount, tick) == (expected[0], expected[1] // 100 * 100), row


@settings(deadline=None)
@given(grids(), sides, sizes)
def test_limit_amounts_are_the_sheets_rule_in_fractions(grid: tuple[str, Micros], side: Side, size: Micros) -> None:
    tick, price = grid
    if size < CENT:
        refused(OrderRule.NOTHING_LEFT, "size", lambda: limit_amounts(side, price, size, parse_micros(tick)))
        return
    amounts = limit_amounts(side, price, size, parse_micros(tick))
    assert amounts == reference("limit", side, tick, price, size)
    dollars, shares = (amounts.maker, amounts.taker) if side is Side.BUY else (amounts.taker, amounts.maker)
    assert Fraction(dollars, shares) == Fraction(price, MICRO)  # on the grid the price that is signed is the price that was said
    assert 0 <= size - shares < CENT


@settings(deadline=None)
@given(grids(), sides, st.integers(1_000_000, 10**12).map(Micros))
def test_market_amounts_are_the_sheets_rule_in_fractions(grid: tuple[str, Micros], side: Side, amount: Micros) -> None:
    tick, price = grid
    step = parse_micros(tick)
    maker, taker = market_amounts(side, price, amount, step, taker_decimals=6)
    assert (maker, taker) == reference("market", side, tick, price, amount)
    sent = market_amounts(side, price, amount, step)
    assert sent == (maker, taker // 100 * 100)
    assert sent.maker % CENT == 0
    assert sent.taker % 100 == 0
    if side is Side.BUY:
        assert Fraction(maker, sent.taker) >= Fraction(price, MICRO)  # else an ask at the price would never be met
        assert maker <= amount
    else:
        assert 0 <= Fraction(maker * price, MICRO) - sent.taker < 100  # less than $0.0001 in all below the limit


@settings(deadline=None)
@given(grids(), sides, st.integers(1, 10**8))
def test_an_immediate_order_told_in_shares_is_for_exactly_those(grid: tuple[str, Micros], side: Side, hundredths: int) -> None:
    tick, price = grid
    size, step = Micros(hundredths * CENT), parse_micros(tick)
    cost = Fraction(size * price, MICRO)
    if side is Side.BUY and cost % CENT:
        assert "whole cents" in refused(OrderRule.PART_OF_A_CENT, "size", lambda: immediate_amounts(side, price, size, step))
    elif side is Side.BUY and cost < MICRO:
        refused(OrderRule.BELOW_MINIMUM_VALUE, "amount", lambda: immediate_amounts(side, price, size, step))
    elif side is Side.BUY:
        assert immediate_amounts(side, price, size, step) == (cost, size)
    elif cost < 100:
        refused(OrderRule.NOTHING_LEFT, "amount", lambda: immediate_amounts(side, price, size, step))
    else:
        assert immediate_amounts(side, price, size, step) == (size, floor(cost) // 100 * 100)


@pytest.mark.parametrize(("text", "wrong"), [("19.99", "19.98"), ("2.03", "2.02")])
def test_what_floats_get_wrong_is_right(text: str, wrong: str) -> None:
    """Two of the venue's own clients sign the second for the first."""
    size = parse_micros(text)
    assert limit_amounts(Side.SELL, Micros(580_000), size, CENT).maker == size != parse_micros(wrong)
    assert market_amounts(Side.BUY, Micros(580_000), size, CENT).maker == size


def test_the_largest_amount_is_exact() -> None:
    price = Micros(999_900)
    amounts = limit_amounts(Side.BUY, price, Micros(MAX_MICROS), Micros(100))
    assert amounts == Amounts(micros_from_decimal(Decimal(MAX_MICROS) / MICRO * Decimal("0.9999")), Micros(MAX_MICROS))


# -- refusals --


@pytest.mark.parametrize("tick", [0, -10_000, 1, 20_000, 50_000, 1_000_000])
def test_a_grid_that_the_venue_does_not_have_is_refused(tick: int) -> None:
    refused(OrderRule.UNKNOWN_TICK, "tick", lambda: check_price(Micros(500_000), Micros(tick)))


@pytest.mark.parametrize("tick", list(TICKS))
def test_prices_are_the_multiples_of_the_tick_that_leave_a_tick_to_either_end(tick: Micros) -> None:
    for price in (tick, ONE - tick, ONE // 2):
        check_price(Micros(price), tick)
    for price in (0, -tick, ONE, ONE + tick, tick - 1, ONE - tick + 1):
        refused(OrderRule.PRICE_OUT_OF_RANGE, "price", partial(check_price, Micros(price), tick))
    for price in (tick + 1, ONE - tick - 1, ONE // 2 + tick // 2):
        assert "not a multiple" in refused(OrderRule.OFF_GRID, "price", partial(check_price, Micros(price), tick))


@pytest.mark.parametrize("amounts", [limit_amounts, market_amounts, immediate_amounts])
def test_every_way_to_an_amount_looks_at_the_price(amounts: Callable[..., Amounts]) -> None:
    for side in Side:
        refused(OrderRule.OFF_GRID, "price", partial(amounts, side, Micros(505_000), Micros(10 * MICRO), CENT))
        refused(OrderRule.PRICE_OUT_OF_RANGE, "price", partial(amounts, side, ONE, Micros(10 * MICRO), CENT))


@pytest.mark.parametrize("size", [0, -1, -5_000_000, 9_999])
def test_an_order_for_nothing_is_refused(size: int) -> None:
    for side in Side:
        refused(OrderRule.NOTHING_LEFT, "size", partial(limit_amounts, side, Micros(500_000), Micros(size), CENT))
        refused(OrderRule.NOTHING_LEFT, "amount", partial(market_amounts, side, Micros(500_000), Micros(size), CENT))


def test_a_sale_that_would_bring_nothing_is_refused() -> None:
    refused(OrderRule.NOTHING_LEFT, "amount", lambda: market_amounts(Side.SELL, Micros(100), CENT, Micros(100)))


def test_an_order_for_more_than_there_is_is_refused() -> None:
    refused(OrderRule.TOO_LARGE, "size", lambda: limit_amounts(Side.BUY, Micros(500_000), Micros(MAX_MICROS + 1), CENT))


def test_a_market_order_buys_for_a_dollar_or_more() -> None:
    assert market_amounts(Side.BUY, Micros(500_000), ONE, CENT) == (ONE, 2 * ONE)
    said = refused(OrderRule.BELOW_MINIMUM_VALUE, "amount", lambda: market_amounts(Side.BUY, Micros(500_000), Micros(999_999), CENT))
    assert said == "amount: $0.99 is less than $1.00, the least that a market order buys for"
    assert market_amounts(Side.SELL, Micros(500_000), CENT, CENT) == (CENT, 5_000)


def test_an_immediate_order_in_shares_has_two_decimals() -> None:
    refused(OrderRule.TOO_FINE, "size", lambda: immediate_amounts(Side.SELL, Micros(500_000), Micros(5_005_000), CENT))


def test_a_resting_order_has_the_markets_minimum() -> None:
    check_rests(Micros(5 * MICRO), Micros(5 * MICRO))
    said = refused(OrderRule.BELOW_MINIMUM_SIZE, "size", lambda: check_rests(Micros(5 * MICRO - 10_000), Micros(5 * MICRO)))
    assert said == "size: 4.99 shares are fewer than the market's minimum of 5.00"


# -- terms --


@pytest.mark.parametrize("kind", [OrderType.FOK, OrderType.FAK])
def test_what_never_rests_cannot_be_post_only(kind: OrderType) -> None:
    refused(OrderRule.POST_ONLY_NEVER_RESTS, "post_only", lambda: Terms(kind, post_only=True).check(NOW))
    Terms(kind).check(NOW)


@pytest.mark.parametrize("kind", [OrderType.GTC, OrderType.FOK, OrderType.FAK])
def test_only_gtd_expires(kind: OrderType) -> None:
    refused(OrderRule.EXPIRY_NOT_TAKEN, "expires", lambda: Terms(kind, expires_s=NOW + 1_000).check(NOW))


@pytest.mark.parametrize("expires", [0, -1])
def test_gtd_needs_an_expiry(expires: int) -> None:
    refused(OrderRule.NO_EXPIRY, "expires", lambda: Terms(OrderType.GTD, expires_s=expires).check(NOW))


def test_gtd_expires_three_minutes_from_now_or_later() -> None:
    Terms(OrderType.GTD, post_only=True, expires_s=NOW + 180).check(NOW)
    for seconds in (179, 0, -1_000):
        refused(OrderRule.EXPIRES_TOO_SOON, "expires", partial(Terms(OrderType.GTD, expires_s=NOW + seconds).check, NOW))


def test_an_order_that_is_to_rest_so_long_states_a_minute_more() -> None:
    assert resting_for(120, NOW) == Terms(OrderType.GTD, post_only=False, expires_s=NOW + 180)
    assert resting_for(600, NOW, post_only=True) == Terms(OrderType.GTD, post_only=True, expires_s=NOW + 660)
    refused(OrderRule.EXPIRES_TOO_SOON, "expires", lambda: resting_for(119, NOW))
