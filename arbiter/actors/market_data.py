"""What the feeds publish of market data, and whether a book of it may be acted on.

The topics retain the newest of each key, which anyone later in the tree reads at once.
"""

from dataclasses import dataclass, field

from arbiter.domain.book import PublicTrade
from arbiter.domain.freshness import is_fresh
from arbiter.domain.ids import EventId, MarketKey, OutcomeKey, VenueId
from arbiter.domain.ladder import Levels, Packed, unpack
from arbiter.domain.market import Event, Market
from arbiter.domain.market_events import Ticker
from arbiter.domain.money import Micros
from arbiter.runtime import Message, Topic

FRESH_SECONDS = 12.0
"""A book is fresh while it is proved to be true within this time (design, section 7)."""


class BookUpdated(Message, frozen=True, tag=True, gc=False):
    """The book of one outcome as it is now. `trusted` is False from a gap or a lost connection until the next snapshot, and while
    the book is crossed.

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
    asks_mirrored: bool = False
    """`packed_asks` are the complement's bids."""

    @property
    def bids(self) -> Levels:
        return unpack(self.packed_bids, descending=True)

    @property
    def asks(self) -> Levels:
        return unpack(self.packed_asks, mirrored=self.asks_mirrored)


class FeedStatus(Message, frozen=True, tag=True):
    """How one of a venue's lines is: `alive_at` is the monotonic second of the last proof of life.

    `proves_books`: whether that life proves the books which come over the line, or each needs a proof of its own.
    """

    venue: VenueId
    connected: bool
    alive_at: float
    problem: str = ""
    line: int = 0
    proves_books: bool = True

    @property
    def key(self) -> "LineKey":
        return self.venue, self.line


LineKey = tuple[VenueId, int]
"""One of a venue's connections."""


EventKey = tuple[VenueId, EventId]


@dataclass(frozen=True)
class MarketData:
    """The feeds' topics."""

    books: Topic[OutcomeKey, BookUpdated] = field(default_factory=lambda: Topic("books"))
    proofs: Topic[OutcomeKey, float] = field(default_factory=lambda: Topic("proofs"))
    """The monotonic second at which a book that did not change was last proved to be true."""
    markets: Topic[MarketKey, Market] = field(default_factory=lambda: Topic("markets"))
    events: Topic[EventKey, Event] = field(default_factory=lambda: Topic("events"))
    status: Topic[LineKey, FeedStatus] = field(default_factory=lambda: Topic("feeds"))
    trades: Topic[OutcomeKey, PublicTrade] = field(default_factory=lambda: Topic("trades"))
    """The newest public trade of each outcome."""
    tickers: Topic[MarketKey, Ticker] = field(default_factory=lambda: Topic("tickers"))
    fresh_seconds: float = FRESH_SECONDS
    """For how long a proof counts, for everybody who asks here. Only a recording that was sampled more seldom has another."""

    def fresh(self, book: BookUpdated, now: float) -> bool:
        """Whether this book may be acted on at monotonic second `now`."""
        status = self.status.get((book.outcome.venue, book.line))
        if status is None:
            return False
        proved_at = self.proved_at(book, status)
        return is_fresh(
            trusted=book.trusted,
            connected=status.connected,
            alive_at=status.alive_at,
            proved_at=proved_at,
            now=now,
            limit=self.fresh_seconds,
        )

    def proved_at(self, book: BookUpdated, status: FeedStatus) -> float | None:
        """When this book itself was last proved to be true; None where the life of its line, which has this status, proves it."""
        return None if status.proves_books else max(book.changed_at, self.proofs.get(book.outcome) or 0.0)
