"""Gamma, the venue's metadata (sheet, A4.2): markets and events, filtered, ordered, in pages."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from arbiter.domain.ids import EventId, MarketId
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response, last_segment, whole_number
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.polymarket.filters import InvalidQuery, Listed, ordered, tests_of
from arbiter.sandbox.polymarket.gamma_shapes import event_object, market_object, tag_object

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
FIRST_MARKET_ID, FIRST_EVENT_ID = 500_000, 100_000
MOST_FOUND = 20


class GammaReads:
    """Answers below `/markets` and `/events`, and the small reads beside them. Ids are given in the order of listing.

    `on_clob`: whether the CLOB has a market already. `profile`: name and pseudonym of a wallet.
    """

    def __init__(self, on_clob: Callable[[MarketBooks, int], bool], profile: Callable[[str], dict[str, Any] | None]) -> None:
        self._on_clob = on_clob
        self._profile = profile
        self._markets: list[Listed] = []
        self._ids: dict[MarketId, str] = {}
        self._event_ids: dict[EventId, int] = {}
        self._events: dict[int, list[Listed]] = {}

    def add(self, books: MarketBooks) -> None:
        """List a market."""
        event_id = self._event_ids.setdefault(books.market.event, FIRST_EVENT_ID + len(self._event_ids))
        market = Listed(FIRST_MARKET_ID + len(self._markets), event_id, books)
        self._markets.append(market)
        self._ids[books.market.key.market] = str(market.id)
        self._events.setdefault(event_id, []).append(market)

    def id_of(self, condition: MarketId) -> str:
        """Gamma's own id of a listed market."""
        return self._ids[condition]

    def event_id_of(self, books: MarketBooks) -> str:
        """Gamma's own id of a listed market's event."""
        return str(self._event_ids[books.market.event])

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
                case [what]:
                    return self._small_read(what, request, now_ms)
                case _:
                    return _error("not found", 404)
        except InvalidQuery as invalid:
            return _error(str(invalid), 422)

    def _small_read(self, what: str, request: Request, now_ms: int) -> Response:
        """What the venue has beside: tags are those of the markets; the sandbox has no series, sports or teams."""
        match what:
            case "tags":
                tags = dict.fromkeys(tag for market in self._markets for tag in wire.tags_of(market.books))
                return json_response([tag_object(tag) for tag in tags])
            case "series" | "sports" | "teams":
                return json_response([])
            case "public-search":
                words = request.first("q").lower().split()
                found = [m.event_id for m in self._markets if all(word in m.books.market.title.lower() for word in words)]
                events = [self._event_object(event_id, now_ms) for event_id in list(dict.fromkeys(found))[:MOST_FOUND]]
                return json_response({"events": events, "tags": [], "profiles": []})
            case "public-profile":
                profile = self._profile(request.first("address").lower())
                return json_response(profile) if profile else _error("profile not found", 404)
            case _:
                return _error("not found", 404)

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
        tests = tests_of(request, now_ms, hide_closed=hide_closed, of_event=what == "events")
        chosen = ordered([m for m in self._markets if all(test(m) for test in tests)], request)
        if what == "markets":
            return [self._market_object(market, now_ms) for market in chosen]
        return [self._event_object(event_id, now_ms) for event_id in dict.fromkeys(m.event_id for m in chosen)]

    def _market_object(self, market: Listed, now_ms: int, *, nested: bool = False) -> dict[str, Any]:
        return market_object(market, now_ms, nested=nested, on_clob=self._on_clob(market.books, now_ms))

    def _event_object(self, event_id: int, now_ms: int) -> dict[str, Any]:
        markets = self._events[event_id]
        return event_object(event_id, markets, [self._market_object(market, now_ms, nested=True) for market in markets])

    def _one(self, what: str, name: str, by_slug: bool, now_ms: int) -> Response:
        number = None if by_slug else whole_number(name)
        for market in self._markets:
            slug = wire.slug_of(market.books) if what == "markets" else market.books.market.event
            if name == slug if by_slug else number == (market.id if what == "markets" else market.event_id):
                if what == "markets":
                    return json_response(self._market_object(market, now_ms))
                return json_response(self._event_object(market.event_id, now_ms))
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


def _error(message: str, status: int) -> Response:
    return json_response({"type": "validation error" if status == 422 else "not found error", "error": message}, status)
