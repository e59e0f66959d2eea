"""MarketService: what the venues list, and their books."""

from arbiter.actors.market_feed import GetMarket, SearchMarkets
from arbiter.errors import InvalidInput, NotFound
from arbiter.rpc import codec
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.request import Request
from arbiter.v1 import market_pb2
from arbiter.v1.market_grpc import MarketServiceServicer

LONGEST_WORDS = 200
DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200


class MarketService(MarketServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/market.proto`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def SearchMarkets(self, message: market_pb2.SearchMarketsRequest, request: Request) -> market_pb2.SearchMarketsResponse:
        if len(message.words) > LONGEST_WORDS:
            raise InvalidInput("words", f"at most {LONGEST_WORDS} characters are allowed")
        if not 0 <= message.limit <= LARGEST_LIMIT:
            raise InvalidInput("limit", f"must be from 0 to {LARGEST_LIMIT}")
        wanted = SearchMarkets(message.words, message.limit or DEFAULT_LIMIT)
        found = [market for feed in self._core.feeds.values() for market in await feed.ask(wanted, timeout=ASK_SECONDS)]
        found.sort(key=lambda market: (market.title, market.key))
        return market_pb2.SearchMarketsResponse(markets=[codec.market_out(market) for market in found])

    async def GetMarket(self, message: market_pb2.GetMarketRequest, request: Request) -> market_pb2.Market:
        key = codec.market_key_in(message.venue, message.market_id)
        if key.venue not in self._core.feeds:
            raise NotFound(f"no venue {key.venue[:40]!r}; there are: {', '.join(self._core.feeds)}")
        return codec.market_out(await self._core.feeds[key.venue].ask(GetMarket(key), timeout=ASK_SECONDS))

    async def GetBook(self, message: market_pb2.GetBookRequest, request: Request) -> market_pb2.Book:
        book = self._core.data.books.get(codec.outcome_in("outcome", message.outcome))
        if book is None:
            raise NotFound("no book of that outcome has been seen")
        now = self._core.environment.monotonic()
        return codec.book_out(book, fresh=self._core.data.fresh(book, now), age_ms=max(0, round((now - book.changed_at) * 1000)))
