"""The listener of one venue's connector: keeps its markets, books and lines, and publishes what changes of them.

Plain calls, nothing waits. What is to be followed, and for how long, the feed decides (`market_feed.py`).
"""

from collections.abc import Callable, Iterable
from typing import Any, assert_never, cast

import msgspec
import structlog

from arbiter.actors.market_data import BookUpdated, FeedStatus, LineKey, MarketData
from arbiter.domain.book import Book, PublicTrade
from arbiter.domain.ids import MarketId, MarketKey, OutcomeKey
from arbiter.domain.market import Market, MarketStatus
from arbiter.domain.market_events import (
    BooksInvalid,
    Connected,
    Disconnected,
    FeesChanged,
    GridChanged,
    MarketEvent,
    MarketListed,
    MarketResolved,
    StatusChanged,
    Ticker,
)
from arbiter.runtime import Environment, Topic, TopicKey
from arbiter.venues.base import Followed, Venue

LOG_SECONDS = 60.0
STATUS_SECONDS = 1.0
"""How often proof of life is passed on at most."""
NOT_CONNECTED = "not connected yet"


class _Line:
    """One connection of the venue: its life, told at most once a second."""

    __slots__ = ("_told_at", "_topic", "number", "status")

    def __init__(self, status: FeedStatus, topic: Topic[LineKey, FeedStatus]) -> None:
        self.number = status.line
        self.status = status
        self._topic = topic
        self._told_at = float("-inf")

    def alive(self, now: float) -> None:
        """It proved to be alive."""
        if now - self._told_at >= STATUS_SECONDS or not self.status.connected:
            self._told_at = now
            self.tell(connected=True, alive_at=now, problem="")

    def tell(self, **changes: object) -> None:
        self.status = msgspec.structs.replace(self.status, **changes)
        self._topic.publish(self.status.key, self.status)


class _KeptBook(Book):
    """A book, the line that it comes over, and where its changes are told."""

    __slots__ = ("followed", "line", "told_trusted", "topic_key")

    def __init__(self, outcome: OutcomeKey, line: _Line, topic_key: TopicKey[OutcomeKey, BookUpdated]) -> None:
        super().__init__(outcome)
        self.line = line
        self.topic_key = topic_key
        self.told_trusted = False
        self.followed = True
        """A connector may have a frame of it in hand after that."""

    def publish(self, now: float, venue_ms: int) -> None:
        bid, ask, bids, asks = self.packed()
        crossed = bid is not None and ask is not None and bid >= ask
        self.told_trusted = self.trusted and not crossed
        self.topic_key.publish(
            BookUpdated(self.outcome, bid, ask, bids, asks, self.told_trusted, now, venue_ms, self.line.number, self.mirrored)
        )


