"""What a client sees of the markets, and which strategies it lets work on them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from arbiter.domain.ids import OutcomeKey
from arbiter.rpc import client_read as read
from arbiter.rpc import client_types as types
from arbiter.rpc.client_calls import Repeat, Subject
from arbiter.rpc.client_changes import following
from arbiter.rpc.client_pages import Pages
from arbiter.rpc.client_streams import BookChanges, OpportunityChanges
from arbiter.v1 import market_pb2, strategy_pb2

ARBITRAGE = "arbitrage"


class Strategies(Subject):
    """StrategyService."""

    async def list_strategies(self) -> dict[str, bool]:
        """Every strategy by name, and whether the caller has it switched on."""
        request = strategy_pb2.ListRequest()
        reply = await self._unary("StrategyService/ListStrategies", request, strategy_pb2.StrategiesResponse, repeat=Repeat.READ)
        return read.strategies(reply.strategies)

    async def enable_strategy(self, name: str) -> bool:
        """Switch a strategy on for the caller; answers with what is in force. NotPermittedError where the tier does not have it.

        RefusedError while trading is stopped.
        """
        request = strategy_pb2.StrategyRequest(name=name)
        reply = await self._unary("StrategyService/EnableStrategy", request, strategy_pb2.StrategyResponse)
        return bool(reply.strategy.enabled)

    async def disable_strategy(self, name: str) -> bool:
        """Switch it off; answers with what is in force. Works in every tier and while trading is stopped."""
        request = strategy_pb2.StrategyRequest(name=name)
        reply = await self._unary("StrategyService/DisableStrategy", request, strategy_pb2.StrategyResponse, repeat=Repeat.SAFE)
        return bool(reply.strategy.enabled)

    async def set_arb_enabled(self, enabled: bool) -> bool:
        """Switch arbitrage on or off for the caller; answers with what is in force."""
        return await (self.enable_strategy if enabled else self.disable_strategy)(ARBITRAGE)

    @asynccontextmanager
    async def stream_opportunities(self, *, min_net_per_contract: int = 0) -> AsyncIterator[OpportunityChanges]:
        """What is open first, then each opening, change and end, over lost connections too; the stream ends with the block.

        `min_net_per_contract`: the least net profit to be told of (micros); 0: as the caller's settings say. See `OpportunityChanges`.
        """
        async with following(OpportunityChanges(self._calls, min_net_per_contract)) as changes:
            yield changes


class Markets(Subject):
    """MarketService."""

    async def search_markets(self, words: str = "", limit: int = 0) -> list[types.MarketInfo]:
        """Markets whose titles hold every word; at most `limit` a venue (0: 50)."""
        request = market_pb2.SearchMarketsRequest(words=words, limit=limit)
        reply = await self._unary("MarketService/SearchMarkets", request, market_pb2.SearchMarketsResponse, repeat=Repeat.READ)
        return [read.market(each) for each in reply.markets]

    async def get_market(self, venue: str, market_id: str) -> types.MarketInfo:
        """One market. Raises NotFoundError."""
        request = market_pb2.GetMarketRequest(venue=venue, market_id=market_id)
        return read.market(await self._unary("MarketService/GetMarket", request, market_pb2.Market, repeat=Repeat.READ))

    async def get_book(self, outcome: OutcomeKey) -> types.BookInfo:
        """An outcome's book as it is now. NotFoundError where none has been seen yet."""
        request = market_pb2.GetBookRequest(outcome=read.outcome_ref(outcome))
        return read.book(await self._unary("MarketService/GetBook", request, market_pb2.Book, repeat=Repeat.READ))

    def list_pairs(self, *, page_size: int = 0) -> AsyncIterator[types.PairInfo]:
        """The pairs that are scanned for arbitrage, by id; fetched a page at a time."""

        async def fetch(token: str) -> tuple[Iterable[types.PairInfo], str]:
            request = market_pb2.ListPairsRequest(page_size=page_size, page_token=token)
            reply = await self._unary("MarketService/ListPairs", request, market_pb2.ListPairsResponse, repeat=Repeat.READ)
            return [read.pair(each) for each in reply.pairs], reply.next_page_token

        return Pages(fetch)

    @asynccontextmanager
    async def stream_book(self, outcomes: Iterable[OutcomeKey]) -> AsyncIterator[BookChanges]:
        """The books of up to 50 outcomes first, then each as it changes, whole; the stream ends with the block. See `Changes`."""
        async with following(BookChanges(self._calls, tuple(outcomes))) as changes:
            yield changes
