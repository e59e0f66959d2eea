"""Polymarket's market data: `Venue`, put together from its parts.

The map: `catalogue` and `metadata` read Gamma; `lines` holds the market sockets, each a `line`, whose frames `wire` decodes
and `frames` writes into the books; `repairs` has wrong books come anew, `proofs` compares quiet ones with REST,
`hash_alarms` settles wrong hashes; `data_api` reads trades, wallets and resolutions.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import NoReturn

import trio

from arbiter.domain.book import PublicTrade
from arbiter.domain.ids import POLYMARKET, MarketId, OutcomeId
from arbiter.domain.market import Market, Resolution
from arbiter.domain.money import ONE
from arbiter.venues.base import Capabilities, CataloguePage, FollowList, Listener, Network, Selection, Surroundings
from arbiter.venues.limiter import Limiter
from arbiter.venues.polymarket.catalogue import Catalogue, read_one
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.data_api import DataApi
from arbiter.venues.polymarket.data_rows import WalletTrade
from arbiter.venues.polymarket.hash_alarms import HashAlarms
from arbiter.venues.polymarket.hosts import PolymarketHosts, PolymarketPace
from arbiter.venues.polymarket.limits import CLOB, DATA, GAMMA
from arbiter.venues.polymarket.line import Shared
from arbiter.venues.polymarket.lines import Lines
from arbiter.venues.polymarket.proofs import Proofs
from arbiter.venues.polymarket.resolution import Resolutions
from arbiter.venues.rest import RestClient

__all__ = ["Polymarket", "PolymarketHosts", "PolymarketPace"]


class Polymarket:
    """See `venues/base.py` for the contract of each method."""

    name = POLYMARKET
    capabilities = Capabilities(
        nets_outcomes=False,
        sequenced=False,
        line_proves_books=False,
        mirrored_books=True,
        announces_resolution=False,
        trade_ids=False,
    )

    def __init__(
        self,
        hosts: PolymarketHosts,
        network: Network,
        surroundings: Surroundings,
        pace: PolymarketPace = PolymarketPace(),  # noqa: B008 frozen
    ) -> None:
        self._hosts = hosts
        self._network = network
        self._surroundings = surroundings
        self._pace = pace
        self._counters = Counters(self.name, surroundings)
        tables = {hosts.gamma_url: GAMMA, hosts.data: DATA, hosts.clob_url: CLOB}
        self._limiters = {url: Limiter(self.name, table, surroundings) for url, table in tables.items()}
        self._open: dict[str, RestClient] = {}
        """The stream's clients by their hosts, for as long as there is one: who asks meanwhile need not connect anew."""

    def statistics(self) -> dict[str, int]:
        return self._counters.statistics()

    def rest(self, base_url: str) -> RestClient:
        """A client of one of the venue's hosts; use it as a context."""
        limiter = self._limiters[base_url]
        return RestClient(self.name, base_url, self._network, self._surroundings, limiter=limiter, tally=self._counters)

    @asynccontextmanager
    async def _asking(self, base_url: str) -> AsyncIterator[RestClient]:
        """The stream's client, or one for the block."""
        if base_url in self._open:
            yield self._open[base_url]
        else:
            async with self.rest(base_url) as client:
                yield client

    @asynccontextmanager
    async def _kept_open(self) -> AsyncIterator[None]:
        """Clients of all hosts, for who asks within the block."""
        async with AsyncExitStack() as stack:
            try:
                for url in self._limiters:
                    self._open[url] = await stack.enter_async_context(self.rest(url))
                yield
            finally:
                self._open.clear()

    # -- what is listed --

    async def catalogue(self, selection: Selection) -> AsyncGenerator[CataloguePage]:
        async with self.rest(self._hosts.gamma_url) as gamma, aclosing(Catalogue(gamma, self._counters, selection).pages()) as pages:
            async for page in pages:
                yield page

    async def market(self, market: MarketId) -> Market:
        async with self._asking(self._hosts.gamma_url) as gamma:
            return await read_one(gamma, market)

    # -- what happened --

    async def public_trades(self, market: Market, since_ms: int, limit: int) -> tuple[PublicTrade, ...]:
        """The takers' side of each trade; the Data API's times are whole seconds."""
        found: list[PublicTrade] = []
        cursor = ""
        async with self._asking(self._hosts.data) as rest:
            data = DataApi(rest)
            while len(found) < limit:
                page = await data.trades(markets=[market.key.market], taker_only=True, start=since_ms // 1000, limit=limit, cursor=cursor)
                found += [trade for row in page.rows if (trade := _public_trade(market, row, since_ms)) is not None]
                if not page.cursor or page.cursor == cursor:
                    break
                cursor = page.cursor
        return tuple(sorted(found, key=lambda trade: -trade.venue_ms)[:limit])

    async def resolution(self, market: Market) -> Resolution | None:
        async with self._resolutions() as resolutions:
            return await resolutions.of(market)

    @asynccontextmanager
    async def _resolutions(self) -> AsyncIterator[Resolutions]:
        async with self._asking(self._hosts.data) as data, self._asking(self._hosts.clob_url) as clob:
            yield Resolutions(DataApi(data), clob, self.market)

    # -- the stream --

    async def stream(self, follow: FollowList, listener: Listener) -> NoReturn:
        pace, counters = self._pace, self._counters
        alarms = HashAlarms(counters, pace.compared_at_once)
        async with self._kept_open(), trio.open_nursery() as nursery:
            clob = self._open[self._hosts.clob_url]
            shared = Shared(self._hosts.ws_url, self._network, self._surroundings, pace, counters, listener, alarms.on_wrong_hash)
            lines = Lines(shared, nursery)
            proofs = Proofs(clob, listener, self._surroundings, pace, counters, lines.tokens)
            nursery.start_soon(proofs.run)
            nursery.start_soon(alarms.run, proofs.books)
            await lines.keep(follow)
        raise AssertionError("a stream without an end ended")


def _public_trade(market: Market, row: WalletTrade, since_ms: int) -> PublicTrade | None:
    """None for what is of another market, older, or odd: it moves nothing."""
    ours = row.outcome in (market.yes.id, market.no.id)
    if not ours or row.side is None or row.seconds * 1000 < since_ms // 1000 * 1000 or not 0 <= row.price <= ONE or row.size < 0:
        return None
    return PublicTrade(market.outcome_key(OutcomeId(row.outcome)), row.price, row.size, row.side, row.seconds * 1000)