class BookKeeper:
    """A `Listener`. Feed and keeper share one venue."""

    def __init__(self, venue: Venue, data: MarketData, environment: Environment) -> None:
        self._venue = venue
        self._data = data
        self._monotonic = environment.monotonic
        self._log = structlog.get_logger(venue=venue.name)
        self._markets: dict[MarketKey, Market] = {}
        self._books: dict[OutcomeKey, _KeptBook] = {}
        self._lines: dict[int, _Line] = {}
        self._said_at = float("-inf")
        self._fallen = 0
        """Books that became invalid since it was said last."""
        self.crossings = 0
        """How often a book became crossed."""
        self.on_listed: Callable[[MarketId], None] = lambda _market: None
        """Told of a market that is to be read from the catalogue."""

    @property
    def markets(self) -> dict[MarketKey, Market]:
        """As they are now. Not to be changed."""
        return self._markets

    def statuses(self) -> list[FeedStatus]:
        """Of each line."""
        return [line.status for line in self._lines.values()]

    def outcomes(self) -> list[tuple[OutcomeKey, int]]:
        """Whose books are kept, each with the line that it comes over."""
        return [(outcome, book.line.number) for outcome, book in self._books.items()]

    # -- what the feed wants --

    def put_market(self, market: Market) -> None:
        """The catalogue, or an event, has it so. How it came out is not forgotten where that says nothing of it."""
        before = self._markets.get(market.key)
        if before is not None and market.resolution is None and before.resolution is not None:
            market = msgspec.structs.replace(market, resolution=before.resolution)
        if before != market:
            self._markets[market.key] = market
            self._data.markets.publish(market.key, market)

    def forget_market(self, key: MarketKey) -> None:
        """It ended long ago."""
        market = self._markets.pop(key, None)
        if market is not None:
            self._data.markets.publish_passing(key, market)
            _end(self._data.tickers, key)

    def forget_events(self) -> None:
        """Those none of whose markets is known any more."""
        known = {market.event for market in self._markets.values()}
        for event in self._data.events.values():
            if event.venue == self._venue.name and event.id not in known:
                self._data.events.publish_passing((event.venue, event.id), event)

    def follow(self, market: Market) -> Followed:
        """Its books, to be kept from now on."""
        return Followed(market, self._kept(market.yes_key), self._kept(market.no_key))

    def unfollow(self, market: Market) -> None:
        """Nobody keeps its books any more: they end."""
        for outcome in (market.yes_key, market.no_key):
            book = self._books.pop(outcome, None)
            if book is None:
                continue
            book.followed = False
            book.invalidate()
            self._data.books.publish_passing(outcome, _as_message(book, self._monotonic()))
            self._data.books.release(book.topic_key)
            _end(self._data.proofs, outcome)
            _end(self._data.trades, outcome)

    def close(self) -> None:
        """The feed stops: nothing here can be trusted any more."""
        self._distrust(self._books)
        for book in self._books.values():
            book.followed = False
            self._data.books.release(book.topic_key)

    def lose_all(self, reason: str) -> None:
        """The venue is away as a whole."""
        self.tell(BooksInvalid(reason, tuple(self._books)))
        for line in self._lines.values():
            line.tell(connected=False, problem=reason)

    def start_line(self) -> None:
        """There is a first line, if not connected, so that everybody can see the venue's state."""
        self._line(0).tell()

    def _kept(self, outcome: OutcomeKey) -> _KeptBook:
        book = self._books.get(outcome)
        if book is None:
            book = self._books[outcome] = _KeptBook(outcome, self._line(0), self._data.books.key(outcome))
        return book

    def _line(self, number: int) -> _Line:
        if number not in self._lines:
            proves = self._venue.capabilities.line_proves_books
            status = FeedStatus(self._venue.name, False, 0.0, NOT_CONNECTED, number, proves)
            self._lines[number] = _Line(status, self._data.status)
        return self._lines[number]

    # -- what the connector tells --

    def changed(self, book: Book, venue_ms: int) -> None:
        """See `Listener`."""
        now, kept = self._monotonic(), cast(_KeptBook, book)  # it has no others than those of `follow`
        if not kept.followed:
            return
        before = kept.told_trusted
        kept.publish(now, venue_ms)
        if before and not kept.told_trusted and kept.trusted:
            self.crossings += 1
        kept.line.alive(now)

    def proved(self, outcomes: Iterable[OutcomeKey], at: float) -> None:
        """See `Listener`. Of the line's own life this says nothing."""
        for outcome in outcomes:
            if outcome in self._books:
                self._data.proofs.publish(outcome, at)

    def alive(self, line: int) -> None:
        """See `Listener`."""
        self._line(line).alive(self._monotonic())

    def tell(self, event: MarketEvent) -> None:
        """See `Listener`."""
        match event:
            case Connected():
                self._connect(event)
            case Disconnected(_, number, reason):
                line = self._line(number)
                self._distrust(outcome for outcome, book in self._books.items() if book.line is line)
                line.tell(connected=False, problem=reason)
            case BooksInvalid(reason, outcomes):
                self._say_invalid(self._distrust(outcomes), reason)
            case PublicTrade():
                self._trade(event)
            case Ticker():
                if event.market in self._markets:
                    self._data.tickers.publish(event.market, event)
            case MarketListed():
                self.on_listed(event.market)
            case GridChanged() | FeesChanged() | StatusChanged() | MarketResolved():
                self._change_market(event)
            case _:
                assert_never(event)

    def _say_invalid(self, count: int, reason: str) -> None:
        """At most once a minute, with all that fell since: a venue that goes wrong does so often."""
        if not count:
            return
        self._fallen += count
        now = self._monotonic()
        if now - self._said_at >= LOG_SECONDS:
            self._log.info("books invalid", count=self._fallen, reason=reason)
            self._said_at, self._fallen = now, 0

    def _connect(self, event: Connected) -> None:
        line = self._line(event.line)
        for outcome in event.outcomes:
            if outcome in self._books:
                self._books[outcome].line = line
        line.alive(self._monotonic())

    def _trade(self, trade: PublicTrade) -> None:
        book = self._books.get(trade.outcome)
        if book is not None:
            self._data.trades.publish(trade.outcome, trade)
            book.line.alive(self._monotonic())

    def _change_market(self, event: GridChanged | FeesChanged | StatusChanged | MarketResolved) -> None:
        market = self._markets.get(event.market)
        if market is not None:
            self.put_market(_with(market, event))

    def _distrust(self, outcomes: Iterable[OutcomeKey]) -> int:
        """How many were trusted until now."""
        now = self._monotonic()
        fallen = [book for outcome in outcomes if (book := self._books.get(outcome)) is not None and book.trusted]
        for book in fallen:
            book.invalidate()
            book.publish(now, 0)
        return len(fallen)


def _end(topic: Topic[Any, Any], key: object) -> None:
    """Retain nothing of this key any more."""
    newest = topic.get(key)
    if newest is not None:
        topic.publish_passing(key, newest)


def _as_message(book: _KeptBook, now: float) -> BookUpdated:
    return BookUpdated(book.outcome, *book.packed(), False, now, 0, book.line.number, book.mirrored)


def _with(market: Market, event: GridChanged | FeesChanged | StatusChanged | MarketResolved) -> Market:
    """The market after this event."""
    match event:
        case GridChanged(_, ticks):
            return msgspec.structs.replace(market, ticks=ticks)
        case FeesChanged(_, fees):
            return msgspec.structs.replace(market, fees=fees)
        case StatusChanged(_, status, closes_at):
            return msgspec.structs.replace(market, status=status or market.status, closes_at=closes_at or market.closes_at)
        case MarketResolved(_, resolution):
            status = MarketStatus.RESOLVED if resolution.final else MarketStatus.CLOSED
            return msgspec.structs.replace(market, status=status, resolution=resolution)
