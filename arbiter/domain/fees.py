"""What a venue charges, exactly, in integer micros.

Polymarket: `shares * rate * (p * (1 - p)) ** exponent`, taker only, five decimals (fee sheet of autumn 2026).
Kalshi: `multiplier * 0.07 * C * P * (1 - P)` for takers, 0.0175 for makers where the series has maker fees, rounded
by the five steps in force since 2026-08-30, with an accumulator for each order.
"""

from collections.abc import Iterable
from typing import assert_never

from arbiter.domain.book import Level, Side
from arbiter.domain.market import FeeSchedule, KalshiFees, PolymarketFees
from arbiter.domain.money import MICRO, ZERO, Micros, ceil_to, pico_ceil

POLYMARKET_UNIT = 10
"""Polymarket fees have five decimals: 10 micros."""
LARGEST_EXPONENT = 4
# 0.07 and 0.0175 as micros
_KALSHI_TAKER = 70_000
_KALSHI_MAKER = 17_500


class UnknownFees(ValueError):
    """The market's fee schedule is unknown or of a form we cannot compute: never trade on a guess."""


class FeePlan:
    """The fee to plan with for one order that takes levels in turn; never below what a booked fill costs but for rounding
    of single fills. Polymarket: the exact sum, rounded up once. Kalshi: one fill a level plus a reserve of one balance
    unit a level, since its fee depends on how the order is split into fills.

    Raises UnknownFees when it is made.
    """

    __slots__ = ("_divisor", "_kalshi", "_polymarket", "_sum")

    def __init__(self, schedule: FeeSchedule | None) -> None:
        self._sum = 0
        """Of the levels taken whole: numerators on Polymarket, micros on Kalshi."""
        self._divisor = 1
        self._polymarket: PolymarketFees | None = None
        self._kalshi: KalshiFees | None = None
        match schedule:
            case PolymarketFees():
                self._polymarket, self._divisor = schedule, _polymarket_divisor(schedule)
            case KalshiFees():
                self._kalshi = schedule
            case None:
                raise UnknownFees("the market's fee schedule is not known")
            case _:
                assert_never(schedule)

    def take(self, price: Micros, size: Micros) -> None:
        """The order takes this level."""
        self._sum += self._level(price, size)

    def fee(self) -> Micros:
        """The fee for what was taken so far."""
        return self._fee(self._sum)

    def fee_with(self, price: Micros, size: Micros) -> Micros:
        """The fee if this level were taken too."""
        return self._fee(self._sum + self._level(price, size))

    def _level(self, price: int, size: int) -> int:
        if self._kalshi is not None:
            return _kalshi_trade_fee(self._kalshi, price, size, _KALSHI_TAKER) + self._kalshi.balance_unit
        assert self._polymarket is not None
        return _polymarket_numerator(self._polymarket, price, size)

    def _fee(self, total: int) -> Micros:
        return Micros(total) if self._kalshi is not None else ceil_to(-(-total // self._divisor), POLYMARKET_UNIT)


def planned_taker_fee(schedule: FeeSchedule | None, taken: Iterable[Level]) -> Micros:
    """What `FeePlan` says of an order that takes these `(price, size)` levels. Raises UnknownFees."""
    plan = FeePlan(schedule)
    for price, size in taken:
        plan.take(price, size)
    return plan.fee()


class FeeMeter:
    """The fees of one order, fill by fill, as the venue books them. Raises UnknownFees when made without a schedule."""

    def __init__(self, schedule: FeeSchedule | None) -> None:
        if schedule is None:
            raise UnknownFees("the market's fee schedule is not known")
        self._schedule = schedule
        self._accumulated_pico = 0

    def charge(self, side: Side, price: Micros, size: Micros, *, taker: bool) -> Micros:
        """The fee of the next fill of this order."""
        schedule = self._schedule
        match schedule:
            case PolymarketFees():
                return _polymarket_booked(schedule, price, size) if taker else ZERO
            case KalshiFees():
                return self._charge_kalshi(schedule, side, price, size, taker=taker)
            case _:
                assert_never(schedule)

    def _charge_kalshi(self, schedule: KalshiFees, side: Side, price: Micros, size: Micros, *, taker: bool) -> Micros:
        coefficient = _KALSHI_TAKER if taker else _KALSHI_MAKER if schedule.maker_fees else 0
        unit = schedule.balance_unit * MICRO
        trade_fee = _kalshi_trade_fee(schedule, price, size, coefficient) * MICRO
        revenue = price * size if side is Side.SELL else -price * size
        change = revenue - trade_fee
        rounding_fee = change % unit  # change less its floor on the balance grid
        self._accumulated_pico += rounding_fee
        charged = trade_fee + rounding_fee
        rebate = unit * min(self._accumulated_pico // unit, charged // unit)
        self._accumulated_pico -= rebate
        return pico_ceil(charged - rebate)


def _kalshi_trade_fee(schedule: KalshiFees, price: int, size: int, coefficient: int) -> int:
    """Step 1: the model fee, rounded up to a micro. Multiplier and coefficient are micros too."""
    exact = schedule.multiplier * coefficient * size * price * (MICRO - price)
    return -(-exact // MICRO**4)


def _polymarket_divisor(schedule: PolymarketFees) -> int:
    """What the numerators of this schedule are to be divided by to give micros."""
    if not 1 <= schedule.exponent <= LARGEST_EXPONENT:
        raise UnknownFees(f"a fee exponent of {schedule.exponent} is not known")
    return int(MICRO ** (1 + 2 * schedule.exponent))


def _polymarket_numerator(schedule: PolymarketFees, price: int, size: int) -> int:
    return int(size * schedule.rate * (price * (MICRO - price)) ** schedule.exponent)


def _polymarket_booked(schedule: PolymarketFees, price: int, size: int) -> Micros:
    """Five decimals, half up; how the venue rounds the fifth decimal is not documented, half up is the safe reading."""
    unit = _polymarket_divisor(schedule) * POLYMARKET_UNIT
    return Micros((2 * _polymarket_numerator(schedule, price, size) + unit) // (2 * unit) * POLYMARKET_UNIT)
