"""Kalshi's public reads below `/trade-api/v2` (sheet, B5), with error bodies as the venue words them (B6.3)."""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import TypeVar

from arbiter.domain.ids import MarketId
from arbiter.domain.market import Market
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response
from arbiter.sandbox.kalshi import metadata, wire

BASE = "/trade-api/v2"
MARKETS_LIMIT = TRADES_LIMIT = 1000
EVENTS_LIMIT = 200
DEEPEST = 100
MOST_ORDERBOOKS = 100
FAR_FUTURE = 10**15
MVE_FILTERS = ("", "only", "exclude")
Item = dict[str, object]
_T = TypeVar("_T")
_SHARD = {"exchange_index": 0, "exchange_active": True, "trading_active": True}
_STATUS = {"exchange_active": True, "trading_active": True, "intra_exchange_transfers_active": True, "exchange_index_statuses": [_SHARD]}


class KalshiReads:
    """Answers from the books and trades as they are. `trades` is shared with the engine, newest last."""

    def __init__(self, books: Mapping[MarketId, MarketBooks], trades: deque[wire.Trade]) -> None:
        self._books = books
        self._trades = trades
        self._series: dict[str, Market] = {}
        for each in books.values():
            self._series.setdefault(metadata.series_of(each.market), each.market)

    def answer(self, request: Request, now_ms: int) -> Response:
        """Any path below the base; 404 for what it does not know."""
        if not request.path.startswith(BASE + "/") or request.method not in ("GET", "HEAD"):
            return error("not_found", "not found", 404)
        match request.path.removeprefix(BASE + "/").split("/"):
            case ["exchange", "status"]:
                return json_response(_STATUS)
            case ["series", *rest] if len(rest) < 2:
                return self._series_reads(rest, request)
            case ["events"]:
                return self._list_events(request, now_ms)
            case ["events", ticker]:
                return self._event(ticker, now_ms)
            case ["markets", *rest]:
                return self._market_reads(rest, request, now_ms)
            case _:
                return error("not_found", "no such path", 404)

    def _market_reads(self, rest: list[str], request: Request, now_ms: int) -> Response:
        match rest:
            case []:
                return self._list_markets(request, now_ms)
            case ["trades"]:
                return self._list_trades(request)
            case ["orderbooks"]:
                return self._orderbooks(request)
            case [ticker]:
                return self._one(ticker, lambda books: {"market": metadata.market_object(books, now_ms)})
            case [ticker, "orderbook"]:
                depth = request.number("depth", 0)
                if depth is None or depth > DEEPEST:
                    return error("bad_request", f"depth must be between 0 and {DEEPEST}", 400)
                return self._one(ticker, lambda books: {"orderbook_fp": wire.orderbook(books, depth)})
            case _:
                return error("not_found", "no such path", 404)

    def _one(self, ticker: str, body: Callable[[MarketBooks], Item]) -> Response:
        books = self._books.get(MarketId(ticker))
        return json_response(body(books)) if books else error("market_not_found", "market not found", 404)

    def _series_reads(self, rest: list[str], request: Request) -> Response:
        if not rest:
            wanted = request.first("category")
            listed = [metadata.series_object(m) for m in self._series.values() if wanted in ("", m.category)]
            return json_response({"series": listed})
        market = self._series.get(rest[0])
        return json_response({"series": metadata.series_object(market)}) if market else error("not_found", "series not found", 404)

    def _event(self, ticker: str, now_ms: int) -> Response:
        """One event nests its markets inside; the list beside it is empty."""
        members = [b for b in self._books.values() if b.market.event == ticker]
        if not members:
            return error("not_found", "event not found", 404)
        series = self._series[metadata.series_of(members[0].market)]
        return json_response({"event": metadata.event_object(members, series, now_ms, nested=True), "markets": []})

    def _list_events(self, request: Request, now_ms: int) -> Response:
        selected = self._selected(request, now_ms)
        if isinstance(selected, Response):
            return selected
        nested = request.first("with_nested_markets") == "true"
        groups = [list(group) for _, group in groupby(sorted(selected, key=_event_ticker), key=_event_ticker)]
        return _page(
            "events",
            groups,
            lambda g: metadata.event_object(g, self._series[metadata.series_of(g[0].market)], now_ms, nested=nested),
            request,
            EVENTS_LIMIT,
        )

    def _list_markets(self, request: Request, now_ms: int) -> Response:
        selected = self._selected(request, now_ms)
        if isinstance(selected, Response):
            return selected
        return _page("markets", selected, lambda books: metadata.market_object(books, now_ms), request, MARKETS_LIMIT)

    def _selected(self, request: Request, now_ms: int) -> list[MarketBooks] | Response:
        """By status, event, series, tickers and closing time. There are no combos here."""
        status, mve = request.first("status"), request.first("mve_filter")
        if status and status not in metadata.FILTER_STATUS:
            return error("bad_request", f"invalid status filter: {status}", 400)
        if mve not in MVE_FILTERS:
            return error("bad_request", f"invalid mve_filter: {mve}", 400)
        earliest, latest = request.number("min_close_ts", 0), request.number("max_close_ts", FAR_FUTURE)
        if earliest is None or latest is None:
            return error("bad_request", "invalid close time", 400)
        event, series, tickers = request.first("event_ticker"), request.first("series_ticker"), set(request.every("tickers"))
        statuses = metadata.FILTER_STATUS.get(status)
        return [
            b
            for b in self._books.values()
            if mve != "only"
            and (statuses is None or b.market.status in statuses)
            and event in ("", b.market.event)
            and series in ("", metadata.series_of(b.market))
            and (not tickers or b.market.key.market in tickers)
            and earliest <= int(metadata.closing_of(b.market, now_ms).timestamp()) <= latest
        ]

    def _orderbooks(self, request: Request) -> Response:
        tickers = request.every("tickers")
        if not 1 <= len(tickers) <= MOST_ORDERBOOKS:
            return error("bad_request", f"between 1 and {MOST_ORDERBOOKS} tickers are required", 400)
        known = [(ticker, self._books.get(MarketId(ticker))) for ticker in tickers]
        return json_response({"orderbooks": [{"ticker": t, "orderbook_fp": wire.orderbook(b, 0)} for t, b in known if b]})

    def _list_trades(self, request: Request) -> Response:
        """Newest first, the cursor is the last trade told. Times are seconds."""
        earliest, latest = request.number("min_ts", 0), request.number("max_ts", FAR_FUTURE)
        limit, before = request.number("limit", 100), request.number("cursor", FAR_FUTURE)
        if earliest is None or latest is None or before is None or limit is None or not 1 <= limit <= TRADES_LIMIT:
            return error("bad_request", "invalid limit, cursor or time", 400)
        wanted = request.first("ticker")
        found = [
            t
            for t in reversed(self._trades)
            if t.number < before and wanted in ("", t.market.key.market) and earliest <= t.ms // 1000 <= latest
        ]
        cursor = str(found[limit - 1].number) if len(found) > limit else ""
        return json_response({"trades": [trade.rest for trade in found[:limit]], "cursor": cursor})


def _event_ticker(books: MarketBooks) -> str:
    return books.market.event


def _page(name: str, items: list[_T], render: Callable[[_T], Item], request: Request, largest: int) -> Response:
    """`limit` and an opaque `cursor`; an empty cursor ends the listing."""
    limit, start = request.number("limit", 100), request.number("cursor", 0)
    if limit is None or not 1 <= limit <= largest or start is None:
        return error("bad_request", "invalid limit or cursor", 400)
    end = start + limit
    return json_response({name: [render(item) for item in items[start:end]], "cursor": str(end) if end < len(items) else ""})


def error(code: str, message: str, status: int) -> Response:
    """An error body in the usual of the venue's three shapes."""
    return json_response({"error": {"code": code, "message": message, "details": ""}}, status)
