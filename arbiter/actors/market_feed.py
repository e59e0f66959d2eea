"""MarketFeed: one for each venue. Reads the catalogue, keeps every book current, says when a book cannot be trusted.

A venue that is away is a state of its feed, not a crash: books are published as invalid and the feed reconnects with
backoff for as long as it lives.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

import msgspec
import trio

from arbiter.domain.book import (
    Book,
    BookDelta,
    BooksInvalid,
    BookSnapshot,
    BrokenBook,
    Connected,
    MarketEvent,
    ProofOfLife,
    PublicTrade,
    TickSizeChanged,
)
from arbiter.domain.ids import MarketKey, OutcomeKey, VenueId
from arbiter.domain.ladder import Levels, Packed, unpack
from arbiter.domain.market import Market, TickRange
from arbiter.domain.money import Micros
from arbiter.errors import NotFound, VenueRejected, VenueUnavailable
from arbiter.runtime import Actor, Environment, Message, Request, Topic, TopicKey
from arbiter.venues.base import Venue

FRESH_SECONDS = 12.0
"""A book is fresh while its connection proved alive within this time (design, section 7)."""
STATUS_SECONDS = 1.0
"""How often proof of life is passed on at most."""
CATALOGUE_SECONDS = 60.0
CATALOGUE_AGE_SECONDS = 300.0
"""A reconnect reads the catalogue again when it is older than this."""
SETTLED_SECONDS = 10.0
"""A connection that lived this long ends the backoff."""
FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 30.0
SEARCH_LIMIT = 200


class BookUpdated(Message, frozen=True, tag=True, gc=False):
    """The book of one outcome as it is now. `trusted` is False from a gap or a lost connection until the next snapshot.

    The levels travel packed, since most readers need the best prices alone; `bids` and `asks` unpack them, best first.
    """

    outcome: OutcomeKey
    best_bid: Micros | None
    best_ask: Micros | None
    packed_bids: Packed
    packed_asks: Packed
    trusted: bool
    changed_at: float
    """Monotonic seconds at which the last change was applied."""
    venue_ms: int = 0
    line: int = 0
    """Which of the venue's connections it comes over."""

    @property
    def bids(self) -> Levels:
        return unpack(self.packed_bids, descending=True)

    @property
    def asks(self) -> Levels:
        return unpack(self.packed_asks)


class FeedStatus(Message, frozen=True, tag=True):
    """How one of a venue's lines is: `alive_at` is the monotonic second of the last proof of life."""

    venue: VenueId
    connected: bool
    alive_at: float
    problem: str = ""
    line: int = 0

    @property
    def key(self) -> "LineKey":
        return self.venue, self.line


LineKey = tuple[VenueId, int]
"""One of a venue's connections."""


class GetMarket(Request[Market], frozen=True, tag=True):
    """One market of this venue. NotFound."""

    key: MarketKey


class SearchMarkets(Request[tuple[Market, ...]], frozen=True, tag=True):
    """Markets whose title holds every word, at most `limit`, in title order; no words: all."""

    words: str
    limit: int = SEARCH_LIMIT


Messages = GetMarket | SearchMarkets


@dataclass(frozen=True)
class MarketData:
    """The feeds' topics: what is newest of each is retained and can be read at once by anyone later in the tree."""

    books: Topic[OutcomeKey, BookUpdated] = field(default_factory=lambda: Topic("books"))
    markets: Topic[MarketKey, Market] = field(default_factory=lambda: Topic("markets"))
    status: Topic[LineKey, FeedStatus] = field(default_factory=lambda: Topic("feeds"))

    def fresh(self, book: BookUpdated, now: float, limit: float = FRESH_SECONDS) -> bool:
        """Whether this book may be acted on at monotonic second `now`."""
        status = self.status.get((book.outcome.venue, book.line))
        return book.trusted and status is not None and status.connected and now - status.alive_at <= limit


