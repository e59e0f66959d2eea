"""Requests that make, change and cancel orders: the V2 surface and nothing else (B6).

There is no market order: who wants one sends IOC with a limit. Every create carries our own id of the order, by which a lost
answer is looked up. Whatever the venue would refuse as it stands here is InvalidInput, which names the field.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec

from arbiter.domain.market import Market, MarketStatus
from arbiter.domain.money import ONE, Micros, format_micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.errors import InvalidInput
from arbiter.venues.kalshi.metadata import NO, YES
from arbiter.venues.kalshi.order_request import (
    COUNT_STEP,
    Place,
    Request,
    change_where,
    client_id_text,
    count_text,
    encode,
    id_text,
    order_path,
    place_of,
    price_text,
    subaccount_number,
    where_fields,
    where_params,
)
from arbiter.venues.kalshi.yes_book import OnBook, to_book

ORDERS = "/portfolio/events/orders"
BATCH = f"{ORDERS}/batched"
MOST_CREATES, MOST_CANCELS = 10, 50
"""In one batch, on the Basic tier: what its write bucket holds (B10). A higher tier's limit is handed in."""
_TIF = {TimeInForce.GTC: "good_till_canceled", TimeInForce.IOC: "immediate_or_cancel", TimeInForce.FOK: "fill_or_kill"}
_LATEST_S = 1 << 40


class SelfTrade(Enum):
    """Which order goes when both are ours: the one that arrives, or the one that rests."""

    ARRIVING = "taker_at_cross"
    RESTING = "maker"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What an order may say beyond what orders of all venues do."""

    post_only: bool = False
    reduce_only: bool = False
    """At most what is held is sold; only for IOC."""
    expires_ms: int = 0
    """UTC ms, 0 for never; only for GTC. The venue counts whole seconds: what is left of one is cut off."""
    self_trade: SelfTrade = SelfTrade.ARRIVING
    cancel_on_pause: bool = False
    group: str = ""
    subaccount: int = 0
    shard: int | None = None
    """Instead of the market's; `ANY_SHARD` has the venue find it."""


PLAIN = Terms()


def create(market: Market, order: Order, terms: Terms = PLAIN) -> Request:
    """Place this order. Our id of it is the `client_order_id`: it is on disk before this is sent, and never used twice."""
    return Request("POST", ORDERS, body=encode(create_body(market, order, terms)))


def create_body(market: Market, order: Order, terms: Terms = PLAIN) -> dict[str, Any]:
    """The body of a create. Raises InvalidInput."""
    if market.status is not MarketStatus.OPEN:
        raise InvalidInput("market", f"{market.key.market} is {market.status.value} and takes no orders")
    place = _place(market, terms)
    on_book = on_grid(market, order, order.price)
    body: dict[str, Any] = {
        "ticker": place.ticker,
        "side": on_book.side,
        "count": _count(market, order.size),
        "price": price_text(on_book.price),
        "time_in_force": _TIF[order.tif],
        "self_trade_prevention_type": terms.self_trade.value,
        "client_order_id": client_id_text(order.id),
    }
    _check_combination(order.tif, terms)
    if terms.post_only:
        body["post_only"] = True
    if terms.reduce_only:
        body["reduce_only"] = True
    if terms.expires_ms:
        body["expiration_time"] = _expiry(terms.expires_ms, order.created_ms)
    if terms.cancel_on_pause:
        body["cancel_order_on_pause"] = True
    if terms.group:
        body["order_group_id"] = id_text(terms.group, "order_group_id")
    return body | where_fields(place)


def cancel(venue_id: str, place: Place) -> Request:
    """Cancel one order. A 404 says that it is gone, filled or cancelled: which one, reading it tells."""
    return Request("DELETE", order_path(venue_id), tuple(where_params(place)))


def amend(market: Market, order: Order, venue_id: str, new_id: str, price: Micros, size: Micros, terms: Terms = PLAIN) -> Request:
    """Give a resting order another price, in its own outcome's terms, and another size; `new_id` is its client id from then on.

    `size` counts what is filled already. The place in the queue is kept only where `keeps_place` says so.
    """
    if size <= order.filled:
        raise InvalidInput("size", f"{format_micros(order.filled)} of the order are filled, so {format_micros(size)} leaves nothing of it")
    place = _place(market, terms)
    on_book = on_grid(market, order, price)
    body = {
        "ticker": place.ticker,
        "side": on_book.side,
        "count": _count(market, size),
        "price": price_text(on_book.price),
        "client_order_id": client_id_text(order.id),
        "updated_client_order_id": client_id_text(new_id, "updated_client_order_id"),
    }
    params, fields = change_where(place)
    return Request("POST", order_path(venue_id, "/amend"), params, encode(body | fields))


