"""Gamma, the venue's metadata (sheet, A4.2): markets and events, filtered, ordered, in pages."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from arbiter.domain.ids import EventId
from arbiter.domain.market import Market, MarketStatus, PolymarketFees
from arbiter.domain.money import MICRO
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response, last_segment, whole_number
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.polymarket.filters import InvalidQuery, Listed, liquidity_of, ordered, tests_of, volume_of

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
FIRST_MARKET_ID, FIRST_EVENT_ID = 500_000, 100_000
_DAY_MS = 86_400_000


_Event = tuple[int, list[Listed]]


class GammaReads:
    """Answers below `/markets` and `/events`. Ids are given at the start, in the world's order."""

    def __init__(self, listed: Sequence[MarketBooks]) -> None:
        event_ids: dict[EventId, int] = {}
        for books in listed:
            event_ids.setdefault(books.market.event, FIRST_EVENT_ID + len(event_ids))
        self._markets = [Listed(FIRST_MARKET_ID + n, event_ids[books.market.event], books) for n, books in enumerate(listed)]
        self._events: dict[int, list[Listed]] = {}
        for market in self._markets:
            self._events.setdefault(market.event_id, []).append(market)

    def answer(self, request: Request, now_ms: int) -> Response:
        """`/markets` and `/events`, their keyset forms, and single ones by id or slug."""
        if request.method not in ("GET", "HEAD"):
            return _error("method not allowed", 405)
        try:
            match request.path.strip("/").split("/"):
                case ["markets" | "events" as what, "keyset"]:
                    return self._keyset(what, request, now_ms)
                case ["markets" | "events" as what]:
                    return self._offset(what, request, now_ms)
                case ["markets" | "events" as what, _] | ["markets" | "events" as what, "slug", _]:
                    return self._one(what, last_segment(request.path), "/slug/" in request.path, now_ms)
                case _:
                    return _error("not found", 404)
        except InvalidQuery as invalid:
            return _error(str(invalid), 422)

    # -- pages --

    def _keyset(self, what: str, request: Request, now_ms: int) -> Response:
        """`after_cursor` is opaque; the last page has no `next_cursor`; `offset` is refused."""
        if "offset" in request.query:
            raise InvalidQuery("offset is not supported with keyset pagination")
        limit, start = _limit(request), _read_cursor(request.first("after_cursor"))
        found = self._found(what, request, now_ms, hide_closed=False)
        body: dict[str, object] = {what: found[start : start + limit]}
        if start + limit < len(found):
            body["next_cursor"] = _make_cursor(start + limit)
        return json_response(body)

    def _offset(self, what: str, request: Request, now_ms: int) -> Response:
        """The older paging: a bare array. Closed markets are hidden unless asked for."""
        limit, offset = _limit(request), request.number("offset", 0)
        if offset is None:
            raise InvalidQuery("invalid offset")
        found = self._found(what, request, now_ms, hide_closed=what == "markets")
        return json_response(found[offset : offset + limit])

    def _found(self, what: str, request: Request, now_ms: int, *, hide_closed: bool) -> list[dict[str, Any]]:
        tests = tests_of(request, hide_closed=hide_closed, of_event=what == "events")
        chosen = ordered([m for m in self._markets if all(test(m) for test in tests)], request)
        if what == "markets":
            return [_market_object(market, now_ms) for market in chosen]
        return [_event_object((event_id, self._events[event_id]), now_ms) for event_id in dict.fromkeys(m.event_id for m in chosen)]

    def _one(self, what: str, name: str, by_slug: bool, now_ms: int) -> Response:
        number = None if by_slug else whole_number(name)
        for market in self._markets:
            if name == market.books.market.event if by_slug else number == (market.id if what == "markets" else market.event_id):
                if what == "markets":
                    return json_response(_market_object(market, now_ms))
                return json_response(_event_object((market.event_id, self._events[market.event_id]), now_ms))
        return _error("id not found" if not by_slug else "slug not found", 404)


def _limit(request: Request) -> int:
    limit = request.number("limit", DEFAULT_LIMIT)
    if limit is None or not 1 <= limit <= LARGEST_LIMIT:
        raise InvalidQuery(f"limit must be between 1 and {LARGEST_LIMIT}")
    return limit


