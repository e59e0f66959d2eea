"""Kalshi's market data over its real protocols: pages of events with their markets, one signed WebSocket for books."""

from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
import structlog
import trio

from arbiter.domain.book import BooksInvalid, ProofOfLife
from arbiter.domain.ids import KALSHI
from arbiter.domain.market import Market
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Capabilities, Emit, Network, Surroundings
from arbiter.venues.kalshi.metadata import EventsPage, KalshiEvent, KalshiSeries, SeriesAnswer, SeriesList, to_market
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.kalshi.wire import FrameDecoder, SequenceGap, SubscriptionFailed
from arbiter.venues.once_a_minute import OnceAMinute
from arbiter.venues.rest import RestClient
from arbiter.venues.websocket import WebSocket, connected
from arbiter.venues.wire_numbers import MalformedFrame

EVENTS_PAGE = 200
TICKERS_PER_COMMAND = 500
PING_SECONDS = 4.0
DEAD_SECONDS = 12.0
SOCKET_PATH = "/trade-api/ws/v2"


class KalshiHosts(msgspec.Struct, frozen=True):
    """Where the venue is. The defaults are production; `DEMO` is its test environment."""

    rest_url: str = "https://external-api.kalshi.com/trade-api/v2"
    ws_url: str = "wss://external-api-ws.kalshi.com"


DEMO = KalshiHosts("https://external-api.demo.kalshi.co/trade-api/v2", "wss://external-api-ws.demo.kalshi.co")


class Kalshi:
    """`Venue`, market data. See `venues/base.py` for the contract of each method."""

    name = KALSHI
    capabilities = Capabilities(nets_outcomes=True, sequenced=True)

    def __init__(self, hosts: KalshiHosts, signer: KalshiSigner, network: Network, surroundings: Surroundings) -> None:
        self._hosts = hosts
        self._signer = signer
        self._network = network
        self._surroundings = surroundings
        self._rest = RestClient(self.name, hosts.rest_url, network, surroundings.random)
        self._counts = {"frames": 0, "unknown_events": 0, "malformed_frames": 0, "gaps": 0, "connections": 0}
        self._malformed_log = OnceAMinute(surroundings)
        self._log = structlog.get_logger(venue=self.name)
        self._alive_at = 0.0

    def statistics(self) -> dict[str, int]:
        return dict(self._counts)

    # -- catalogue --

    async def catalogue(self) -> list[Market]:
        series = {each.ticker: each for each in (await self._rest.get("/series", SeriesList)).series or ()}
        found: list[Market] = []
        cursor = ""
        while True:
            params = [("status", "open"), ("with_nested_markets", "true"), ("limit", str(EVENTS_PAGE))]
            page = await self._rest.get("/events", EventsPage, params + ([("cursor", cursor)] if cursor else []))
            for event in page.events or ():
                found += self._markets_of(event, await self._series(event, series))
            if not page.cursor:
                return found
            if page.cursor == cursor:
                raise VenueRejected(self.name, "the catalogue's cursor does not move on")
            cursor = page.cursor

    def _markets_of(self, event: KalshiEvent, series: KalshiSeries | None) -> list[Market]:
        return [market for raw in event.markets or () if (market := to_market(raw, event, series)) is not None]

    async def _series(self, event: KalshiEvent, known: dict[str, KalshiSeries]) -> KalshiSeries | None:
        """The listing is not exhaustive: a series that it left out is read by itself, once."""
        ticker = event.series_ticker
        if ticker and ticker not in known:
            try:
                known[ticker] = (await self._rest.get(f"/series/{ticker}", SeriesAnswer)).series
            except VenueRejected:
                known[ticker] = KalshiSeries(ticker)
        return known.get(ticker)

    # -- books --

    async def stream_books(self, markets: Sequence[Market], emit: Emit) -> NoReturn:
        tickers: dict[str, Market] = {market.key.market: market for market in markets}
        headers = self._signer.headers("GET", SOCKET_PATH, self._surroundings.unix_ms())
        decoder = FrameDecoder(tickers)
        life = ProofOfLife(self.name)

        def on_alive() -> None:
            self._alive_at = self._surroundings.monotonic()
            emit(life)

        async with connected(self.name, self._network, self._hosts.ws_url + SOCKET_PATH, headers) as socket:
            self._counts["connections"] += 1
            self._alive_at = self._surroundings.monotonic()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._subscribe, socket, list(tickers))
                    nursery.start_soon(self._keep_alive, socket)
                    await socket.listen(lambda frame: self._on_message(frame, decoder, emit, on_alive), on_alive)
            except* VenueUnavailable as group:
                raise VenueUnavailable(self.name, _problem(group)) from None
        raise VenueUnavailable(self.name, "the stream ended")

    async def _subscribe(self, socket: WebSocket, tickers: list[str]) -> None:
        """In portions; later ones merge into the first one's subscription."""
        for number, start in enumerate(range(0, len(tickers), TICKERS_PER_COMMAND), 1):
            params = {
                "channels": ["orderbook_delta"],
                "market_tickers": tickers[start : start + TICKERS_PER_COMMAND],
                "use_yes_price": False,
            }
            await socket.send_text(msgspec.json.encode({"id": number, "cmd": "subscribe", "params": params}))

    async def _keep_alive(self, socket: WebSocket) -> None:
        """A quiet market sends nothing for minutes: only ping and pong prove life."""
        while True:
            await trio.sleep(PING_SECONDS)
            if self._surroundings.monotonic() - self._alive_at > DEAD_SECONDS:
                raise VenueUnavailable(self.name, f"no sign of life for {DEAD_SECONDS:g} s")
            await socket.ping()

    def _on_message(self, frame: bytes, decoder: FrameDecoder, emit: Emit, on_alive: Callable[[], None]) -> None:
        self._counts["frames"] += 1
        unknown = decoder.unknown_events
        try:
            events = decoder.decode(frame)
        except SequenceGap as gap:
            self._counts["gaps"] += 1
            emit(BooksInvalid(str(gap)))
            raise VenueUnavailable(self.name, str(gap)) from None
        except SubscriptionFailed as error:
            emit(BooksInvalid(str(error)))
            raise VenueUnavailable(self.name, str(error)) from None
        except MalformedFrame as error:
            self._note_malformed(frame, error)
            raise VenueUnavailable(self.name, "a malformed frame") from error
        self._counts["unknown_events"] += decoder.unknown_events - unknown
        on_alive()
        for event in events:
            emit(event)

    def _note_malformed(self, frame: bytes, error: MalformedFrame) -> None:
        self._counts["malformed_frames"] += 1
        if self._malformed_log.now():
            self._log.warning("malformed frame", problem=str(error)[:200], frame=frame[:200])


def _problem(group: BaseExceptionGroup[VenueUnavailable]) -> str:
    """Tasks that end together end for one reason: the first one's."""
    error = group.exceptions[0]
    return error.problem if isinstance(error, VenueUnavailable) else _problem(error)