def keeps_place(order: Order, price: Micros, size: Micros) -> bool:
    """Whether an order amended so stays where it is in the queue: only one that merely shrinks (B6.2)."""
    return price == order.price and size < order.size


def decrease(venue_id: str, place: Place, *, by: Micros | None = None, to: Micros | None = None) -> Request:
    """Make what rests smaller, `by` so much or `to` so much (0 cancels it); it keeps its place in the queue."""
    if (by is None) is (to is None):
        raise InvalidInput("reduce_by", "exactly one of reduce_by and reduce_to is to be given")
    change = {"reduce_by": count_text(by, "reduce_by")} if by is not None else {}
    if to is not None:
        change = {"reduce_to": count_text(to, "reduce_to", least=0)}
    params, fields = change_where(place)
    return Request("POST", order_path(venue_id, "/decrease"), params, encode(change | fields))


def create_batch(orders: Sequence[tuple[Market, Order, Terms]], most: int = MOST_CREATES) -> Request:
    """Place several at once: each is taken or refused by itself, in no promised order. Raises for the first that cannot be sent."""
    _check_number(len(orders), most)
    if len({order.id for _, order, _ in orders}) < len(orders):
        raise InvalidInput("client_order_id", "one id twice in a batch")
    body = {"orders": [create_body(*each) for each in orders]}
    return Request("POST", BATCH, body=encode(body), parts=len(orders))


def cancel_batch(orders: Sequence[tuple[str, Place]], most: int = MOST_CANCELS) -> Request:
    """Cancel several at once, each by the venue's id."""
    _check_number(len(orders), most)
    rows = [{"order_id": id_text(venue_id, "order_id"), "market_ticker": place.ticker} | where_fields(place) for venue_id, place in orders]
    return Request("DELETE", BATCH, body=encode({"orders": rows}), parts=len(orders))


def cancel_all(subaccount: int | None = None) -> Request:
    """Cancel all that rests, on all shards, of one subaccount or (None) of all; up to 10,000.

    Orders placed within the next minute may be cancelled with them: place none, and read what rests afterwards (B6.2).
    """
    params = () if subaccount is None else (("subaccount", str(subaccount_number(subaccount))),)
    return Request("DELETE", ORDERS, params)


# -- checks --


def on_grid(market: Market, order: Order, price: Micros) -> OnBook:
    """The order at this price on the YES book, whose grid it must meet. Raises InvalidInput."""
    if order.outcome not in (market.yes_key, market.no_key) or order.outcome.outcome not in (YES, NO):
        raise InvalidInput("outcome", f"{order.outcome} is no outcome of {market.key}")
    if market.payout != ONE:
        raise InvalidInput("market", f"{market.key.market} pays {format_micros(market.payout)} a contract; only 1 is understood")
    on_book = to_book(order.outcome.outcome, order.side, price)
    if not market.on_grid(on_book.price):
        other = "" if order.outcome.outcome == YES else f", which is {format_micros(on_book.price)} on the book of YES,"
        raise InvalidInput("price", f"{format_micros(price)}{other} is not on the grid of {market.key.market}: {_grid(market)}")
    return on_book


def _place(market: Market, terms: Terms) -> Place:
    place = place_of(market, terms.subaccount)
    return place if terms.shard is None else place._replace(shard=terms.shard)


def _count(market: Market, size: Micros) -> str:
    text = count_text(size, least=max(COUNT_STEP, market.min_size))
    if size % max(1, market.size_step):
        raise InvalidInput("size", f"{text} contracts: {market.key.market} trades in steps of {format_micros(market.size_step)}")
    return text


def _check_combination(tif: TimeInForce, terms: Terms) -> None:
    if terms.post_only and tif is not TimeInForce.GTC:
        raise InvalidInput("post_only", f"an order that must rest cannot be {tif.value.upper()}")
    if terms.reduce_only and tif is not TimeInForce.IOC:
        raise InvalidInput("reduce_only", f"only an IOC order can be reduce-only, not {tif.value.upper()}")
    if terms.expires_ms and tif is not TimeInForce.GTC:
        raise InvalidInput("expiration_time", f"only a GTC order expires, not {tif.value.upper()}")


def _expiry(expires_ms: int, created_ms: int) -> int:
    seconds = expires_ms // 1000
    if not created_ms < seconds * 1000 or seconds >= _LATEST_S:
        raise InvalidInput("expiration_time", "the order would expire before it begins" if seconds < _LATEST_S else "out of range")
    return seconds


def _check_number(number: int, most: int) -> None:
    if not 0 < number <= most:
        raise InvalidInput("orders", f"{number} in a batch: 1 to {most}")


def _grid(market: Market) -> str:
    ranges = [f"{format_micros(each.start)} to {format_micros(each.end)} by {format_micros(each.step)}" for each in market.ticks]
    return "; ".join(ranges) or "none is known"