def _make_cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f"after:{start}".encode()).decode()


def _read_cursor(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        name, _, start = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (binascii.Error, ValueError):
        raise InvalidQuery("invalid after_cursor") from None
    number = whole_number(start)
    if name != "after" or number is None:
        raise InvalidQuery("invalid after_cursor")
    return number


# -- shapes --


def _market_object(market: Listed, now_ms: int, *, nested: bool = False) -> dict[str, Any]:
    """Some arrays are JSON inside a string; prices, sizes and rates are JSON numbers."""
    listing = market.books.market
    yes, no = _indicative(market.books)
    body: dict[str, Any] = {
        "id": str(market.id),
        "version": "v1",
        "question": listing.title,
        "slug": listing.event,
        "groupItemTitle": "",
        "conditionId": listing.key.market,
        "questionID": listing.key.market,
        "description": listing.rules,
        "category": listing.category,
        "outcomes": _in_text([listing.yes.label, listing.no.label]),
        "outcomePrices": _in_text([wire.text(yes), wire.text(no)]),
        "clobTokenIds": _in_text([listing.yes.id, listing.no.id]),
        "active": True,
        "closed": market.closed,
        "archived": False,
        "acceptingOrders": listing.status is MarketStatus.OPEN,
        "enableOrderBook": True,
        "negRisk": False,
        "orderPriceMinTickSize": wire.number(wire.tick_of(listing)),
        "orderMinSize": wire.number(listing.min_size),
        "startDate": _iso(datetime.fromtimestamp((now_ms - now_ms % _DAY_MS) // 1000, UTC)),
        "endDate": _iso(listing.closes_at) if listing.closes_at else None,
        "resolutionSource": "",
        "umaResolutionStatus": None,
        "resolutionStatus": "resolved" if listing.status is MarketStatus.RESOLVED else "active",
    }
    body |= _prices(market) | _fees(listing)
    if not nested:
        body["events"] = [{"id": str(market.event_id), "slug": listing.event, "title": listing.title}]
    return body


def _prices(market: Listed) -> dict[str, Any]:
    books = market.books
    bid, ask = books.touch
    volume, liquidity = volume_of(market), liquidity_of(market)
    return {
        "bestBid": wire.number(bid.price) if bid else None,
        "bestAsk": wire.number(ask.price) if ask else None,
        "spread": wire.number(ask.price - bid.price) if bid and ask else None,
        "lastTradePrice": wire.number(books.last_price),
        "volume": wire.text(volume),
        "volumeNum": wire.number(volume),
        "liquidity": wire.text(liquidity),
        "liquidityNum": wire.number(liquidity),
    }


def _fees(listing: Market) -> dict[str, Any]:
    """No schedule where the fees are not known: a client must not read that as free."""
    fees = listing.fees
    if not isinstance(fees, PolymarketFees):
        return {"feesEnabled": True, "feeType": None, "feeSchedule": None}
    rate, rebate = wire.number(fees.rate), wire.number(MICRO // 4)
    schedule = {"exponent": fees.exponent, "rate": rate, "takerOnly": True, "rebateRate": rebate}
    return {"feesEnabled": fees.rate > 0, "feeType": listing.category or None, "feeSchedule": schedule}


def _indicative(books: MarketBooks) -> tuple[int, int]:
    """The prices Gamma shows: the middle, or whatever there is of it."""
    known = [level.price for level in books.touch if level]
    yes = sum(known) // len(known) if known else books.last_price
    return yes, books.market.payout - yes


def _event_object(event: _Event, now_ms: int) -> dict[str, Any]:
    event_id, markets = event
    first = markets[0].books.market
    return {
        "id": str(event_id),
        "slug": first.event,
        "ticker": first.event,
        "title": first.title,
        "category": first.category,
        "active": True,
        "closed": all(market.closed for market in markets),
        "archived": False,
        "negRisk": False,
        "endDate": _iso(first.closes_at) if first.closes_at else None,
        "markets": [_market_object(market, now_ms, nested=True) for market in markets],
    }


def _in_text(values: list[str]) -> str:
    return msgspec.json.encode(values).decode()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(message: str, status: int) -> Response:
    return json_response({"type": "validation error" if status == 422 else "not found error", "error": message}, status)
