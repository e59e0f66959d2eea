"""The Kalshi engine: requests in, responses out; world events in, socket messages out. No I/O, no clock."""

import hashlib
from collections.abc import Callable, Iterable
from itertools import groupby

from arbiter.domain.book import LevelChange, PublicTrade, Side
from arbiter.domain.ids import MarketId
from arbiter.domain.market import Market
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, Socket, json_response, last_segment
from arbiter.sandbox.kalshi import wire
from arbiter.sandbox.kalshi.auth import Authenticator
from arbiter.sandbox.kalshi.session import KalshiSession
from arbiter.sandbox.world import WorldEvent

BASE = "/trade-api/v2"
SOCKET_PATH = "/trade-api/ws/v2"
MARKETS_LIMIT = 1000
EVENTS_LIMIT = 200
KEPT_TRADES = 1000


class KalshiEngine:
    """All of the venue: markets, books, sessions. The `fault_*` methods do what the real one sometimes does."""

    def __init__(self, markets: Iterable[Market], authenticator: Authenticator) -> None:
        self.books = {market.key.market: MarketBooks(market) for market in markets}
        self.tickers: frozenset[str] = frozenset(self.books)
        self.sessions: set[KalshiSession] = set()
        self._by_outcome = {b.market.yes_key: b for b in self.books.values()}
        self._ids = {ticker: hashlib.sha256(ticker.encode()).hexdigest()[:32] for ticker in self.books}
        self._authenticator = authenticator
        self._trades: list[dict[str, object]] = []
        self._trade_count = 0

    def of_ticker(self, ticker: str) -> tuple[MarketBooks, str]:
        """A market's books and its `market_id`."""
        books = self.books[MarketId(ticker)]
        return books, self._ids[books.market.key.market]

    # -- the world --

    def apply(self, event: WorldEvent, now_ms: int) -> None:
        """Fold in what happened and tell who subscribed."""
        books = self._by_outcome[event.outcome]
        market, market_id = books.market, self._ids[books.market.key.market]
        if isinstance(event, LevelChange):
            delta = event.size - _size_at(books, event)
            books.apply(event)
            if delta:
                self._push("orderbook_delta", "orderbook_delta", market, wire.delta_message(market, market_id, event, delta, now_ms))
        elif isinstance(event, PublicTrade):
            self._trade_count += 1
            message = wire.trade_message(market, event, f"trade-{self._trade_count:08d}", now_ms)
            self._trades = [*self._trades[-KEPT_TRADES + 1 :], message]
            self._push("trade", "trade", market, message)
        else:
            books.apply(event)
            self._push("orderbook_delta", "orderbook_snapshot", market, wire.snapshot_message(books, market_id))

    def tick(self, now_ms: int) -> None:
        """Send the heartbeats that are due."""
        for session in tuple(self.sessions):
            session.heartbeat(now_ms)

    def _push(self, channel: str, type_: str, market: Market, message: dict[str, object]) -> None:
        for session in self.sessions:
            session.push(channel, type_, market.key.market, message)

    # -- HTTP --

    def open_socket(self, request: Request, socket: Socket, now_ms: int) -> KalshiSession | Response:
        """Every socket needs a signed upgrade, for public channels too."""
        if request.path != SOCKET_PATH:
            return _error("not_found", "not found", 404)
        if not self._authenticator.accepts(request.headers, "GET", request.path, now_ms):
            return _error("unauthorized", "Unauthorized", 401)
        session = KalshiSession(self, socket, now_ms)
        self.sessions.add(session)
        return session

    def handle(self, request: Request, now_ms: int) -> Response:
        """The public reads below `/trade-api/v2`."""
        if not request.path.startswith(BASE + "/") or request.method != "GET":
            return _error("not_found", "not found", 404)
        match request.path.removeprefix(BASE + "/").split("/"):
            case ["exchange", "status"]:
                return json_response({"exchange_active": True, "trading_active": True, "exchange_index_statuses": []})
            case ["series"]:
                return json_response({"series": list(self._series().values())})
            case ["series", ticker]:
                series = self._series().get(ticker)
                return json_response({"series": series}) if series else _error("not_found", "series not found", 404)
            case ["events"]:
                return self._list_events(request, now_ms)
            case ["events", ticker]:
                members = [b for b in self.books.values() if b.market.event == ticker]
                if not members:
                    return _error("not_found", "event not found", 404)
                return json_response({"event": wire.event_object(members, now_ms, nested=True), "markets": []})
            case ["markets"]:
                return self._list_markets(request, now_ms)
            case ["markets", "trades"]:
                wanted = request.first("ticker")
                trades = [t for t in self._trades if not wanted or t["market_ticker"] == wanted]
                return json_response({"trades": trades[::-1], "cursor": ""})
            case ["markets", ticker]:
                return self._one(ticker, lambda books: {"market": wire.market_object(books, now_ms)})
            case ["markets", ticker, "orderbook"]:
                return self._one(ticker, lambda books: {"orderbook_fp": wire.orderbook(books)})
            case _:
                return _error("not_found", f"no such path: {last_segment(request.path)}", 404)

    def _one(self, ticker: str, body: Callable[[MarketBooks], dict[str, object]]) -> Response:
        if ticker not in self.tickers:
            return _error("market_not_found", "market not found", 404)
        return json_response(body(self.of_ticker(ticker)[0]))

    def _list_markets(self, request: Request, now_ms: int) -> Response:
        status = request.first("status")
        if status and status not in wire.FILTER_STATUS:
            return _error("bad_request", f"invalid status filter: {status}", 400)
        rendered = [wire.market_object(b, now_ms) for b in self._selected(request)]
        if status:
            rendered = [market for market in rendered if market["status"] in wire.FILTER_STATUS[status]]
        return _page("markets", rendered, request, MARKETS_LIMIT)

    def _selected(self, request: Request) -> list[MarketBooks]:
        """By event, by series, by a comma list of tickers."""
        event, series, tickers = request.first("event_ticker"), request.first("series_ticker"), request.first("tickers")
        wanted = set(tickers.split(",")) if tickers else None
        return [
            b
            for b in self.books.values()
            if (not event or b.market.event == event)
            and (not series or wire.series_of(b.market) == series)
            and (wanted is None or b.market.key.market in wanted)
        ]

    def _list_events(self, request: Request, now_ms: int) -> Response:
        nested = request.first("with_nested_markets") == "true"
        ordered = sorted(self._selected(request), key=lambda b: b.market.event)
        events = [wire.event_object(list(group), now_ms, nested=nested) for _, group in groupby(ordered, key=lambda b: b.market.event)]
        return _page("events", events, request, EVENTS_LIMIT)

    def _series(self) -> dict[str, dict[str, object]]:
        return {wire.series_of(b.market): wire.series_object(b.market) for b in self.books.values()}

    # -- what the real one sometimes does --

    def fault_gap(self) -> None:
        """A frame is lost in every subscription: the next sequence number skips one."""
        for session in self.sessions:
            session.skip_sequence()

    def fault_overflow(self) -> None:
        """Error 25 ends every subscription."""
        for session in self.sessions:
            session.fail_subscriptions(25, "Subscription buffer overflow")

    def fault_send(self, frame: bytes) -> None:
        """Any text, to every session: an unknown type, a malformed frame."""
        for session in tuple(self.sessions):
            session.socket.send(frame)

    def fault_close(self) -> None:
        """Close every session."""
        for session in tuple(self.sessions):
            session.socket.close(1001)


def _size_at(books: MarketBooks, change: LevelChange) -> int:
    side = books.yes.bids() if change.side is Side.BUY else books.yes.asks()
    return next((level.size for level in side if level.price == change.price), 0)


def _page(name: str, items: list[dict[str, object]], request: Request, largest: int) -> Response:
    """`limit` and an opaque `cursor`; an empty cursor ends the listing."""
    limit, cursor = request.first("limit", "100"), request.first("cursor", "0") or "0"
    if not (limit.isdigit() and 1 <= int(limit) <= largest and cursor.isdigit()):
        return _error("bad_request", "invalid limit or cursor", 400)
    end = int(cursor) + int(limit)
    return json_response({name: items[int(cursor) : end], "cursor": str(end) if end < len(items) else ""})


def _error(code: str, message: str, status: int) -> Response:
    return json_response({"error": {"code": code, "message": message, "details": ""}}, status)
