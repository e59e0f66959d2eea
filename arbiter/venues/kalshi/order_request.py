"""What all requests of an account are made of: numbers as Kalshi takes them, ids that are safe in a path, where they go (B4, B6).

Whatever cannot be said to the venue exactly is InvalidInput with the name of the field, before anything is sent.
"""

import re
from typing import Any, NamedTuple

import msgspec

from arbiter.domain.ids import KALSHI
from arbiter.domain.market import Market
from arbiter.domain.money import Micros, format_micros
from arbiter.errors import InvalidInput

Params = tuple[tuple[str, str], ...]
PRICE_STEP, COUNT_STEP = 100, 10_000
"""Prices have at most four decimals, counts at most two."""
LARGEST_SUBACCOUNT = 63
ANY_SHARD = -1
"""Has the venue find the shard by the market, or refuse."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CLIENT_ID = re.compile(r"[A-Za-z0-9_:+=/-]{1,64}")
_TICKER = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Request(NamedTuple):
    """One request, ready but for its signature. `parts` is what a batch counts as in the rate limits."""

    method: str
    path: str
    params: Params = ()
    body: bytes = b""
    parts: int = 1


class Place(NamedTuple):
    """Where orders of a market are: the venue's shard (None: it finds it), and the account's subaccount."""

    ticker: str
    shard: int | None = None
    subaccount: int = 0


def place_of(market: Market, subaccount: int = 0) -> Place:
    """Shard 0 is not said: it may be that nobody told us another one, and what is omitted is found by the market."""
    if market.key.venue != KALSHI:
        raise InvalidInput("market", f"{market.key} is not Kalshi's")
    return Place(ticker_text(market.key.market), market.shard or None, subaccount)


def price_text(price: Micros, field: str = "price") -> str:
    """Dollars with four decimals. Raises InvalidInput for more, or for what is not above 0."""
    if price <= 0 or price % PRICE_STEP:
        raise InvalidInput(field, f"{format_micros(price)} is no price of at most four decimals")
    return format_micros(price, 4)


def count_text(count: Micros, field: str = "size", *, least: int = COUNT_STEP) -> str:
    """Contracts with two decimals. Raises InvalidInput for more, or for less than `least`."""
    if count % COUNT_STEP:
        raise InvalidInput(field, f"{format_micros(count)} contracts: at most two decimals")
    if count < least:
        raise InvalidInput(field, f"{format_micros(count)} contracts: at least {format_micros(least)}")
    return format_micros(count)


def order_path(venue_id: str, rest: str = "") -> str:
    return f"/portfolio/events/orders/{id_text(venue_id, 'order_id')}{rest}"


def id_text(value: str, field: str) -> str:
    """One of the venue's ids, which goes into paths. Raises InvalidInput."""
    if not _ID.fullmatch(value):
        raise InvalidInput(field, f"{value[:40]!r} is no id of Kalshi's")
    return value


def client_id_text(value: str, field: str = "client_order_id") -> str:
    """Our own id of an order: 1 to 64 letters, digits and `_:+=/-`. Raises InvalidInput."""
    if not _CLIENT_ID.fullmatch(value):
        raise InvalidInput(field, f"{value[:40]!r} is not 1 to 64 letters, digits or _:+=/-")
    return value


def ticker_text(value: str) -> str:
    if not _TICKER.fullmatch(value):
        raise InvalidInput("market", f"{value[:40]!r} is no ticker of Kalshi's")
    return value


def subaccount_number(value: int) -> int:
    if not 0 <= value <= LARGEST_SUBACCOUNT:
        raise InvalidInput("subaccount", f"{value} is not 0 to {LARGEST_SUBACCOUNT}")
    return value


def shard_number(value: int | None) -> int | None:
    if value is not None and not ANY_SHARD <= value < 1_000:
        raise InvalidInput("exchange_index", f"{value} is no shard")
    return value


def where_params(place: Place, *, ticker: bool = True) -> list[tuple[str, str]]:
    """The place in a query. The ticker is always said: without it the venue looks on shard 0 alone, and answers 404 (B6.2)."""
    params = [("market_ticker", ticker_text(place.ticker))] if ticker else []
    if subaccount_number(place.subaccount):
        params.append(("subaccount", str(place.subaccount)))
    if shard_number(place.shard) is not None:
        params.append(("exchange_index", str(place.shard)))
    return params


def where_fields(place: Place) -> dict[str, Any]:
    """The place in a body, without the ticker, which each kind of body calls otherwise."""
    fields: dict[str, Any] = {}
    if subaccount_number(place.subaccount):
        fields["subaccount"] = place.subaccount
    if shard_number(place.shard) is not None:
        fields["exchange_index"] = place.shard
    return fields


def change_where(place: Place) -> tuple[Params, dict[str, Any]]:
    """The place for requests that change one order: the subaccount in the query, the shard in the body."""
    fields = where_fields(place)
    subaccount = fields.pop("subaccount", 0)
    return ((("subaccount", str(subaccount)),) if subaccount else ()), fields


def encode(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode(body)
