"""Kalshi's listing (sheet, B5): which markets, events and series a query means. Combos are in `/markets` unless filtered out."""

from collections.abc import Callable
from itertools import groupby

from arbiter.domain.ids import EventId, MarketId
from arbiter.domain.market import Market
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response
from arbiter.sandbox.kalshi import metadata
from arbiter.sandbox.kalshi.paging import Item, error, not_found, page
from arbiter.sandbox.world import Stage

MARKETS_LIMIT = 1000
EVENTS_LIMIT = 200
FAR_FUTURE = 10**15
MVE_FILTERS = ("", "only", "exclude")


class Listing:
    """The markets by ticker, in the order in which they were listed, and their series as they were first seen.

    `archived_ms`: a market that settled longer ago is under `/historical`; it stays in the live listing for as long
    again, so that the two overlap.
    """

    def __init__(self, archived_ms: int) -> None:
        self.books: dict[MarketId, MarketBooks] = {}
        self.series: dict[str, tuple[MarketBooks, Market]] = {}
        self._archived_ms = archived_ms
        self._events: set[EventId] = set()

    def add(self, books: MarketBooks) -> bool:
        """Whether its event is new with it."""
        market = books.market
        is_new = market.event not in self._events
        self._events.add(market.event)
        self.books[market.key.market] = books
        self.series.setdefault(metadata.series_of(market), (books, market))
        return is_new

    def series_market(self, market: Market) -> Market:
        """A market with the fees of this one's series."""
        return self.series[metadata.series_of(market)][1]

    def live(self, now_ms: int) -> list[MarketBooks]:
        return [b for b in self.books.values() if now_ms - b.since_ms.get(Stage.SETTLED, now_ms) < 2 * self._archived_ms]

    def archived(self, now_ms: int) -> list[MarketBooks]:
        return [b for b in self.books.values() if now_ms - b.since_ms.get(Stage.SETTLED, now_ms) >= self._archived_ms]

    def cutoff_ms(self, now_ms: int) -> int:
        """What settled or was traded before is in the archive."""
        return now_ms - self._archived_ms

    # -- answers --

    def one(self, ticker: str, body: Callable[[MarketBooks], Item]) -> Response:
        books = self.books.get(MarketId(ticker))
        return json_response(body(books)) if books else error("market_not_found", "market not found", 404)

    def list_markets(self, request: Request, now_ms: int) -> Response:
        selected = self._selected(self.live(now_ms), request, now_ms)
        if isinstance(selected, Response):
            return selected
        return page("markets", selected, lambda books: metadata.market_object(books, now_ms), request, MARKETS_LIMIT)

    def list_archived(self, request: Request, now_ms: int) -> Response:
        selected = self._selected(self.archived(now_ms), request, now_ms)
        if isinstance(selected, Response):
            return selected
        return page("markets", selected, lambda books: metadata.market_object(books, now_ms), request, MARKETS_LIMIT)

    def list_events(self, request: Request, now_ms: int, *, combos: bool) -> Response:
        """Plain events and those of combos have paths of their own."""
        selected = self._selected([b for b in self.live(now_ms) if bool(b.details.collection) is combos], request, now_ms)
        if isinstance(selected, Response):
            return selected
        nested = request.first("with_nested_markets") == "true"
        groups = [list(group) for _, group in groupby(sorted(selected, key=_event_ticker), key=_event_ticker)]
        return page("events", groups, lambda group: self._event_object(group, now_ms, nested=nested), request, EVENTS_LIMIT)

    def event(self, ticker: str, now_ms: int) -> Response:
        """One event nests its markets inside; the list beside it is empty."""
        members = [b for b in self.books.values() if b.market.event == ticker]
        if not members:
            return not_found("event not found")
        return json_response({"event": self._event_object(members, now_ms, nested=True), "markets": []})

    def list_series(self, request: Request) -> Response:
        """By category and by tags, of which one will do."""
        wanted, tags = request.first("category"), set(request.every("tags"))
        listed = [
            metadata.series_object(books, market)
            for books, market in self.series.values()
            if wanted in ("", market.category) and (not tags or tags & set(books.details.tags))
        ]
        return json_response({"series": listed})

    def one_series(self, ticker: str) -> Response:
        found = self.series.get(ticker)
        return json_response({"series": metadata.series_object(*found)}) if found else not_found("series not found")

    def _event_object(self, members: list[MarketBooks], now_ms: int, *, nested: bool) -> Item:
        return metadata.event_object(members, self.series_market(members[0].market), now_ms, nested=nested)

    def _selected(self, among: list[MarketBooks], request: Request, now_ms: int) -> list[MarketBooks] | Response:
        """By status, event, series, tickers, closing time, and whether combos are wanted."""
        status, mve = request.first("status"), request.first("mve_filter")
        if status and status not in metadata.FILTER_STATUS:
            return error("bad_request", f"invalid status filter: {status}", 400)
        if mve not in MVE_FILTERS:
            return error("bad_request", f"invalid mve_filter: {mve}", 400)
        earliest, latest = request.number("min_close_ts", 0), request.number("max_close_ts", FAR_FUTURE)
        if earliest is None or latest is None:
            return error("bad_request", "invalid close time", 400)
        event, series, tickers = request.first("event_ticker"), request.first("series_ticker"), set(request.every("tickers"))
        stages = metadata.FILTER_STATUS.get(status)
        return [
            b
            for b in among
            if (mve == "" or bool(b.details.collection) is (mve == "only"))
            and (stages is None or b.stage in stages)
            and event in ("", b.market.event)
            and series in ("", metadata.series_of(b.market))
            and (not tickers or b.market.key.market in tickers)
            and earliest <= int(metadata.closing_of(b.market, now_ms).timestamp()) <= latest
        ]


def _event_ticker(books: MarketBooks) -> str:
    return books.market.event
