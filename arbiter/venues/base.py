"""The `Venue` protocol, market-data side, and the seams around it.

Actors know venues only by this file. Differences between venues are capabilities stated as data.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import datetime
from random import Random
from typing import NoReturn, Protocol

import msgspec
import trio

from arbiter.domain.book import Book, PublicTrade
from arbiter.domain.ids import EventId, MarketId, MarketKey, OutcomeKey, VenueId
from arbiter.domain.market import Event, Market, Resolution
from arbiter.domain.market_events import MarketEvent


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What callers must know about a venue without asking which one it is."""

    nets_outcomes: bool
    """Holding YES and NO of one market nets (Kalshi) or stays gross until merged (Polymarket)."""
    sequenced: bool
    """The book stream carries sequence numbers, so that a gap is seen at once."""
    line_proves_books: bool
    """A live connection proves all its books. False: it has been seen to answer pings and tell nothing more, so each book needs
    a proof of its own."""
    mirrored_books: bool
    """YES and NO are one book seen from two sides, and change in the same frame."""
    announces_resolution: bool
    """The stream tells every resolution. False: it may not, so resolutions are read, too."""
    trade_ids: bool
    """Public trades carry ids of their own."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which markets of a catalogue are wanted; what is empty does not narrow."""

    ended: bool = False
    """Closed and resolved ones too."""
    events: tuple[EventId, ...] = ()
    series: tuple[str, ...] = ()
    """The venue's series (Kalshi) or tags (Polymarket)."""
    closes_after: datetime | None = None
    closes_before: datetime | None = None
    limit: int = 0
    """At most so many markets, the most traded first where the venue can sort; 0: all."""


class CataloguePage(msgspec.Struct, frozen=True):
    """Some of a catalogue: markets that can be followed, and the events that group them. An event may come more than once, with
    more of its markets each time."""

    markets: tuple[Market, ...]
    events: tuple[Event, ...] = ()


class Followed(msgspec.Struct, frozen=True):
    """A market whose books are to be kept, and the two books to keep."""

    market: Market
    yes: Book
    no: Book


MOST_TOUCHED = 1_000
"""Changes that are remembered at least, so that who follows need not look through all markets."""
FollowMark = tuple[int, int]


class FollowList:
    """The markets that a feed wants followed. It changes while connections are up: they subscribe to what is new and drop what is gone."""

    def __init__(self, followed: Iterable[Followed] = ()) -> None:
        self._followed: dict[MarketKey, Followed] = {each.market.key: each for each in followed}
        self._changed = trio.Event()
        self._touched: list[MarketKey] = []
        """What changed since the last `set`, in order."""
        self._generation = 0

    @property
    def markets(self) -> dict[MarketKey, Followed]:
        """In the order in which they were added. Not to be changed, and another one after the next pause."""
        return self._followed

    def set(self, followed: Iterable[Followed]) -> None:
        """What is wanted from now on."""
        self._followed = {each.market.key: each for each in followed}
        self._begin_anew()
        self._tell()

    def add(self, followed: Iterable[Followed], dropped: Iterable[MarketKey] = ()) -> None:
        """These, too, and not those any longer. Takes as long as there are of them, however many are followed."""
        touched = len(self._touched)
        for key in dropped:
            if self._followed.pop(key, None) is not None:
                self._touched.append(key)
        for each in followed:
            self._followed[each.market.key] = each
            self._touched.append(each.market.key)
        if len(self._touched) == touched:
            return
        if len(self._touched) > max(MOST_TOUCHED, len(self._followed)):
            self._begin_anew()
        self._tell()

    def since(self, mark: FollowMark | None) -> tuple[FollowMark, Sequence[MarketKey] | None]:
        """A mark for the next call, and the markets that were added, dropped or replaced since this one; None: any of them may be."""
        now = self._generation, len(self._touched)
        if mark is None or mark[0] != self._generation:
            return now, None
        return now, list(dict.fromkeys(self._touched[mark[1] :]))

    def _begin_anew(self) -> None:
        self._touched.clear()
        self._generation += 1

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def changed(self) -> None:
        """Until the next `set` or `add`."""
        await self._changed.wait()


class Listener(Protocol):
    """Who a connector tells, at once and without waiting, in the order in which the venue told."""

    def changed(self, book: Book, venue_ms: int) -> None:
        """This book is another one now, and its line alive. Once a frame, after all its changes to this book.

        `venue_ms`: the venue's time of it, 0 when unknown.
        """

    def proved(self, outcomes: Iterable[OutcomeKey]) -> None:
        """These books were proved to be what the venue has, though they did not change."""

    def alive(self, line: int) -> None:
        """The line proved to be alive by something that told nothing else."""

    def tell(self, event: MarketEvent) -> None:
        """Everything else."""


class Venue(Protocol):
    """One venue's market data. Implementations make no decisions."""

    name: VenueId
    capabilities: Capabilities

    def catalogue(self, selection: Selection) -> AsyncGenerator[CataloguePage]:
        """Binary markets with a two-sided book, page after page. Raises VenueUnavailable, VenueRejected.

        A market that cannot be read is counted and left out; what is unknown of one makes it untradable, never a guess.
        """

    async def market(self, market: MarketId) -> Market:
        """One market as the catalogue has it now. NotFound where there is none that could be followed; VenueUnavailable, VenueRejected."""

    async def stream(self, follow: FollowList, listener: Listener) -> NoReturn:
        """Keep the followed books current until cancelled.

        Each line is connected, subscribed and, when it is lost, connected again with jittered backoff by itself: Connected,
        Disconnected. The first that is told of a book is a snapshot (`Book.replace`); before anything that makes a
        book untrustworthy comes BooksInvalid. Raises VenueRejected where trying again is useless (a key that is refused).
        """

    async def public_trades(self, market: Market, since_ms: int, limit: int) -> tuple[PublicTrade, ...]:
        """What was traded since that time (Unix ms), newest first, at most `limit`. Raises VenueUnavailable, VenueRejected."""

    async def resolution(self, market: Market) -> Resolution | None:
        """How it came out; None while the venue says nothing. Raises VenueUnavailable, VenueRejected."""

    def statistics(self) -> dict[str, int]:
        """Counters since the start: `frames`, `unknown_events`, `malformed_frames`, `gaps`, `connections`, and the venue's own."""


class Surroundings(Protocol):
    """Clock and chance as a connector may know them; the runtime's `Environment` is one."""

    @property
    def unix_ms(self) -> Callable[[], int]:
        """UTC in milliseconds."""

    @property
    def monotonic(self) -> Callable[[], float]:
        """Seconds for durations and deadlines."""

    @property
    def random(self) -> Random:
        """For jitter and sampling."""


class Network(Protocol):
    """Where byte streams come from: sockets in the program, memory in simulations."""

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """A connected byte stream. Raises OSError as sockets do."""
