"""The catalogue over REST: pages of events with their markets, single markets, public trades, results (B5)."""

from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime

import msgspec
import trio

from arbiter.domain.book import PublicTrade
from arbiter.domain.ids import KALSHI, MarketId
from arbiter.domain.market import Event, Market, MarketStatus, Resolution
from arbiter.errors import NotFound, VenueRejected
from arbiter.venues.base import CataloguePage, Selection, Surroundings
from arbiter.venues.kalshi.fee_rules import FeeRules, SeriesFeeChanges
from arbiter.venues.kalshi.metadata import (
    EventAnswer,
    EventsPage,
    KalshiEvent,
    KalshiMarket,
    KalshiSeries,
    MarketAnswer,
    SeriesAnswer,
    SeriesList,
    read_event,
    read_market,
    read_resolution,
    to_event,
    to_market,
)
from arbiter.venues.kalshi.trades import TradesPage, read_trades
from arbiter.venues.rest import Params, RestClient
from arbiter.venues.tally import Tally

EVENTS_PAGE = 200
"""The most that `/events` gives at once (B5)."""
MARKETS_AT_ONCE = 100
"""Handed on together, or a few more: the venue's own pages may hold thousands."""
READ_AT_ONCE = 25
"""Markets of one event that are read without a pause: about a millisecond."""
TRADES_PAGE = 1_000
_ENDED = (MarketStatus.CLOSED, MarketStatus.RESOLVED)
NOT_FOUND = "404"


