"""MarketService: what the venues list, and their books."""

from collections.abc import AsyncIterator, Iterable

from arbiter.actors.arb_scanner import GetPairs
from arbiter.actors.market_feed import GetMarket, SearchMarkets
from arbiter.domain.ids import OutcomeKey, VenueId
from arbiter.errors import InvalidInput, NotFound
from arbiter.rpc import codec
from arbiter.rpc.book_feed import BookFeed, BookSource
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.follow import Follow
from arbiter.rpc.gate import Gate
from arbiter.rpc.request import Request
from arbiter.v1 import market_pb2
from arbiter.v1.market_grpc import MarketServiceServicer

LONGEST_WORDS = 200
DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
MOST_BOOKS = 50
"""So many outcomes one stream of books may follow."""


class MarketService(MarketServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/market.proto`."""

    def __init__(self, core: Core, gate: Gate) -> None:
        self._core = core
        self._gate = gate
        self._books = BookSource(core.data, core.environment, core.run)
        self._listed: set[VenueId] = set()

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
        self._require_venue(key.venue)
        return codec.market_out(await self._core.feeds[key.venue].ask(GetMarket(key), timeout=ASK_SECONDS))

    async def GetBook(self, message: market_pb2.GetBookRequest, request: Request) -> market_pb2.Book:
        book = self._core.data.books.get(codec.outcome_in("outcome", message.outcome))
        if book is None:
            raise NotFound("no book of that outcome has been seen")
        now = self._core.environment.monotonic()
        return codec.book_out(book, fresh=self._core.data.fresh(book, now), age_ms=max(0, round((now - book.changed_at) * 1000)))

    async def StreamBook(self, message: market_pb2.StreamBookRequest, request: Request) -> AsyncIterator[Follow]:
        outcomes = _outcomes_in(message)
        self._require_listed(outcomes)
        question = f"books {sorted(outcomes)!r}"
        feed = BookFeed(self._books, outcomes)
        with self._gate.stream(request), feed.opened(question, codec.resume_after_in(message)):
            yield Follow(feed)

    def _require_listed(self, outcomes: Iterable[OutcomeKey]) -> None:
        """Raises NotFound for what no market has. A venue that has listed nothing yet, after a start, may still list it."""
        for number, key in enumerate(outcomes):
            self._require_venue(key.venue)
            market = self._core.data.markets.get(key.market_key)
            if market is None and not self._has_listed(key.venue):
                continue
            if market is None or key.outcome not in (market.yes.id, market.no.id):
                raise NotFound(f"outcomes[{number}]: {key.venue} lists no such outcome")

    def _has_listed(self, venue: VenueId) -> bool:
        """Whether anything of this venue is known. Looked up among all markets once, as markets stay known."""
        if venue not in self._listed and any(market.key.venue == venue for market in self._core.data.markets.values()):
            self._listed.add(venue)
        return venue in self._listed

    def _require_venue(self, venue: VenueId) -> None:
        if venue not in self._core.feeds:
            raise NotFound(f"no venue {venue[:40]!r}; there are: {', '.join(self._core.feeds)}")

    async def ListPairs(self, message: market_pb2.ListPairsRequest, request: Request) -> market_pb2.ListPairsResponse:
        size = codec.page_size_in(message.page_size)
        found = await self._core.scanner.ask(GetPairs(size, codec.page_after_in(message.page_token)), timeout=ASK_SECONDS)
        return market_pb2.ListPairsResponse(
            pairs=[codec.pair_out(pair, self._core.data) for pair in found], next_page_token=found[-1].id if len(found) == size else ""
        )


def _outcomes_in(message: market_pb2.StreamBookRequest) -> tuple[OutcomeKey, ...]:
    if not 1 <= len(message.outcomes) <= MOST_BOOKS:
        raise InvalidInput("outcomes", f"must be 1 to {MOST_BOOKS}, not {len(message.outcomes)}")
    outcomes = tuple(codec.outcome_in(f"outcomes[{number}]", each) for number, each in enumerate(message.outcomes))
    if len(set(outcomes)) < len(outcomes):
        raise InvalidInput("outcomes", "names an outcome twice")
    return outcomes