class _Line:
    """One connection of the venue: its life, told at most once a second."""

    __slots__ = ("_told_at", "_topic", "status")

    def __init__(self, venue: VenueId, number: int, topic: Topic[LineKey, FeedStatus]) -> None:
        self.status = FeedStatus(venue, False, 0.0, "not connected yet", number)
        self._topic = topic
        self._told_at = float("-inf")

    def alive(self, now: float) -> None:
        """It proved to be alive."""
        if now - self._told_at >= STATUS_SECONDS or not self.status.connected:
            self._told_at = now
            self.tell(FeedStatus(self.status.venue, True, now, line=self.status.line))

    def lost(self, problem: str) -> None:
        self.tell(msgspec.structs.replace(self.status, connected=False, problem=problem))

    def tell(self, status: FeedStatus) -> None:
        self.status = status
        self._topic.publish(status.key, status)


class _Followed:
    """One book, whether its events can be believed, the line that they come over, and where its changes are told."""

    __slots__ = ("book", "line", "topic_key", "trusted")

    def __init__(self, book: Book, line: _Line, topic_key: TopicKey[OutcomeKey, BookUpdated]) -> None:
        self.book = book
        self.line = line
        self.topic_key = topic_key
        self.trusted = False

    def publish(self, now: float, venue_ms: int) -> None:
        book = self.book
        self.topic_key.publish(BookUpdated(book.outcome, *book.packed(), self.trusted, now, venue_ms, self.line.status.line))