class Catalogue:
    """Reads with a client that is handed in; remembers series, and tells the fee rules what it learns."""

    def __init__(self, rest: RestClient, fees: FeeRules, surroundings: Surroundings, tally: Tally) -> None:
        self._rest = rest
        self._fees = fees
        self._unix_ms = surroundings.unix_ms
        self._tally = tally

    async def pages(self, selection: Selection) -> AsyncGenerator[CataloguePage]:
        """See `Venue.catalogue`. Kalshi cannot sort: a limit takes the first that come."""
        await self._read_all_series()
        count = 0
        async for events in self._event_pages(selection):
            markets: list[Market] = []
            groups: list[Event] = []
            for number, event in enumerate(events, 1):
                found, group = await self._convert(event)
                wanted = [each for each in found if _wanted(each, selection)]
                markets += wanted
                if wanted:
                    groups.append(group)
                if len(markets) < MARKETS_AT_ONCE and number < len(events):
                    continue
                if selection.limit:
                    markets = markets[: selection.limit - count]
                count += len(markets)
                yield CataloguePage(tuple(markets), tuple(groups))
                if selection.limit and count >= selection.limit:
                    return
                markets, groups = [], []

    async def market(self, ticker: MarketId) -> Market:
        """See `Venue.market`."""
        raw = await self._one(ticker)
        event = await self._event_of(raw)
        found = self._to_market(raw, event, await self._series_of(event))
        if found is None:
            raise NotFound(f"kalshi's market {ticker[:80]!r} has no two-sided book")
        return found

    async def resolution(self, ticker: MarketId) -> Resolution | None:
        """See `Venue.resolution`."""
        try:
            return read_resolution(await self._one(ticker))
        except NotFound:
            return None
        except ValueError as error:
            raise VenueRejected(KALSHI, f"market {ticker}: {error}") from error

    async def trades(self, market: Market, since_ms: int, limit: int) -> tuple[PublicTrade, ...]:
        """See `Venue.public_trades`."""
        found: list[PublicTrade] = []
        cursor = ""
        while len(found) < limit:
            params = [("ticker", market.key.market), ("limit", str(min(TRADES_PAGE, limit))), ("min_ts", str(since_ms // 1000))]
            page = await self._rest.get("/markets/trades", TradesPage, params + ([("cursor", cursor)] if cursor else []))
            found += read_trades(page, market, self._tally)
            if not page.cursor or page.cursor == cursor:
                break
            cursor = page.cursor
        return tuple(each for each in found[:limit] if each.venue_ms >= since_ms)

    async def fee_changes(self) -> None:
        """Tell the fee rules what is announced. Without `show_historical` the list is empty (B5)."""
        answer = await self._rest.get("/series/fee_changes", SeriesFeeChanges, [("show_historical", "true")])
        self._fees.learn_changes(answer.series_fee_change_arr or [])

    # -- pages --

    async def _event_pages(self, selection: Selection) -> AsyncGenerator[list[KalshiEvent]]:
        if selection.events:
            for ticker in selection.events:
                yield [await self._event(ticker)]
            return
        for series in selection.series or ("",):
            params = [("with_nested_markets", "true"), ("limit", str(EVENTS_PAGE))]
            params += [("series_ticker", series)] if series else []
            params += [] if selection.ended else [("status", "open")]
            async for page in self._paged(params):
                yield page

    async def _paged(self, params: Params) -> AsyncGenerator[list[KalshiEvent]]:
        cursors: set[str] = set()
        cursor = ""
        while True:
            page = await self._rest.get("/events", EventsPage, [*params, *([("cursor", cursor)] if cursor else [])])
            yield self._readable(page.events or ())
            cursor = page.cursor or ""
            if not cursor:
                return
            if cursor in cursors:
                raise VenueRejected(KALSHI, "the catalogue's cursor does not move on")
            cursors.add(cursor)

    def _readable(self, raws: Iterable[msgspec.Raw]) -> list[KalshiEvent]:
        events = []
        for raw in raws:
            try:
                events.append(read_event(raw))
            except ValueError:
                self._tally.unreadable_markets += 1
        return events

    # -- one event, one market --

    async def _convert(self, event: KalshiEvent) -> tuple[list[Market], Event]:
        await trio.lowlevel.checkpoint()  # a page of events may hold thousands of markets
        self._fees.learn_event(event)
        series = await self._series_of(event)
        markets = []
        for number, raw in enumerate(event.markets or (), 1):
            if number % READ_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            try:
                market = self._to_market(read_market(raw), event, series)
            except ValueError:
                self._tally.unreadable_markets += 1
                continue
            if market is not None:
                markets.append(market)
        return markets, to_event(event, series, markets)

    def _to_market(self, raw: KalshiMarket, event: KalshiEvent, series: KalshiSeries | None) -> Market | None:
        now = self._unix_ms()
        self._fees.learn_market(raw, now)
        return to_market(raw, event, series, self._fees.of(raw.ticker, event.event_ticker, now))

    async def _one(self, ticker: MarketId) -> KalshiMarket:
        try:
            answer = await self._rest.get(f"/markets/{ticker}", MarketAnswer)
        except VenueRejected as error:
            if NOT_FOUND in (error.code, str(error)) or "not_found" in (error.code or ""):
                raise NotFound(f"kalshi lists no market {ticker[:80]!r}") from error
            raise
        try:
            return read_market(answer.market)
        except ValueError as error:
            raise VenueRejected(KALSHI, f"market {ticker}: {error}") from error

    async def _event_of(self, market: KalshiMarket) -> KalshiEvent:
        event = await self._event(market.event_ticker or "")
        self._fees.learn_event(event)
        return event

    async def _event(self, ticker: str) -> KalshiEvent:
        answer = await self._rest.get(f"/events/{ticker}", EventAnswer, [("with_nested_markets", "true")])
        event = answer.event
        if not event.markets and answer.markets:
            event.markets = answer.markets
        return event

    # -- series --

    async def _read_all_series(self) -> None:
        now = self._unix_ms()
        for series in (await self._rest.get("/series", SeriesList)).series or ():
            self._fees.learn_series(series, now)

    async def _series_of(self, event: KalshiEvent) -> KalshiSeries | None:
        """The listing is not exhaustive (B5): a series that it left out is read by itself, once."""
        ticker = event.series_ticker
        if ticker and self._fees.series(ticker) is None:
            try:
                series = (await self._rest.get(f"/series/{ticker}", SeriesAnswer)).series
            except VenueRejected:
                series = KalshiSeries(ticker)
            self._fees.learn_series(series, self._unix_ms())
        return self._fees.series(ticker)


def _wanted(market: Market, selection: Selection) -> bool:
    if market.status in _ENDED and not selection.ended:
        return False
    closes = market.closes_at or datetime.max.replace(tzinfo=UTC)
    return (selection.closes_after is None or closes > selection.closes_after) and (
        selection.closes_before is None or closes < selection.closes_before
    )
