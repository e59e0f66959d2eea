"""Polymarket's market data over its real protocols: pages of Gamma, and market sockets sharded by token."""

from collections.abc import Sequence
from typing import NoReturn

import trio

from arbiter.domain.ids import POLYMARKET, OutcomeKey
from arbiter.domain.market import Market, MarketStatus
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Capabilities, Emit, Network, Surroundings
from arbiter.venues.limiter import Limiter
from arbiter.venues.one_error import one_error
from arbiter.venues.polymarket.connection import Connection, Shared
from arbiter.venues.polymarket.hosts import PolymarketHosts, PolymarketPace
from arbiter.venues.polymarket.limits import CLOB, GAMMA
from arbiter.venues.polymarket.metadata import MarketsPage, read_market
from arbiter.venues.reconnecting import shards
from arbiter.venues.rest import RestClient
from arbiter.venues.tally import Tally

__all__ = ["Polymarket", "PolymarketHosts", "PolymarketPace"]

PAGE = 100
"""The most that `/markets/keyset` gives at once (A1)."""
_ENDED = (MarketStatus.CLOSED, MarketStatus.RESOLVED)


class Polymarket:
    """`Venue`, market data. See `venues/base.py` for the contract of each method."""

    name = POLYMARKET
    capabilities = Capabilities(nets_outcomes=False, sequenced=False)

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
        self._tally = Tally(self.name, surroundings)
        self._gamma_limits = Limiter(self.name, GAMMA, surroundings)
        self._clob_limits = Limiter(self.name, CLOB, surroundings)

    def statistics(self) -> dict[str, int]:
        return self._tally.statistics()

    def _client(self, base_url: str, limiter: Limiter) -> RestClient:
        return RestClient(self.name, base_url, self._network, self._surroundings, limiter=limiter, tally=self._tally)

    async def catalogue(self) -> list[Market]:
        found: dict[str, Market] = {}
        cursors: set[str] = set()
        cursor = ""
        async with self._client(self._hosts.gamma_url, self._gamma_limits) as gamma:
            while True:
                params = [("limit", str(PAGE)), ("closed", "false"), *([("after_cursor", cursor)] if cursor else [])]
                page = await gamma.get("/markets/keyset", MarketsPage, params)
                found.update((market.key.market, market) for market in self._readable(page))
                cursor = page.next_cursor or ""
                if not cursor:
                    return list(found.values())
                if cursor in cursors:
                    raise VenueRejected(self.name, "the catalogue's cursor does not move on")
                cursors.add(cursor)

    def _readable(self, page: MarketsPage) -> list[Market]:
        markets = []
        for raw in page.markets or ():
            try:
                market = read_market(raw)
            except ValueError:
                self._tally.unreadable_markets += 1
                continue
            if market is not None:
                markets.append(market)
        return markets

    async def stream_books(self, markets: Sequence[Market], emit: Emit) -> NoReturn:
        followed = [market for market in markets if market.status not in _ENDED]
        lines = shards([(market.yes_key, market.no_key) for market in followed], self._pace.tokens_per_socket)
        async with self._client(self._hosts.clob_url, self._clob_limits) as clob:
            shared = Shared(self._hosts.ws_url, self._network, self._surroundings, self._pace, self._tally, clob, emit)
            with one_error():
                async with trio.open_nursery() as nursery:
                    for line, keys in enumerate(lines):
                        shard: dict[str, OutcomeKey] = {key.outcome: key for key in keys}
                        nursery.start_soon(Connection(shared, line, shard).run)
        raise VenueUnavailable(self.name, "there is nothing to follow")
