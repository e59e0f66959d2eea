"""MarketFeed: one for each venue. Reads the catalogue, decides which books are followed, asks how ended markets came out.

The connector keeps the books current and reconnects by itself; what it tells goes to the `BookKeeper`. A venue that is away
is a state of its feed, not a crash: books are published as invalid, and the feed goes on for as long as it lives.
"""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import assert_never

import msgspec
import trio

from arbiter.actors.book_keeper import BookKeeper
from arbiter.actors.feed_report import FeedReport, report_lines
from arbiter.actors.market_data import FRESH_SECONDS, BookUpdated, EventKey, FeedStatus, LineKey, MarketData
from arbiter.actors.market_search import ENDED, EventFilter, MarketFilter, Place, first_after, place_of_event, place_of_market
from arbiter.domain.ids import EventId, MarketId, MarketKey
from arbiter.domain.market import Event, Market, MarketStatus
from arbiter.domain.market_events import MarketResolved
from arbiter.errors import NotFound, VenueRejected, VenueUnavailable
from arbiter.runtime import Actor, Environment, Request
from arbiter.venues.base import FollowList, Selection, Venue

__all__ = [
    "FRESH_SECONDS",
    "BookUpdated",
    "EventKey",
    "FeedStatus",
    "GetEvent",
    "GetFeed",
    "GetMarket",
    "LineKey",
    "ListEvents",
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
SEARCH_LIMIT = 201
"""What a question for many is answered with at most: the largest page, and one that says that there is another."""
REPORT_SECONDS = 2.0
"""A report of the feed serves everybody who asks within this time."""
LISTED_CAPACITY = 1_000
"""Markets that were announced and not read yet; what is beyond comes with the next catalogue."""
RESOLUTION_SECONDS = 30.0
RESOLUTIONS_AT_ONCE = 20
"""Ended markets of which the outcome is asked each time."""
FALLEN_PART = 5
"""So large a part of the limit may be followed beyond it, of markets that fell out of a limited catalogue: someone may hold them."""
MOST_ENDED = 20_000
"""Ended markets that are remembered, for who still holds something of them."""


class GetMarket(Request[Market], frozen=True, tag=True):
    """One market of this venue. NotFound."""

    key: MarketKey


class SearchMarkets(Request[tuple[Market, ...]], frozen=True, tag=True):
    """Markets of this venue in title order, at most `limit`, those behind `after`."""

    wanted: MarketFilter = MarketFilter()
    limit: int = SEARCH_LIMIT
    after: Place | None = None


class GetEvent(Request[Event], frozen=True, tag=True):
    """One event of this venue. NotFound."""

    id: EventId


class ListEvents(Request[tuple[Event, ...]], frozen=True, tag=True):
    """Events of this venue in title order, at most `limit`, those behind `after`."""

    wanted: EventFilter = EventFilter()
    limit: int = SEARCH_LIMIT
    after: Place | None = None


class GetFeed(Request[FeedReport], frozen=True, tag=True):
    """How this feed is."""


Messages = GetMarket | SearchMarkets | GetEvent | ListEvents | GetFeed

Wanted = Callable[[datetime], Selection]
"""What is wanted of a catalogue that is read at this moment (UTC)."""


def everything(_now: datetime) -> Selection:
    """The whole catalogue of what has not ended."""
    return Selection()


class MarketFeed(Actor[Messages]):
    """Drives one `Venue`: its catalogue, its stream, and the outcomes of its markets."""

    def __init__(self, venue: Venue, data: MarketData, environment: Environment, wanted: Wanted = everything) -> None:
        self._venue = venue
        self._data = data
        self._environment = environment
        self._wanted = wanted
        self._keeper = BookKeeper(venue, data, environment)
        self._keeper.on_listed = self._on_listed
        self._follow = FollowList()
        self._first_page = trio.Event()
        self._listed, self._to_read = trio.open_memory_channel[MarketId](LISTED_CAPACITY)
        self._asked: dict[MarketKey, None] = {}
        """Markets past their end without a final outcome, the one asked longest ago first."""
        self._fallen: dict[MarketKey, None] = {}
        """Open markets that a narrowed catalogue had once and has no more, those first that fell out longest ago."""
        self._read_at: float | None = None
        """When the catalogue was last read whole."""
        self._catalogue_problem = ""
        self._report: tuple[float, FeedReport] | None = None

    async def started(self) -> None:
        self._keeper.start_line()
        for task in (self._read_for_ever, self._stream_for_ever, self._read_listed, self._ask_outcomes):
            self.context.start_task(task)

    async def handle(self, message: Messages) -> object:
        match message:
            case GetMarket() | GetEvent():
                return self.answer(message)
            case SearchMarkets(wanted, limit, after):
                markets = self._keeper.markets.values()
                return await first_after(markets, wanted.test(), place_of_market, after, min(limit, SEARCH_LIMIT))
            case ListEvents(wanted, limit, after):
                events = (event for event in self._data.events.values() if event.venue == self._venue.name)
                return await first_after(events, wanted.test(), place_of_event, after, min(limit, SEARCH_LIMIT))
            case GetFeed():
                return await self._look_at_itself()
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        """What goes through many is left to the mailbox: it may take long where the catalogue is large."""
        match request:
            case GetMarket(key):
                if key not in self._keeper.markets:
                    raise NotFound(f"{key.venue} lists no market {key.market[:80]!r}")
                return self._keeper.markets[key]
            case GetEvent(name):
                event = self._data.events.get((self._venue.name, name))
                if event is None:
                    raise NotFound(f"{self._venue.name} lists no event {name[:80]!r}")
                return event
        return NotImplemented

    async def _look_at_itself(self) -> FeedReport:
        now = self._environment.monotonic()
        if self._report is None or now - self._report[0] >= REPORT_SECONDS:
            lines = await report_lines(self._data, self._keeper.statuses(), self._keeper.outcomes(), now)
            age = None if self._read_at is None else round((now - self._read_at) * 1000)
            live = sum(market.status not in ENDED for market in self._keeper.markets.values())
            counters = self._venue.statistics() | {"crossings": self._keeper.crossings}
            report = FeedReport(self._venue.name, live, len(self._follow.markets), age, self._catalogue_problem, lines, counters)
            self._report = now, report
        return self._report[1]

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
        self.context.log.warning("feed lost", venue=self._venue.name, problem=str(error))

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
                self._catalogue_problem = str(error)
                if self._first_page.is_set():
                    self.context.log.warning("catalogue not read", venue=self._venue.name, problem=str(error))
                else:
                    self._lose(error)
                await trio.sleep(self._retry_delay(failures))
                continue
            failures = 0
            self._read_at, self._catalogue_problem = self._environment.monotonic(), ""
            await trio.sleep(CATALOGUE_AGE_SECONDS)

    async def _read_catalogue(self) -> None:
        listed: set[MarketKey] = set()
        selection = self._wanted(self._now())
        with trio.move_on_after(CATALOGUE_SECONDS) as scope:
            async with aclosing(self._venue.catalogue(selection)) as pages:
                async for page in pages:
                    for market in page.markets:
                        listed.add(market.key)
                        self._keeper.put_market(market)
                    for event in page.events:
                        if self._data.events.get((event.venue, event.id)) != event:
                            self._data.events.publish((event.venue, event.id), event)
                    self._follow_new(page.markets)
                    self._first_page.set()
        if scope.cancelled_caught:
            raise VenueUnavailable(self._venue.name, f"the catalogue took longer than {CATALOGUE_SECONDS:g} s")
        if not listed and self._follow.markets:
            raise VenueUnavailable(self._venue.name, "its catalogue came back empty")  # never all markets end at once
        self._look_after_unlisted(listed, whole=not selection.closes_before and not 0 < selection.limit <= len(listed))
        self._keeper.forget_events()
        self._choose()
        self._first_page.set()

    def _look_after_unlisted(self, listed: set[MarketKey], *, whole: bool) -> None:
        """What a whole open catalogue leaves out is over; a later one that has it again says otherwise. Of a narrowed one it may just
        have fallen out: it is read by itself."""
        self._fallen = {key: None for key in self._fallen if key not in listed and key in self._keeper.markets}
        for key, market in tuple(self._keeper.markets.items()):
            if key in listed or market.status in ENDED:
                continue
            if whole:
                self._keeper.put_market(msgspec.structs.replace(market, status=MarketStatus.CLOSED))
            else:
                self._fallen[key] = None
                self._on_listed(key.market)

    def _follow_new(self, markets: Iterable[Market]) -> None:
        """Books come while the rest of the catalogue is still being read."""
        known = self._follow.markets
        self._follow.add(self._keeper.follow(each) for each in markets if each.status not in ENDED and each.key not in known)

    def _choose(self) -> None:
        """Follow what is not over, stop following what is, forget what was over long ago; ask how what is past its end came out."""
        before, now = self._follow.markets, {}
        at = self._now()
        too_many = self._too_many()
        ended: list[MarketKey] = []
        for key, market in self._keeper.markets.items():
            if not _is_settled(market) and (market.status in ENDED or (market.closes_at is not None and market.closes_at < at)):
                self._asked.setdefault(key)
            if market.status in ENDED:
                ended.append(key)
            elif key not in too_many:
                known = before.get(key)
                now[key] = known if known is not None and known.market is market else self._keeper.follow(market)
        for key in before.keys() - now.keys():
            self._keeper.unfollow(before[key].market)
        for key in ended[:-MOST_ENDED]:
            self._keeper.forget_market(key)
        if now != before:
            self._follow.set(now.values())

    def _too_many(self) -> set[MarketKey]:
        """Markets that are open and not followed: more fell out of a limited catalogue than are kept, these first of them."""
        limit = self._wanted(self._now()).limit
        if not limit or not self._fallen:
            return set()
        live = sum(market.status not in ENDED for market in self._keeper.markets.values())
        return set(tuple(self._fallen)[: max(0, live - limit - limit // FALLEN_PART)])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._environment.unix_ms() / 1000, UTC)

    # -- announced markets --

    def _on_listed(self, market: MarketId) -> None:
        try:
            self._listed.send_nowait(market)
        except trio.WouldBlock:
            self.context.log.debug("a listed market waits for the next catalogue", venue=self._venue.name)

    async def _read_listed(self) -> None:
        async for market in self._to_read:
            before = self._keeper.markets.get(MarketKey(self._venue.name, market))
            if before is None and not self._takes_new():
                continue
            try:
                found = await self._venue.market(market)
            except (VenueUnavailable, VenueRejected, NotFound) as error:
                # what is not known is too new, or none to be followed; the next catalogue knows
                if before is None or not isinstance(error, NotFound):
                    continue
                found = msgspec.structs.replace(before, status=MarketStatus.CLOSED)
            closes_before = self._wanted(self._now()).closes_before
            is_wanted = closes_before is None or (found.closes_at is not None and found.closes_at <= closes_before)
            if found != before and (before is not None or is_wanted):
                self._keeper.put_market(found)
                self._choose()

    def _takes_new(self) -> bool:
        """Whether there is room for markets that are announced, and nothing narrows them that a market itself does not tell."""
        wanted = self._wanted(self._now())
        return not (wanted.events or wanted.series) and not 0 < wanted.limit <= len(self._follow.markets)

    # -- outcomes --

    async def _ask_outcomes(self) -> None:
        """Streams do not tell every outcome: none does while it is away, and Polymarket's not always."""
        while True:
            await trio.sleep(RESOLUTION_SECONDS)
            self._choose()
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
