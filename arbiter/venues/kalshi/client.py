"""Kalshi's market data over its real protocols: pages of events with their markets, one signed WebSocket for books."""

from collections.abc import Sequence
from typing import NoReturn

from arbiter.domain.ids import KALSHI
from arbiter.domain.market import Market, MarketStatus
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Capabilities, Emit, Network, Surroundings
from arbiter.venues.kalshi.connection import SOCKET_PATH, Connection
from arbiter.venues.kalshi.hosts import DEMO, KalshiHosts, KalshiPace
from arbiter.venues.kalshi.limits import BASIC
from arbiter.venues.kalshi.metadata import EventsPage, KalshiEvent, KalshiSeries, SeriesAnswer, SeriesList, read_event, to_market
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.limiter import Limiter
from arbiter.venues.rest import RestClient
from arbiter.venues.tally import Tally
from arbiter.venues.websocket import connected

__all__ = ["DEMO", "Kalshi", "KalshiHosts", "KalshiPace", "KalshiSigner"]

EVENTS_PAGE = 200
"""The most that `/events` gives at once (B5)."""
_ENDED = (MarketStatus.CLOSED, MarketStatus.RESOLVED)


class Kalshi:
    """`Venue`, market data. See `venues/base.py` for the contract of each method."""

    name = KALSHI
    capabilities = Capabilities(nets_outcomes=True, sequenced=True)

    def __init__(
        self,
        hosts: KalshiHosts,
        signer: KalshiSigner,
        network: Network,
        surroundings: Surroundings,
        pace: KalshiPace = KalshiPace(),  # noqa: B008 frozen
    ) -> None:
        self._hosts = hosts
        self._signer = signer
        self._network = network
        self._surroundings = surroundings
        self._pace = pace
        self._tally = Tally(self.name, surroundings)
        self._limiter = Limiter(self.name, BASIC, surroundings)

    def statistics(self) -> dict[str, int]:
        return self._tally.statistics()

    def _client(self) -> RestClient:
        return RestClient(self.name, self._hosts.rest_url, self._network, self._surroundings, limiter=self._limiter, tally=self._tally)

    # -- catalogue --

    async def catalogue(self) -> list[Market]:
        found: dict[str, Market] = {}
        cursors: set[str] = set()
        cursor = ""
        async with self._client() as rest:
            series = {each.ticker: each for each in (await rest.get("/series", SeriesList)).series or ()}
            while True:
                params = [("status", "open"), ("with_nested_markets", "true"), ("limit", str(EVENTS_PAGE))]
                page = await rest.get("/events", EventsPage, params + ([("cursor", cursor)] if cursor else []))
                for event in self._readable(page):
                    found.update(self._markets_of(event, await _series_of(event, series, rest)))
                cursor = page.cursor or ""
                if not cursor:
                    return list(found.values())
                if cursor in cursors:
                    raise VenueRejected(self.name, "the catalogue's cursor does not move on")
                cursors.add(cursor)

    def _readable(self, page: EventsPage) -> list[KalshiEvent]:
        events = []
        for raw in page.events or ():
            try:
                events.append(read_event(raw))
            except ValueError:
                self._tally.unreadable_markets += 1
        return events

    def _markets_of(self, event: KalshiEvent, series: KalshiSeries | None) -> dict[str, Market]:
        markets: dict[str, Market] = {}
        for raw in event.markets or ():
            try:
                market = to_market(raw, event, series)
            except ValueError:
                self._tally.unreadable_markets += 1
                continue
            if market is not None:
                markets[market.key.market] = market
        return markets

    # -- books --

    async def stream_books(self, markets: Sequence[Market], emit: Emit) -> NoReturn:
        followed: dict[str, Market] = {market.key.market: market for market in markets if market.status not in _ENDED}
        if not followed:
            raise VenueUnavailable(self.name, "there is nothing to follow")
        headers = self._signer.headers("GET", SOCKET_PATH, self._surroundings.unix_ms())
        async with connected(self.name, self._network, self._hosts.ws_url + SOCKET_PATH, headers, tally=self._tally) as socket:
            self._tally.connections += 1
            await Connection(socket, followed, emit, self._surroundings.monotonic, self._pace, self._tally).run()


async def _series_of(event: KalshiEvent, known: dict[str, KalshiSeries], rest: RestClient) -> KalshiSeries | None:
    """The listing is not exhaustive (B5): a series that it left out is read by itself, once."""
    ticker = event.series_ticker
    if ticker and ticker not in known:
        try:
            known[ticker] = (await rest.get(f"/series/{ticker}", SeriesAnswer)).series
        except VenueRejected:
            known[ticker] = KalshiSeries(ticker)
    return known.get(ticker)
