"""What a client sees of the markets, and which strategies it lets work on them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from arbiter.domain.ids import OutcomeKey
from arbiter.rpc import client_market_read as market_read
from arbiter.rpc import client_market_types as types
from arbiter.rpc import client_read as read
from arbiter.rpc.client_calls import Repeat, Subject
from arbiter.rpc.client_changes import following
from arbiter.rpc.client_pages import Pages
from arbiter.rpc.client_streams import BookChanges, OpportunityChanges, TradeChanges
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
        """Markets that have not ended whose titles hold every word, by title; at most `limit` (0: 50). See `list_markets`."""
        request = market_pb2.SearchMarketsRequest(words=words, limit=limit)
        reply = await self._unary("MarketService/SearchMarkets", request, market_pb2.SearchMarketsResponse, repeat=Repeat.READ)
        return [market_read.market(each) for each in reply.markets]

    def list_markets(
        self,
        words: str = "",
        *,
        venue: str = "",
        event: str = "",
        category: str = "",
        statuses: Iterable[str] = (),
        closes_after_ms: int = 0,
        closes_before_ms: int = 0,
        page_size: int = 0,
    ) -> AsyncIterator[types.MarketInfo]:
        """All markets for which everything given holds, by title; fetched a page at a time. Without `statuses`: what has not ended."""
        chosen = tuple(statuses)

        async def fetch(token: str) -> tuple[Iterable[types.MarketInfo], str]:
            request = market_pb2.SearchMarketsRequest(
                words=words,
                limit=page_size,
                venue=venue,
                event_id=event,
                category=category,
                statuses=chosen,
                closes_after_unix_ms=closes_after_ms,
                closes_before_unix_ms=closes_before_ms,
                page_token=token,
            )
            reply = await self._unary("MarketService/SearchMarkets", request, market_pb2.SearchMarketsResponse, repeat=Repeat.READ)
            return [market_read.market(each) for each in reply.markets], reply.next_page_token

        return Pages(fetch)

    async def get_market(self, venue: str, market_id: str) -> types.MarketInfo:
        """One market. Raises NotFoundError."""
        request = market_pb2.GetMarketRequest(venue=venue, market_id=market_id)
        return market_read.market(await self._unary("MarketService/GetMarket", request, market_pb2.Market, repeat=Repeat.READ))

    def list_events(self, words: str = "", *, venue: str = "", category: str = "", page_size: int = 0) -> AsyncIterator[types.EventInfo]:
        """What groups the markets, by title, where everything given holds; fetched a page at a time."""

        async def fetch(token: str) -> tuple[Iterable[types.EventInfo], str]:
            request = market_pb2.ListEventsRequest(venue=venue, words=words, category=category, page_size=page_size, page_token=token)
            reply = await self._unary("MarketService/ListEvents", request, market_pb2.ListEventsResponse, repeat=Repeat.READ)
            return [market_read.event(each) for each in reply.events], reply.next_page_token

        return Pages(fetch)

    async def get_event(self, venue: str, event_id: str) -> types.EventInfo:
        """One event with its markets. Raises NotFoundError."""
        request = market_pb2.GetEventRequest(venue=venue, event_id=event_id)
        return market_read.event(await self._unary("MarketService/GetEvent", request, market_pb2.Event, repeat=Repeat.READ))

    async def list_feeds(self) -> list[types.FeedInfo]:
        """How the market data of each venue is. The connectors' counters are for operators."""
        request = market_pb2.ListFeedsRequest()
        reply = await self._unary("MarketService/ListFeeds", request, market_pb2.ListFeedsResponse, repeat=Repeat.READ)
        return [market_read.feed(each) for each in reply.feeds]

    async def get_book(self, outcome: OutcomeKey) -> types.BookInfo:
        """An outcome's book as it is now. NotFoundError where none has been seen yet."""
        request = market_pb2.GetBookRequest(outcome=read.outcome_ref(outcome))
        return market_read.book(await self._unary("MarketService/GetBook", request, market_pb2.Book, repeat=Repeat.READ))

    def list_pairs(self, *, page_size: int = 0) -> AsyncIterator[types.PairInfo]:
        """The pairs that are scanned for arbitrage, by id; fetched a page at a time."""

        async def fetch(token: str) -> tuple[Iterable[types.PairInfo], str]:
            request = market_pb2.ListPairsRequest(page_size=page_size, page_token=token)
            reply = await self._unary("MarketService/ListPairs", request, market_pb2.ListPairsResponse, repeat=Repeat.READ)
            return [market_read.pair(each) for each in reply.pairs], reply.next_page_token

        return Pages(fetch)

    @asynccontextmanager
    async def stream_book(self, outcomes: Iterable[OutcomeKey]) -> AsyncIterator[BookChanges]:
        """The books of up to 50 outcomes first, then each as it changes, whole; the stream ends with the block. See `Changes`."""
        async with following(BookChanges(self._calls, tuple(outcomes))) as changes:
            yield changes

    @asynccontextmanager
    async def stream_trades(self, outcomes: Iterable[OutcomeKey]) -> AsyncIterator[TradeChanges]:
        """The newest public trade of up to 50 outcomes first, then each as it happens; the stream ends with the block. See `Changes`."""
        async with following(TradeChanges(self._calls, tuple(outcomes))) as changes:
            yield changes
