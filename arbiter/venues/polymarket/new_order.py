"""One of the desk's orders as a request to Polymarket: checked by its market's rules, rounded, signed, written (A5). Pure.

Everything that can be refused here is refused before the order has an id. Sending is not done here.
"""

from types import MappingProxyType
from typing import NamedTuple

from arbiter.domain.ids import POLYMARKET
from arbiter.domain.market import Market
from arbiter.domain.money import Micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.errors import InvalidInput
from arbiter.venues.polymarket.amounts import Amounts, check_rests, immediate_amounts, limit_amounts
from arbiter.venues.polymarket.contracts import Chain
from arbiter.venues.polymarket.eip712 import ZERO_WORD
from arbiter.venues.polymarket.l2 import ApiKey
from arbiter.venues.polymarket.order_rules import OrderRefused, OrderRule
from arbiter.venues.polymarket.order_terms import OrderType, Terms
from arbiter.venues.polymarket.position_ids import parse_token
from arbiter.venues.polymarket.signed_order import SignedOrder, order_body, order_fields, sign_order
from arbiter.venues.polymarket.signing_key import SigningKey
from arbiter.venues.polymarket.wallet import Wallet

ORDER_TYPES = MappingProxyType({TimeInForce.GTC: OrderType.GTC, TimeInForce.IOC: OrderType.FAK, TimeInForce.FOK: OrderType.FOK})
"""What the venue calls the domain's words."""
_SIZE_STEP = 10_000


class Trader(NamedTuple):
    """Who trades: the key that signs, the wallet that pays, the API key that owns the orders."""

    key: SigningKey
    wallet: Wallet
    api_key: ApiKey
    chain: Chain
    builder: bytes = ZERO_WORD


class NewOrder(NamedTuple):
    """Ready to be posted. Its id is `signed.id`, to be stored first: by it the order is found if no answer comes."""

    signed: SignedOrder
    body: bytes


def new_order(trader: Trader, market: Market, order: Order, salt: int, now_ms: int, terms: Terms | None = None) -> NewOrder:
    """`terms` only where the order's own time in force does not say all: GTD, post-only. `now_ms` is Unix milliseconds.

    Raises OrderRefused by the rules of amounts, sizes and terms, and InvalidInput for a market or an outcome that it cannot be for.
    """
    if market.key.venue != POLYMARKET or order.outcome not in (market.yes_key, market.no_key):
        raise InvalidInput("outcome", f"{order.outcome} is not an outcome of the market {market.key} on Polymarket")
    token = parse_token(order.outcome.outcome, "outcome")
    exchange = trader.chain.exchange_for(market.generation, market.negative_risk, token)
    terms = terms or Terms(ORDER_TYPES[order.tif])
    if terms.type.rests != (order.tif is TimeInForce.GTC):
        raise InvalidInput("time_in_force", f"an order that is {order.tif.value} cannot be sent as {terms.type.value}")
    terms.check(now_ms // 1000)
    amounts = amounts_of(market, order, terms.type)
    fields = order_fields(trader.wallet, token, order.side, amounts, salt, now_ms, trader.builder)
    signed = sign_order(trader.key, trader.wallet, exchange, fields)
    return NewOrder(signed, order_body(signed, terms, trader.api_key))


def amounts_of(market: Market, order: Order, kind: OrderType) -> Amounts:
    """For exactly the order's size: what would have to be left out is OrderRefused, as the desk would wait for it for ever."""
    tick = next((each.step for each in market.ticks if each.start <= order.price <= each.end), _first_step(market))
    if not kind.rests:
        return immediate_amounts(order.side, order.price, order.size, tick)
    if order.size % _SIZE_STEP:
        raise OrderRefused(OrderRule.TOO_FINE, "size", "a size has two decimals at most")
    check_rests(order.size, market.min_size)
    return limit_amounts(order.side, order.price, order.size, tick)


def _first_step(market: Market) -> Micros:
    """Of a price beyond all ranges, which is then refused by the grid that there is."""
    if not market.ticks:
        raise InvalidInput("market", f"the grid of {market.key} is not known, so nothing can be ordered there")
    return market.ticks[0].step
