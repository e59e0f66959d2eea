"""Kalshi's market data over its real protocols: REST for the catalogue, one signed WebSocket for all that changes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import NoReturn

import trio

from arbiter.domain.book import PublicTrade
from arbiter.domain.ids import KALSHI, MarketId, MarketKey
from arbiter.domain.market import Market, MarketStatus, Resolution
from arbiter.domain.market_events import Disconnected, FeesChanged, StatusChanged
from arbiter.domain.money import Micros
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Capabilities, CataloguePage, Followed, FollowList, Listener, Network, Selection, Surroundings
from arbiter.venues.kalshi import wire
from arbiter.venues.kalshi.catalogue import Catalogue
from arbiter.venues.kalshi.connection import LARGEST_MESSAGE, LINE, SOCKET_PATH, Connection
from arbiter.venues.kalshi.exchange import read_status
from arbiter.venues.kalshi.fee_rules import FeeRules
from arbiter.venues.kalshi.hosts import DEMO, KalshiHosts, KalshiPace
from arbiter.venues.kalshi.limits import BASIC
from arbiter.venues.kalshi.probes import Probes
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.limiter import Limiter
from arbiter.venues.reconnecting import keep_connected
from arbiter.venues.rest import RestClient
from arbiter.venues.tally import Tally
from arbiter.venues.websocket import connected

__all__ = ["BROKER_UNIT", "DEMO", "DIRECT_UNIT", "Kalshi", "KalshiHosts", "KalshiPace", "KalshiSigner"]

BROKER_UNIT, DIRECT_UNIT = Micros(10_000), Micros(100)
"""What a balance is rounded to: of an account behind a broker, the safe assumption, and of a direct member (B9)."""
LONGEST_WAIT_MS = 3_600_000


class Kalshi:
    """`Venue`, market data. See `venues/base.py` for the contract of each method."""

    name = KALSHI
    capabilities = Capabilities(
        nets_outcomes=True,
        sequenced=True,
        line_proves_books=True,
        mirrored_books=True,
        announces_resolution=True,
        trade_ids=True,
    )

    def __init__(
        self,
        hosts: KalshiHosts,
        signer: KalshiSigner,
        network: Network,
        surroundings: Surroundings,
        pace: KalshiPace = KalshiPace(),  # noqa: B008 frozen
        balance_unit: Micros = BROKER_UNIT,
    ) -> None:
        self._hosts = hosts
        self._signer = signer
        self._network = network
        self._surroundings = surroundings
        self._pace = pace
        self._tally = Tally(self.name, surroundings)
        self._limiter = Limiter(self.name, BASIC, surroundings)
        self._fees = FeeRules(balance_unit)
        self._probes = Probes()
        self._rest: RestClient | None = None
        """The stream's, for as long as there is one."""
        self._paused: set[MarketKey] = set()
        """Markets that are open but for their shard, which is halted."""

    def statistics(self) -> dict[str, int]:
        return self._tally.statistics()

    # -- REST --

    @asynccontextmanager
    async def _catalogue(self) -> AsyncIterator[Catalogue]:
        if self._rest is not None:
            yield self._reader(self._rest)
        else:
            async with self._client() as rest:
                yield self._reader(rest)

    def _client(self) -> RestClient:
        return RestClient(self.name, self._hosts.rest_url, self._network, self._surroundings, limiter=self._limiter, tally=self._tally)

    def _reader(self, rest: RestClient) -> Catalogue:
        return Catalogue(rest, self._fees, self._surroundings, self._tally)

    async def catalogue(self, selection: Selection) -> AsyncGenerator[CataloguePage]:
        async with self._client() as rest, aclosing(self._reader(rest).pages(selection)) as pages:
            async for page in pages:
                yield page

    async def market(self, market: MarketId) -> Market:
        async with self._catalogue() as catalogue:
            return await catalogue.market(market)

    async def public_trades(self, market: Market, since_ms: int, limit: int) -> tuple[PublicTrade, ...]:
        async with self._catalogue() as catalogue:
            return await catalogue.trades(market, since_ms, limit)

    async def resolution(self, market: Market) -> Resolution | None:
        async with self._catalogue() as catalogue:
            return await catalogue.resolution(market.key.market)

    # -- the stream --

    async def stream(self, follow: FollowList, listener: Listener) -> NoReturn:
        async with self._client() as rest, trio.open_nursery() as nursery:
            self._rest = rest
            try:
                nursery.start_soon(self._watch_status, follow, listener, rest)
                nursery.start_soon(self._watch_fees, follow, listener, rest)
                await self._keep_connected(follow, listener)
            finally:
                self._rest = None

    async def _keep_connected(self, follow: FollowList, listener: Listener) -> NoReturn:

        async def run() -> None:
            headers = self._signer.headers("GET", SOCKET_PATH, self._surroundings.unix_ms())
            url = self._hosts.ws_url + SOCKET_PATH
            async with connected(self.name, self._network, url, headers, tally=self._tally, largest=LARGEST_MESSAGE) as socket:
                self._tally.connections += 1

                def fees_changed(body: wire.FeeBody) -> None:
                    self._fees.learn_override(body.event_ticker, "", body.fee_type_override, body.fee_multiplier_override)
                    self._tell_fees(follow, listener, body.event_ticker)

                await Connection(socket, follow, listener, self._surroundings, self._pace, self._tally, fees_changed, self._probes).run()

        def lost(problem: str) -> None:
            listener.tell(Disconnected(KALSHI, LINE, problem))

        await keep_connected(run, lost, self._surroundings, venue=self.name)

    # -- what no frame tells --

    async def _watch_status(self, follow: FollowList, listener: Listener, rest: RestClient) -> NoReturn:
        """Pause the markets of a halted shard, and open them again with it."""
        while True:
            await trio.sleep(self._pace.status)
            try:
                status = await read_status(rest)
            except (VenueUnavailable, VenueRejected):
                continue
            for key, followed in follow.markets.items():
                self._apply_status(key, followed, listener, trades=status.trades_on(followed.market.shard))
            self._paused &= follow.markets.keys()

    def _apply_status(self, key: MarketKey, followed: Followed, listener: Listener, *, trades: bool) -> None:
        if not trades and followed.market.status is MarketStatus.OPEN:  # again, where a catalogue has opened it meanwhile
            self._paused.add(key)
            listener.tell(StatusChanged(key, MarketStatus.PAUSED))
        elif trades and key in self._paused:
            self._paused.discard(key)
            listener.tell(StatusChanged(key, MarketStatus.OPEN))

    async def _watch_fees(self, follow: FollowList, listener: Listener, rest: RestClient) -> NoReturn:
        """Announced changes and ended waivers change schedules at their time, without a frame."""
        read_at = float("-inf")
        while True:
            if self._surroundings.monotonic() - read_at >= self._pace.fee_changes:
                try:
                    await self._reader(rest).fee_changes()
                    read_at = self._surroundings.monotonic()
                except (VenueUnavailable, VenueRejected):
                    read_at = self._surroundings.monotonic() - self._pace.fee_changes + self._pace.status
            self._tell_fees(follow, listener)
            now = self._surroundings.unix_ms()
            due = min(self._fees.next_change(now) or now + LONGEST_WAIT_MS, now + LONGEST_WAIT_MS)
            await trio.sleep(max(0.001, min((due - now) / 1000, self._pace.fee_changes)))

    def _tell_fees(self, follow: FollowList, listener: Listener, event: str = "") -> None:
        """Of the markets of this event, or of all: where the rules know better than whoever listed the market."""
        now = self._surroundings.unix_ms()
        for key, followed in follow.markets.items():
            market = followed.market
            if event in ("", market.event) and self._fees.knows(market.event):
                fees = self._fees.of(key.market, market.event, now)
                if fees != market.fees:
                    listener.tell(FeesChanged(key, fees))
