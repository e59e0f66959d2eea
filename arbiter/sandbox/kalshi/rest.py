"""Kalshi's public reads below `/trade-api/v2` (sheet, B5), with error bodies as the venue words them (B6.3)."""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from arbiter.domain.ids import MarketId
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.candles import Candle, Span
from arbiter.sandbox.http import Request, Response, json_response
from arbiter.sandbox.kalshi import exchange_reads, metadata, wire
from arbiter.sandbox.kalshi.cache import EdgeCache
from arbiter.sandbox.kalshi.listing import FAR_FUTURE, Listing
from arbiter.sandbox.kalshi.paging import Item, error, flat_error, not_found

BASE = "/trade-api/v2"
TRADES_LIMIT = 1000
DEEPEST = 100
MOST_ORDERBOOKS = 100
MOST_CANDLES = 5000
PERIODS = (1, 60, 1440)


class KalshiReads:
    """Answers from the listing and the trades as they are. `trades` is shared with the engine, newest last."""

    def __init__(self, listing: Listing, trades: deque[wire.Trade], cache: EdgeCache) -> None:
        self._listing = listing
        self._trades = trades
        self._cache = cache
        self.event_fee_changes: list[Item] = []
        """Newest last; all have begun."""
        self.halted: set[int] = set()
        """Shards whose trading is paused."""

    def answer(self, request: Request, now_ms: int) -> Response:
        """Any path below the base; 404 for what it does not know."""
        if not request.path.startswith(BASE + "/"):
            return not_found("not found")
        parts = request.path.removeprefix(BASE + "/").split("/")
        if request.method not in ("GET", "HEAD"):
            return _mutation(parts, request)
        match parts:
            case ["markets", _, "orderbook"] | ["markets", "orderbooks"]:
                return self._cache.answer(request, now_ms, lambda: self._market_reads(parts[1:], request, now_ms))
            case ["markets", *rest]:
                return self._market_reads(rest, request, now_ms)
            case ["events", *rest]:
                return self._event_reads(rest, request, now_ms)
            case ["series", *rest]:
                return self._series_reads(rest, request, now_ms)
            case ["historical", *rest]:
                return self._historical_reads(rest, request, now_ms)
            case ["exchange", "status"]:
                shards = sorted({books.details.shard for books in self._listing.books.values()} | {0})
                return json_response(exchange_reads.status(shards, self.halted))
            case ["exchange", "schedule"]:
                return json_response(exchange_reads.schedule())
            case ["account", "limits"]:
                return json_response(exchange_reads.limits())
            case ["account", "endpoint_costs"]:
                return json_response(exchange_reads.endpoint_costs())
            case _:
                return not_found()

    def _market_reads(self, rest: list[str], request: Request, now_ms: int) -> Response:
        match rest:
            case []:
                return self._listing.list_markets(request, now_ms)
            case ["trades"]:
                return self._list_trades(request, now_ms, archived=False)
            case ["orderbooks"]:
                return self._orderbooks(request)
            case [ticker]:
                return self._listing.one(ticker, lambda books: {"market": metadata.market_object(books, now_ms)})
            case [ticker, "orderbook"]:
                depth = request.number("depth", 0)
                if depth is None or depth > DEEPEST:
                    return error("bad_request", f"depth must be between 0 and {DEEPEST}", 400)
                return self._listing.one(ticker, lambda books: {"orderbook_fp": wire.orderbook(books, depth)})
            case _:
                return not_found()

    def _event_reads(self, rest: list[str], request: Request, now_ms: int) -> Response:
        match rest:
            case []:
                return self._listing.list_events(request, now_ms, combos=False)
            case ["multivariate"]:
                return self._listing.list_events(request, now_ms, combos=True)
            case ["fee_changes"]:
                wanted = request.first("event_ticker")
                changes = [each for each in self.event_fee_changes if wanted in ("", each["event_ticker"])]
                return json_response({"event_fee_change_arr": changes if _with_history(request) else [], "cursor": ""})
            case [ticker]:
                return self._listing.event(ticker, now_ms)
            case _:
                return not_found()

    def _series_reads(self, rest: list[str], request: Request, now_ms: int) -> Response:
        match rest:
            case []:
                return self._listing.list_series(request)
            case ["fee_changes"]:
                return json_response({"series_fee_change_arr": self._series_fee_changes(request, now_ms)})
            case [ticker]:
                return self._listing.one_series(ticker)
            case [series, "markets", ticker, "candlesticks"]:
                return self._candlesticks(ticker, request, lambda books: metadata.series_of(books.market) == series)
            case _:
                return not_found()

    def _historical_reads(self, rest: list[str], request: Request, now_ms: int) -> Response:
        """What is older than the cutoff. Some of it is still in the live paths: the two overlap."""
        match rest:
            case ["cutoff"]:
                cutoff = wire.rfc3339(self._listing.cutoff_ms(now_ms))
                names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts", "market_positions_last_updated_ts")
                return json_response(dict.fromkeys(names, cutoff))
            case ["markets"]:
                return self._listing.list_archived(request, now_ms)
            case ["trades"]:
                return self._list_trades(request, now_ms, archived=True)
            case ["markets", ticker]:
                archived = {books.market.key.market: books for books in self._listing.archived(now_ms)}
                books = archived.get(MarketId(ticker))
                return json_response({"market": metadata.market_object(books, now_ms)}) if books else not_found("market not found")
            case ["markets", ticker, "candlesticks"]:
                return self._candlesticks(ticker, request, lambda _: True)
            case _:
                return not_found()

    def _series_fee_changes(self, request: Request, now_ms: int) -> list[Item]:
        """One for each series, at the start of the day. All have begun, so without `show_historical` there is none."""
        if not _with_history(request):
            return []
        wanted, day_ms = request.first("series_ticker"), now_ms - now_ms % 86_400_000
        markets = [market for ticker, (_, market) in self._listing.series.items() if wanted in ("", ticker)]
        return [metadata.fee_change(number, market, day_ms) for number, market in enumerate(markets, 1)]

    def _orderbooks(self, request: Request) -> Response:
        tickers = request.every("tickers")
        if not 1 <= len(tickers) <= MOST_ORDERBOOKS:
            return error("bad_request", f"between 1 and {MOST_ORDERBOOKS} tickers are required", 400)
        known = [(ticker, self._listing.books.get(MarketId(ticker))) for ticker in tickers]
        return json_response({"orderbooks": [{"ticker": t, "orderbook_fp": wire.orderbook(b, 0)} for t, b in known if b]})

    def _list_trades(self, request: Request, now_ms: int, *, archived: bool) -> Response:
        """Newest first, the cursor is the last trade told. Times are seconds."""
        earliest, latest = request.number("min_ts", 0), request.number("max_ts", FAR_FUTURE)
        limit, before = request.number("limit", 100), request.number("cursor", FAR_FUTURE)
        if earliest is None or latest is None or before is None or limit is None or not 1 <= limit <= TRADES_LIMIT:
            return error("bad_request", "invalid limit, cursor or time", 400)
        wanted, cutoff_ms = request.first("ticker"), self._listing.cutoff_ms(now_ms)
        found = [
            t
            for t in reversed(self._trades)
            if t.number < before
            and wanted in ("", t.market.key.market)
            and earliest <= t.ms // 1000 <= latest
            and (not archived or t.ms < cutoff_ms)
        ]
        cursor = str(found[limit - 1].number) if len(found) > limit else ""
        return json_response({"trades": [trade.rest for trade in found[:limit]], "cursor": cursor})

    def _candlesticks(self, ticker: str, request: Request, belongs: Callable[[MarketBooks], bool]) -> Response:
        start, end, minutes = request.number("start_ts", 0), request.number("end_ts", 0), request.number("period_interval", 0)
        if start is None or end is None or not start < end or minutes not in PERIODS:
            return error("bad_request", f"start_ts before end_ts and a period_interval of {PERIODS} are required", 400)
        if (end - start) // (60 * minutes) > MOST_CANDLES:
            return error("bad_request", f"more than {MOST_CANDLES} candlesticks", 400)
        books = self._listing.books.get(MarketId(ticker))
        if books is None or not belongs(books):
            return error("market_not_found", "market not found", 404)
        candles = [_candle_object(candle, minutes) for candle in books.candles.over(start, end, minutes)]
        return json_response({"ticker": ticker, "candlesticks": candles})