class MarketFeed(Actor[Messages]):
    """Drives one `Venue`, folds its events into books, publishes each change."""

    def __init__(self, venue: Venue, data: MarketData, environment: Environment) -> None:
        self._venue = venue
        self._data = data
        self._environment = environment
        self._markets: dict[MarketKey, Market] = {}
        self._books: dict[OutcomeKey, _Followed] = {}
        self._lines: dict[int, _Line] = {}
        self._catalogue_due = float("-inf")

    async def started(self) -> None:
        main = self._line(0)
        main.tell(main.status)
        self.context.start_task(self._follow_venue)

    async def handle(self, message: Messages) -> object:
        match message:
            case GetMarket():
                return self.answer(message)
            case SearchMarkets(words, limit):
                return search(self._markets.values(), words, min(limit, SEARCH_LIMIT))
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        """A search is left to the mailbox: it may take long where the catalogue is large."""
        if not isinstance(request, GetMarket):
            return NotImplemented
        if request.key not in self._markets:
            raise NotFound(f"{request.key.venue} lists no market {request.key.market[:80]!r}")
        return self._markets[request.key]

    async def stopped(self) -> None:
        self._distrust_all("the feed stopped")

    # -- the venue --

    async def _follow_venue(self) -> None:
        failures = 0
        while True:
            began = self._environment.monotonic()
            try:
                if began >= self._catalogue_due:
                    await self._load_catalogue()
                await self._venue.stream_books(list(self._markets.values()), self._on_event)
            except (VenueUnavailable, VenueRejected) as error:
                self._distrust_all(str(error))
                self.context.log.warning("feed lost", venue=self._venue.name, problem=str(error))
            failures = 0 if self._environment.monotonic() - began >= SETTLED_SECONDS else failures + 1
            await trio.sleep(self._retry_delay(failures))

    def _retry_delay(self, failures: int) -> float:
        longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures, 20))
        return longest * (0.5 + self._environment.random.random() / 2)

    async def _load_catalogue(self) -> None:
        with trio.move_on_after(CATALOGUE_SECONDS) as scope:
            markets = await self._venue.catalogue()
        if scope.cancelled_caught:
            raise VenueUnavailable(self._venue.name, f"the catalogue took longer than {CATALOGUE_SECONDS:g} s")
        for market in markets:
            self._markets[market.key] = market
            self._data.markets.publish(market.key, market)
            for outcome in (market.yes_key, market.no_key):
                if outcome not in self._books:
                    self._books[outcome] = _Followed(Book(outcome), self._line(0), self._data.books.key(outcome))
        self._catalogue_due = self._environment.monotonic() + CATALOGUE_AGE_SECONDS

    # -- its events; nothing here waits --

    def _on_event(self, event: MarketEvent) -> None:
        now = self._environment.monotonic()
        line: _Line | None
        match event:
            case BookDelta():
                line = self._apply_delta(event, now)
            case BookSnapshot():
                line = self._apply_snapshot(event, now)
            case ProofOfLife():
                line = self._line(event.line)
            case PublicTrade():  # nobody follows public trades yet; books carry their effect
                line = self._line_of(event.outcome)
            case Connected():
                self._connect(event)
                return
            case BooksInvalid(reason, outcomes):
                self._distrust(outcomes or self._books, reason)
                return
            case TickSizeChanged(key, tick):
                line = self._change_tick(key, tick)
            case _:
                assert_never(event)
        if line is not None:
            line.alive(now)

    def _line(self, number: int) -> _Line:
        if number not in self._lines:
            self._lines[number] = _Line(self._venue.name, number, self._data.status)
        return self._lines[number]

    def _line_of(self, outcome: OutcomeKey) -> _Line | None:
        followed = self._books.get(outcome)
        return None if followed is None else followed.line

    def _connect(self, event: Connected) -> None:
        line = self._line(event.line)
        for outcome in event.outcomes:
            if outcome in self._books:
                self._books[outcome].line = line

    def _apply_delta(self, delta: BookDelta, now: float) -> _Line | None:
        """The line that it came over; None where nobody follows its books."""
        line: _Line | None = None
        touched: list[_Followed] = []
        broken: BrokenBook | None = None
        books = self._books
        for change in delta.changes:
            followed = books.get(change.outcome)
            if followed is None:
                continue
            line = followed.line
            if not followed.trusted:
                continue
            try:
                followed.book.apply_change(change)
            except BrokenBook as error:
                self._distrust((change.outcome,), str(error))
                broken = error
                continue
            if followed not in touched:
                touched.append(followed)
        for followed in touched:
            followed.publish(now, delta.venue_ms)
        if broken is not None:
            raise self._lost_for_good(broken)
        return line

    def _apply_snapshot(self, snapshot: BookSnapshot, now: float) -> _Line | None:
        followed = self._books.get(snapshot.outcome)
        if followed is None:
            return None
        try:
            followed.book.apply_snapshot(snapshot)
        except BrokenBook as error:
            self._distrust((snapshot.outcome,), str(error))
            raise self._lost_for_good(error) from error
        followed.trusted = True
        followed.publish(now, snapshot.venue_ms)
        return followed.line

    def _lost_for_good(self, broken: BrokenBook) -> VenueUnavailable:
        """No venue sends a book again unasked: only a new connection is sure to bring it."""
        return VenueUnavailable(self._venue.name, str(broken))

    def _change_tick(self, key: MarketKey, tick: int) -> _Line | None:
        market = self._markets.get(key)
        if market is None:
            return None
        grid = tuple(TickRange(old.start, old.end, type(old.step)(tick)) for old in market.ticks)
        self._markets[key] = market = msgspec.structs.replace(market, ticks=grid)
        self._data.markets.publish(key, market)
        self._distrust((market.yes_key, market.no_key), "the tick size changed")
        return self._line_of(market.yes_key)

    def _distrust_all(self, reason: str) -> None:
        self._distrust(self._books, reason)
        for line in self._lines.values():
            line.lost(reason)

    def _distrust(self, outcomes: Iterable[OutcomeKey], reason: str) -> None:
        now = self._environment.monotonic()
        fallen = [each for outcome in outcomes if (each := self._books.get(outcome)) is not None and each.trusted]
        for followed in fallen:
            followed.trusted = False
            followed.book.clear()
            followed.publish(now, 0)
        if fallen and reason != "the feed stopped":  # that is by order, and no news
            self.context.log.info("books invalid", venue=self._venue.name, count=len(fallen), reason=reason)


def search(markets: Iterable[Market], words: str, limit: int) -> tuple[Market, ...]:
    """Markets whose title holds every word, by title."""
    wanted = words.casefold().split()
    found = [m for m in markets if all(word in m.title.casefold() for word in wanted)]
    return tuple(sorted(found, key=lambda market: (market.title, market.key))[:limit])
