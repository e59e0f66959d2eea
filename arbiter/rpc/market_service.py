"""MarketService: what the venues list, and their books."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import trio
from google.protobuf.message import Message

from arbiter.actors.arb_scanner import GetPairs
from arbiter.actors.market_feed import GetEvent, GetFeed, GetMarket, ListEvents, SearchMarkets
from arbiter.actors.market_feed import Messages as FeedMessages
from arbiter.actors.market_search import Place, place_of_event, place_of_market
from arbiter.domain.account import Role
from arbiter.domain.book import PublicTrade
from arbiter.domain.ids import EventId, OutcomeKey, VenueId
from arbiter.errors import ArbiterError, InvalidInput, NotFound
from arbiter.rpc import codec, market_codec
from arbiter.rpc.book_feed import BookFeed, BookSource
from arbiter.rpc.change import Change
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.feed import Source
from arbiter.rpc.follow import Follow
from arbiter.rpc.gate import Gate
from arbiter.rpc.request import Request
from arbiter.rpc.trade_feed import TradeFeed
from arbiter.runtime import Ref
from arbiter.v1 import market_pb2
from arbiter.v1.market_grpc import MarketServiceServicer

MOST_OUTCOMES = 50
"""So many outcomes one stream of books or trades may follow."""
MADE_AT_ONCE = 20
"""Entries of a page that are encoded before others have their turn."""
FEED_SECONDS = 2.0
"""How long a feed has to say how it is."""
LARGEST_PAGE_BYTES = 3 * 1024 * 1024
"""Under the 4 MiB that clients take of one message."""

M = TypeVar("M", bound=Message)


class MarketService(MarketServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/market.proto`."""

    def __init__(self, core: Core, gate: Gate) -> None:
        self._core = core
        self._gate = gate
        self._books = BookSource(core.data, core.environment, core.run)
        self._trades = Source(core.data.trades, self._encode_trade, run=core.run, by_key=True)
        self._listed: set[VenueId] = set()

    async def SearchMarkets(self, message: market_pb2.SearchMarketsRequest, request: Request) -> market_pb2.SearchMarketsResponse:
        size, wanted, after = market_codec.limit_in(message.limit), market_codec.market_filter_in(message), _after(message)
        asked = SearchMarkets(wanted, size + 1, after)
        found = [market for feed in self._feeds_of(message.venue) for market in await feed.ask(asked, timeout=ASK_SECONDS)]
        found.sort(key=place_of_market)
        tickers = self._core.data.tickers
        page = await fitting((market_codec.market_out(market, tickers.get(market.key)) for market in found), size)
        token = market_codec.place_out(place_of_market(found[len(page) - 1])) if len(page) < len(found) else ""
        return market_pb2.SearchMarketsResponse(markets=page, next_page_token=token)

    async def GetMarket(self, message: market_pb2.GetMarketRequest, request: Request) -> market_pb2.Market:
        key = codec.market_key_in(message.venue, message.market_id)
        self._require_venue(key.venue)
        market = await self._core.feeds[key.venue].ask(GetMarket(key), timeout=ASK_SECONDS)
        return market_codec.whole_market_out(market, self._core.data)

    async def ListEvents(self, message: market_pb2.ListEventsRequest, request: Request) -> market_pb2.ListEventsResponse:
        size, wanted, after = codec.page_size_in(message.page_size), market_codec.event_filter_in(message), _after(message)
        asked = ListEvents(wanted, size + 1, after)
        found = [event for feed in self._feeds_of(message.venue) for event in await feed.ask(asked, timeout=ASK_SECONDS)]
        found.sort(key=place_of_event)
        page = await fitting((market_codec.event_out(event, self._core.data) for event in found), size)
        token = market_codec.place_out(place_of_event(found[len(page) - 1])) if len(page) < len(found) else ""
        return market_pb2.ListEventsResponse(events=page, next_page_token=token)

    async def GetEvent(self, message: market_pb2.GetEventRequest, request: Request) -> market_pb2.Event:
        venue = VenueId(codec.text_in("venue", message.venue))
        name = EventId(codec.text_in("event_id", message.event_id))
        self._require_venue(venue)
        return market_codec.event_out(await self._core.feeds[venue].ask(GetEvent(name), timeout=ASK_SECONDS), self._core.data)

    async def ListFeeds(self, message: market_pb2.ListFeedsRequest, request: Request) -> market_pb2.ListFeedsResponse:
        """One that does not answer is told as down: that is what one wants to know."""
        feeds = []
        for venue, feed in self._core.feeds.items():
            try:
                report = await feed.ask(GetFeed(), timeout=FEED_SECONDS)
            except ArbiterError as error:
                feeds.append(market_pb2.Feed(venue=venue, problem=str(error)))
            else:
                feeds.append(market_codec.feed_out(report, counters=request.caller.role is Role.OPERATOR))
        return market_pb2.ListFeedsResponse(feeds=feeds)

    async def GetBook(self, message: market_pb2.GetBookRequest, request: Request) -> market_pb2.Book:
        data = self._core.data
        book = data.books.get(codec.outcome_in("outcome", message.outcome))
        if book is None:
            raise NotFound("no book of that outcome has been seen")
        now = self._core.environment.monotonic()
        body = market_codec.book_out(book, fresh=data.fresh(book, now), age_ms=max(0, round((now - book.changed_at) * 1000)))
        trade = data.trades.get(book.outcome)
        if trade is not None:
            body.last_trade.CopyFrom(market_codec.trade_out(trade))
        return body

    async def StreamBook(self, message: market_pb2.StreamBookRequest, request: Request) -> AsyncIterator[Follow]:
        outcomes = _outcomes_in(message)
        self._require_listed(outcomes)
        question = f"books {sorted(outcomes)!r}"
        feed = BookFeed(self._books, outcomes)
        with self._gate.stream(request), feed.opened(question, codec.resume_after_in(message)):
            yield Follow(feed)

    async def StreamTrades(self, message: market_pb2.StreamTradesRequest, request: Request) -> AsyncIterator[Follow]:
        outcomes = _outcomes_in(message)
        self._require_listed(outcomes)
        feed = TradeFeed(self._trades, self._core.environment.unix_ms, outcomes)
        with self._gate.stream(request), feed.opened(f"trades {sorted(outcomes)!r}", codec.resume_after_in(message)):
            yield Follow(feed)

    def _encode_trade(self, change: Change[OutcomeKey, PublicTrade]) -> bytes:
        trade = market_codec.trade_out(change.event)
        return market_pb2.TradeUpdate(trades=[trade], at_unix_ms=self._core.environment.unix_ms()).SerializeToString()

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

    def _feeds_of(self, venue: str) -> list[Ref[FeedMessages]]:
        """Those that are asked: of this venue, or of all. Raises NotFound."""
        if not venue:
            return list(self._core.feeds.values())
        self._require_venue(VenueId(venue))
        return [self._core.feeds[VenueId(venue)]]

    def _require_venue(self, venue: VenueId) -> None:
        if venue not in self._core.feeds:
            raise NotFound(f"no venue {venue[:40]!r}; there are: {', '.join(self._core.feeds)}")

    async def ListPairs(self, message: market_pb2.ListPairsRequest, request: Request) -> market_pb2.ListPairsResponse:
        size = codec.page_size_in(message.page_size)
        found = await self._core.scanner.ask(GetPairs(size, codec.page_after_in(message.page_token)), timeout=ASK_SECONDS)
        return market_pb2.ListPairsResponse(
            pairs=[codec.pair_out(pair, self._core.data) for pair in found], next_page_token=found[-1].id if len(found) == size else ""
        )


async def fitting(bodies: Iterable[M], most: int) -> list[M]:
    """As many of the first ones as a page may hold: `most`, and one at least, but no more bytes than a client takes.

    Lets others have their turn on the way: the rules of a market are long.
    """
    page: list[M] = []
    size = 0
    for body in bodies:
        size += body.ByteSize()
        if len(page) == most or (page and size > LARGEST_PAGE_BYTES):
            break
        page.append(body)
        if len(page) % MADE_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
    return page


def _after(message: market_pb2.SearchMarketsRequest | market_pb2.ListEventsRequest) -> Place | None:
    return market_codec.place_in(message.page_token)


def _outcomes_in(message: market_pb2.StreamBookRequest | market_pb2.StreamTradesRequest) -> tuple[OutcomeKey, ...]:
    if not 1 <= len(message.outcomes) <= MOST_OUTCOMES:
        raise InvalidInput("outcomes", f"must be 1 to {MOST_OUTCOMES}, not {len(message.outcomes)}")
    outcomes = tuple(codec.outcome_in(f"outcomes[{number}]", each) for number, each in enumerate(message.outcomes))
    if len(set(outcomes)) < len(outcomes):
        raise InvalidInput("outcomes", "names an outcome twice")
    return outcomes
