"""From a price and a size to the two amounts that are signed, exact to the micro (A5.1, A5.3). Pure; integers only.

The maker amount is what the order gives, the taker amount what it wants: dollars for shares to buy, shares for dollars to sell.
Two of the venue's own clients compute this with floats and get 19.98 for 19.99.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from arbiter.domain.book import Side
from arbiter.domain.money import MAX_MICROS, MICRO, ONE, Micros, floor_to, format_micros
from arbiter.venues.polymarket.order_rules import OrderRefused, OrderRule

HUNDREDTH = Micros(10_000)
"""Sizes have two decimals whatever the tick, and so have the dollars of a market order."""
LEAST_MARKET_BUY = ONE
"""A BUY that takes must be worth a dollar (reported by third parties)."""
MARKET_TAKER_DECIMALS = 4
"""More are refused in a market order whatever the tick, as third parties report; the venue's newest client sends more. Four are right
either way."""


class Decimals(NamedTuple):
    """How fine numbers are on a grid."""

    price: int
    amount: int


TICKS: Mapping[Micros, Decimals] = MappingProxyType(
    {
        Micros(100_000): Decimals(1, 3),
        Micros(10_000): Decimals(2, 4),
        Micros(5_000): Decimals(3, 5),
        Micros(2_500): Decimals(4, 6),
        Micros(1_000): Decimals(3, 5),
        Micros(100): Decimals(4, 6),
    }
)
"""Every grid that the venue has."""


class Amounts(NamedTuple):
    """Micros of a dollar or of a share: what is signed is these integers."""

    maker: Micros
    taker: Micros


def check_price(price: Micros, tick: Micros) -> Decimals:
    """The grid's decimals. OrderRefused for a grid that is not known, and a price off it or outside `tick` to `1 - tick`."""
    decimals = TICKS.get(tick)
    if decimals is None:
        raise OrderRefused(OrderRule.UNKNOWN_TICK, "tick", f"a tick of {format_micros(tick)} is none of the venue's")
    if not tick <= price <= ONE - tick:
        span = f"{format_micros(tick)} to {format_micros(ONE - tick)}"
        raise OrderRefused(OrderRule.PRICE_OUT_OF_RANGE, "price", f"{format_micros(price)} is outside {span}")
    if price % tick:
        raise OrderRefused(OrderRule.OFF_GRID, "price", f"{format_micros(price)} is not a multiple of the tick {format_micros(tick)}")
    return decimals


def check_rests(size: Micros, least: Micros) -> None:
    """OrderRefused for a resting order of fewer shares than the market's minimum (`orderMinSize`)."""
    if size < least:
        problem = f"{format_micros(size)} shares are fewer than the market's minimum of {format_micros(least)}"
        raise OrderRefused(OrderRule.BELOW_MINIMUM_SIZE, "size", problem)


def limit_amounts(side: Side, price: Micros, size: Micros, tick: Micros) -> Amounts:
    """Of a limit order for `size` shares, of which what is finer than a hundredth is left out. OrderRefused as in `check_price`."""
    decimals = check_price(price, tick)
    shares = _hundredths(size, "size")
    dollars = _rounded(shares * price, MICRO, decimals.amount)
    return Amounts(dollars, shares) if side is Side.BUY else Amounts(shares, dollars)


def market_amounts(side: Side, price: Micros, amount: Micros, tick: Micros, *, taker_decimals: int = MARKET_TAKER_DECIMALS) -> Amounts:
    """Of a market order (FOK, FAK) no worse than `price`. `amount` is dollars to buy with, before fees, or shares to sell.

    What is bought is rounded down, so that it costs the price or a hair more and meets an ask at the price. What a sale brings is
    rounded down too: less than a ten-thousandth of a dollar in all, on grids finer than a cent.

    OrderRefused as in `check_price`, and for a purchase of less than a dollar.
    """
    decimals = check_price(price, tick)
    maker = _hundredths(amount, "amount")
    least = min(decimals.amount, taker_decimals)
    if side is Side.SELL:
        return _nothing_for_nothing(Amounts(maker, _coarser(_rounded(maker * price, MICRO, decimals.amount), least)))
    if maker < LEAST_MARKET_BUY:
        problem = f"${format_micros(maker)} is less than ${format_micros(LEAST_MARKET_BUY)}, the least that a market order buys for"
        raise OrderRefused(OrderRule.BELOW_MINIMUM_VALUE, "amount", problem)
    return _nothing_for_nothing(Amounts(maker, _coarser(_rounded(maker * MICRO, price, decimals.amount), least)))


def immediate_amounts(side: Side, price: Micros, size: Micros, tick: Micros) -> Amounts:
    """Of a market order that is told in shares: exactly `size` of them at `price`, as the desk has it.

    OrderRefused as in `market_amounts`, for a size finer than a hundredth, and for a purchase that does not cost whole cents: it would
    be another number of shares.
    """
    check_price(price, tick)
    if size % HUNDREDTH:
        raise OrderRefused(OrderRule.TOO_FINE, "size", f"{format_micros(size)} has more than two decimals")
    if side is Side.SELL:
        return market_amounts(side, price, size, tick)
    cost = size * price
    if cost % (HUNDREDTH * MICRO):
        problem = f"{format_micros(size)} shares at {format_micros(price)} do not cost whole cents, which an immediate purchase must"
        raise OrderRefused(OrderRule.PART_OF_A_CENT, "size", problem)
    return market_amounts(side, price, Micros(cost // MICRO), tick)


def _hundredths(value: Micros, field: str) -> Micros:
    if value > MAX_MICROS:
        raise OrderRefused(OrderRule.TOO_LARGE, field, f"{format_micros(value)} is more than any order can be for")
    kept = floor_to(value, HUNDREDTH)
    if kept <= 0:
        raise OrderRefused(OrderRule.NOTHING_LEFT, field, f"of {format_micros(value)} nothing is left in hundredths")
    return kept


def _rounded(numerator: int, denominator: int, decimals: int) -> Micros:
    """The quotient, which is in micros, down to so many decimals.

    The venue's client rounds up to four decimals more first, which would lift what is less than a ten-thousandth below a round number.
    Nothing is: a price on a grid is at most 9,999 ten-thousandths, and no quotient by that comes so close.
    """
    step: int = 10 ** (6 - decimals)
    return Micros(numerator // (denominator * step) * step)


def _coarser(value: Micros, decimals: int) -> Micros:
    return floor_to(value, 10 ** (6 - decimals))


def _nothing_for_nothing(amounts: Amounts) -> Amounts:
    if not amounts.taker:
        raise OrderRefused(OrderRule.NOTHING_LEFT, "amount", f"for {format_micros(amounts.maker)} nothing would be got after rounding")
    return amounts
