"""What an account's open orders may still cost it: derived from the orders each time, never booked, so that it cannot drift."""

from collections.abc import Collection, Mapping
from functools import lru_cache

from arbiter.domain.book import Side
from arbiter.domain.fees import FeeMeter
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import KalshiFees, Market
from arbiter.domain.money import Micros, pico_ceil
from arbiter.sandbox.matching.orders import OrderRecord


def locked_cash(orders: Collection[OrderRecord], market: Market, shares: Mapping[OutcomeKey, int], *, nets: bool) -> int:
    """Dollars for all these orders of one account in one market.

    Where positions net, an order that closes needs none: shares of the other outcome cover the cheapest contracts wanted,
    since then no order of fills can need more. What makers pay there is kept ready too.
    """
    buys = [order for order in orders if order.side is Side.BUY and order.remaining]
    if not nets:
        return sum(order.cost for order in buys)
    total = sum(_maker_fee(order) for order in buys)
    for outcome, other in ((market.yes_key, market.no_key), (market.no_key, market.yes_key)):
        cover = shares.get(other, 0)
        for order in sorted((each for each in buys if each.outcome == outcome), key=lambda each: each.price):
            covered = min(cover, order.remaining)
            cover -= covered
            total += pico_ceil(order.price * (order.remaining - covered))
    return total


def locked_shares(orders: Collection[OrderRecord], outcome: OutcomeKey) -> int:
    """What sales are to deliver."""
    return sum(order.remaining for order in orders if order.side is Side.SELL and order.outcome == outcome)


def _maker_fee(order: OrderRecord) -> int:
    """Of the remainder as one fill, and one balance unit more, as much as the rounding of the last one can take."""
    return _of_one_fill(order.fees, order.yes_side, order.yes_price, order.remaining) if isinstance(order.fees, KalshiFees) else 0


@lru_cache(maxsize=100_000)
def _of_one_fill(fees: KalshiFees, side: Side, price: Micros, size: Micros) -> int:
    return FeeMeter(fees).charge(side, price, size, taker=False) + fees.balance_unit