def _with_history(request: Request) -> bool:
    return request.first("show_historical") == "true"


def _candle_object(candle: Candle, minutes: int) -> Item:
    return {
        "end_period_ts": candle.start_s + 60 * minutes,
        "yes_bid": _span(candle.bid),
        "yes_ask": _span(candle.ask),
        "price": _span(candle.price) if candle.price else dict.fromkeys(("open_dollars", "high_dollars", "low_dollars", "close_dollars")),
        "volume_fp": wire.count(candle.volume),
        "open_interest_fp": wire.count(candle.volume),
    }


def _span(span: Span) -> dict[str, Any]:
    return {f"{name}_dollars": wire.dollars(getattr(span, name)) for name in ("open", "high", "low", "close")}


def _mutation(parts: list[str], request: Request) -> Response:
    """The sandbox takes no orders here yet, but it refuses as the venue does: the retired paths, and bodies that do not parse."""
    if parts[:2] == ["portfolio", "orders"]:
        return error("deprecated_v1_order_endpoint", "this endpoint was removed, use /portfolio/events/orders", 410)
    if request.body:
        try:
            msgspec.json.decode(request.body)
        except (msgspec.DecodeError, RecursionError):
            return flat_error("bad_request", "invalid request body", 400)
    return not_found("not found")
