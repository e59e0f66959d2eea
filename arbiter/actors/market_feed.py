"""MarketFeed: one for each venue. Reads the catalogue, decides which books are followed, asks how ended markets came out.

The connector keeps the books current and reconnects by itself; what it tells goes to the `BookKeeper`. A venue that is away
is a state of its feed, not a crash: books are published as invalid, and the feed goes on for as long as it lives.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice
from typing import assert_never

import msgspec
import trio

from arbiter.actors.book_keeper import BookKeeper
from arbiter.actors.market_data import FRESH_SECONDS, BookUpdated, EventKey, FeedStatus, LineKey, MarketData
from arbiter.actors.seldom import Seldom
from arbiter.domain.ids import MarketId, MarketKey
from arbiter.domain.market import Market, MarketStatus
from arbiter.domain.market_events import MarketResolved
from arbiter.errors import NotFound, VenueRejected, VenueUnavailable
from arbiter.runtime import Actor, Environment, Request
from arbiter.venues.base import FollowList, Selection, Venue

__all__ = [
    "FRESH_SECONDS",
    "BookUpdated",
    "EventKey",
    "FeedStatus",
    "GetMarket",
    "LineKey",
    "MarketData",
    "MarketFeed",
    "Messages",
    "SearchMarkets",
]

CATALOGUE_SECONDS = 120.0
"""The whole of it must be read within this time."""
CATALOGUE_AGE_SECONDS = 300.0
"""It is read again when it is older than this."""
SETTLED_SECONDS = 10.0
"""What went well for this long ends the backoff."""
FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 30.0
SEARCH_LIMIT = 200
MARKETS_AT_ONCE = 200
"""Looked at without a pause: about a millisecond."""
LISTED_CAPACITY = 1_000
"""Markets that were announced and not read yet; what is beyond comes with the next catalogue."""
LISTED_AT_ONCE = 20
LISTED_SECONDS = 0.05
"""The pause after them, for each."""
RESOLUTION_SECONDS = 30.0
RESOLUTIONS_AT_ONCE = 20
"""Ended markets of which the outcome is asked each time."""
MOST_ENDED = 20_000
"""Ended markets that are remembered, for who still holds something of them."""
_ENDED = (MarketStatus.CLOSED, MarketStatus.RESOLVED)


class GetMarket(Request[Market], frozen=True, tag=True):
    """One market of this venue. NotFound."""

    key: MarketKey


class SearchMarkets(Request[tuple[Market, ...]], frozen=True, tag=True):
    """Markets whose title holds every word, at most `limit`, in title order; no words: all."""

    words: str
    limit: int = SEARCH_LIMIT


Messages = GetMarket | SearchMarkets


class MarketFeed(Actor[Messages]):
    """Drives one `Venue`: its catalogue, its stream, and the outcomes of its markets."""

    def __init__(self, venue: Venue, data: MarketData, environment: Environment, selection: Selection = Selection()) -> None:  # noqa: B008 frozen
        self._venue = venue
        self._data = data
        self._environment = environment
        self._selection = selection
        self._keeper = BookKeeper(venue, data, environment)
        self._keeper.on_listed = self._on_listed
        self._follow = FollowList()
        self._first_page = trio.Event()
        self._seldom = Seldom(environment.monotonic)
        self._listed: dict[MarketId, None] = {}
        """Announced markets that are to be read."""
        self._to_read = trio.Event()
        self._asked: dict[MarketKey, None] = {}
        """Markets past their end without a final outcome, the one asked longest ago first."""

    async def started(self) -> None:
        self._keeper.start_line()
        for task in (self._read_for_ever, self._stream_for_ever, self._read_listed, self._ask_outcomes):
            self.context.start_task(task)

    async def handle(self, message: Messages) -> object:
        match message:
            case GetMarket():
                return self.answer(message)
            case SearchMarkets(words, limit):
                return search(self._keeper.markets.values(), words, min(limit, SEARCH_LIMIT))
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        """A search is left to the mailbox: it may take long where the catalogue is large."""
        if not isinstance(request, GetMarket):
            return NotImplemented
        if request.key not in self._keeper.markets:
            raise NotFound(f"{request.key.venue} lists no market {request.key.market[:80]!r}")
        return self._keeper.markets[request.key]

    async def stopped(self) -> None:
        self._keeper.close()

    # -- the stream --

    async def _stream_for_ever(self) -> None:
        await self._first_page.wait()
        failures = 0
        while True:
            began = self._environment.monotonic()
            try:
                await self._venue.stream(self._follow, self._keeper)
            except (VenueUnavailable, VenueRejected) as error:
                self._lose(error)
            failures = 0 if self._environment.monotonic() - began >= SETTLED_SECONDS else failures + 1
            await trio.sleep(self._retry_delay(failures))

    def _lose(self, error: Exception) -> None:
        self._keeper.lose_all(str(error))
        self._warn("feed lost", error)

    def _warn(self, what: str, error: Exception) -> None:
        if times := self._seldom.due(what):
            self.context.log.warning(what, venue=self._venue.name, problem=str(error), times=times)

    def _retry_delay(self, failures: int) -> float:
        longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures, 20))
        return longest * (0.5 + self._environment.random.random() / 2)

    # -- the catalogue --

    async def _read_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                await self._read_catalogue()
            except (VenueUnavailable, VenueRejected) as error:
                failures += 1
                if self._first_page.is_set():
                    self._warn("catalogue not read", error)
                else:
                    self._lose(error)
                await trio.sleep(self._retry_delay(failures))
                continue
            failures = 0
            await trio.sleep(CATALOGUE_AGE_SECONDS)

    async def _read_catalogue(self) -> None:
        listed: set[MarketKey] = set()
        events: set[EventKey] = set()
        with trio.move_on_after(CATALOGUE_SECONDS) as scope:
            async with aclosing(self._venue.catalogue(self._selection)) as pages:
                async for page in pages:
                    for market in page.markets:
                        listed.add(market.key)
                        self._keeper.put_market(market)
                    for event in page.events:
                        events.add((event.venue, event.id))
                        self._keeper.put_event(event)
                    self._follow_new(page.markets)
                    self._first_page.set()
        if scope.cancelled_caught:
            raise VenueUnavailable(self._venue.name, f"the catalogue took longer than {CATALOGUE_SECONDS:g} s")
        await self._end_unlisted(listed)
        await self._choose()
        self._keeper.forget_events(events)
        self._first_page.set()

    async def _end_unlisted(self, listed: set[MarketKey]) -> None:
        """What an open catalogue leaves out is over; a later one that has it again says otherwise."""
        async for key, market in self._all():
            if key not in listed and market.status not in _ENDED:
                self._keeper.put_market(msgspec.structs.replace(market, status=MarketStatus.CLOSED))

    async def _all(self) -> AsyncIterator[tuple[MarketKey, Market]]:
        """Each market as it is by then; with pauses, since there may be tens of thousands."""
        for number, key in enumerate(tuple(self._keeper.markets)):
            if number % MARKETS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            market = self._keeper.markets.get(key)
            if market is not None:
                yield key, market

    def _follow_new(self, markets: Iterable[Market]) -> None:
        """Books come while the rest of the catalogue is still being read."""
        known = self._follow.markets
        self._follow.add(self._keeper.follow(each) for each in markets if each.status not in _ENDED and each.key not in known)

    async def _choose(self) -> None:
        """Follow what is not over, stop following what is, forget what was over long ago; ask how what is past its end came out."""
        at = datetime.fromtimestamp(self._environment.unix_ms() / 1000, UTC)
        ended: list[MarketKey] = []
        others: list[MarketKey] = []
        async for key, market in self._all():
            if not _is_settled(market) and (market.status in _ENDED or (market.closes_at is not None and market.closes_at < at)):
                self._asked.setdefault(key)
            if market.status in _ENDED:
                ended.append(key)
            followed = self._follow.markets.get(key)
            if (followed is not None) == (market.status in _ENDED) or (followed is not None and followed.market is not market):
                others.append(key)
        self._change_followed(others)
        for key in ended[:-MOST_ENDED]:
            self._keeper.forget_market(key)
            self._asked.pop(key, None)

    def _change_followed(self, keys: Iterable[MarketKey]) -> None:
        """Each as it is wanted now: it may have changed again meanwhile."""
        known = self._follow.markets
        markets = {key: market for key in keys if (market := self._keeper.markets.get(key)) is not None}
        dropped = [key for key, market in markets.items() if market.status in _ENDED and key in known]
        for key in dropped:
            self._keeper.unfollow(known[key].market)
        self._follow.add([self._keeper.follow(each) for each in markets.values() if each.status not in _ENDED], dropped)

    # -- announced markets --

    def _on_listed(self, market: MarketId) -> None:
        if len(self._listed) < LISTED_CAPACITY:
            self._listed[market] = None
            self._to_read.set()

    async def _read_listed(self) -> None:
        """Some at a time, with a pause: a venue that announces without end must not keep the feed reading."""
        while True:
            await self._to_read.wait()
            some = list(islice(self._listed, LISTED_AT_ONCE))
            for market in some:
                del self._listed[market]
            if not self._listed:
                self._to_read = trio.Event()
            await self._read_some(some)
            await trio.sleep(len(some) * LISTED_SECONDS)

    async def _read_some(self, markets: Iterable[MarketId]) -> None:
        for market in markets:
            try:
                self._keeper.put_market(await self._venue.market(market))
            except (VenueUnavailable, VenueRejected, NotFound):
                continue  # it is too new, or none to be followed; the next catalogue knows
        await self._choose()

    # -- outcomes --

    async def _ask_outcomes(self) -> None:
        """Streams do not tell every outcome: none does while it is away, and Polymarket's not always."""
        while True:
            await trio.sleep(RESOLUTION_SECONDS)
            await self._choose()
            for key in tuple(self._asked)[:RESOLUTIONS_AT_ONCE]:
                del self._asked[key]
                market = self._keeper.markets.get(key)
                if market is None or _is_settled(market):
                    continue
                try:
                    resolution = await self._venue.resolution(market)
                except (VenueUnavailable, VenueRejected):
                    resolution = None
                if resolution is not None and resolution != market.resolution:
                    self._keeper.tell(MarketResolved(key, resolution))
                if resolution is None or not resolution.final:
                    self._asked[key] = None


def _is_settled(market: Market) -> bool:
    return market.resolution is not None and market.resolution.final


def search(markets: Iterable[Market], words: str, limit: int) -> tuple[Market, ...]:
    """Markets whose title holds every word, by title."""
    wanted = words.casefold().split()
    found = [m for m in markets if all(word in m.title.casefold() for word in wanted)]
    return tuple(sorted(found, key=lambda market: (market.title, market.key))[:limit])
