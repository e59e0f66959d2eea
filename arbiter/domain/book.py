"""The order book of one outcome, and the events that change it.

A venue's connector turns its frames into the events here; `Book.apply_*` folds them. Levels are `(price, size)`
pairs of micros, best first on both sides.
"""

from enum import Enum

import msgspec

from arbiter.domain.ids import MarketKey, OutcomeKey, VenueId
from arbiter.domain.ladder import Ladder, Level, Levels, Packed, unpack
from arbiter.domain.money import MAX_MICROS, Micros

__all__ = [
    "Book",
    "BookDelta",
    "BookSnapshot",
    "BooksInvalid",
    "BrokenBook",
    "Connected",
    "Level",
    "LevelChange",
    "Levels",
    "MarketEvent",
    "ProofOfLife",
    "PublicTrade",
    "Side",
    "TickSizeChanged",
]


class Side(Enum):
    """Direction of an order; on a book BUY is the bids, SELL the asks."""

    BUY = "buy"
    SELL = "sell"


class BookSnapshot(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The whole book of one outcome; replaces what was known. Levels in any order; `venue_ms` 0 when unknown."""

    outcome: OutcomeKey
    bids: Levels
    asks: Levels
    venue_ms: int = 0


class LevelChange(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One level of one outcome's book. `size` is the new size (0 removes), or a signed change when `signed`."""

    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    signed: bool = False


class BookDelta(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Changes that the venue sent together; they apply together."""

    changes: tuple[LevelChange, ...]
    venue_ms: int = 0


class TickSizeChanged(msgspec.Struct, frozen=True, tag=True):
    """The market's price grid changed; its books are invalid until the next snapshot."""

    market: MarketKey
    tick: Micros


class PublicTrade(msgspec.Struct, frozen=True, tag=True):
    """A trade between others, as the venue published it. `side` is the taker's, on `outcome`."""

    outcome: OutcomeKey
    price: Micros
    size: Micros
    side: Side
    venue_ms: int = 0


class BooksInvalid(msgspec.Struct, frozen=True, tag=True):
    """A gap, a stall or a lost connection: these outcomes' books (all of the connection's, if empty) cannot be trusted."""

    reason: str
    outcomes: tuple[OutcomeKey, ...] = ()


class Connected(msgspec.Struct, frozen=True, tag=True):
    """These outcomes' books come over this line (one of the venue's connections, numbered from 0) from now on."""

    venue: VenueId
    line: int
    outcomes: tuple[OutcomeKey, ...]


class ProofOfLife(msgspec.Struct, frozen=True, tag=True):
    """The line is alive (ping, pong or a data frame), which keeps the unchanged books that come over it fresh."""

    venue: VenueId
    line: int = 0


MarketEvent = BookSnapshot | BookDelta | TickSizeChanged | PublicTrade | BooksInvalid | Connected | ProofOfLife


class BrokenBook(ValueError):
    """A change that cannot be: a level below zero or beyond all measure. The book must be fetched again."""


class Book:
    """The book of one outcome. Mutable; what it hands out are immutable copies."""

    __slots__ = ("_asks", "_bids", "outcome")

    def __init__(self, outcome: OutcomeKey) -> None:
        self.outcome = outcome
        self._bids = Ladder()
        self._asks = Ladder()

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Replace everything. Raises BrokenBook for a size that cannot be."""
        if any(not 0 <= level.size <= MAX_MICROS for level in snapshot.bids + snapshot.asks):
            raise BrokenBook(f"a size out of range in a snapshot of {self.outcome}")
        self._bids.replace(snapshot.bids)
        self._asks.replace(snapshot.asks)

    def apply_change(self, change: LevelChange) -> None:
        """Set or add one level. Raises BrokenBook where the result cannot be; nothing is changed then."""
        ladder = self._bids if change.side is Side.BUY else self._asks
        size = ladder.change(change.price, change.size, signed=change.signed)
        if not 0 <= size <= MAX_MICROS:
            raise BrokenBook(f"level {change.price} of {self.outcome} would hold {size}")

    def clear(self) -> None:
        """Forget all levels (the book was invalidated)."""
        self._bids.replace(())
        self._asks.replace(())

    @property
    def best_bid(self) -> Level | None:
        return self._bids.level(self._bids.highest)

    @property
    def best_ask(self) -> Level | None:
        return self._asks.level(self._asks.lowest)

    def packed(self) -> tuple[Micros | None, Micros | None, Packed, Packed]:
        """The prices of the best bid and the best ask, all bids, all asks. A side that did not change is the same object as before."""
        bids, asks = self._bids, self._asks
        return bids.highest, asks.lowest, bids.packed(), asks.packed()

    def bids(self) -> Levels:
        """Best first."""
        return unpack(self._bids.packed(), descending=True)

    def asks(self) -> Levels:
        """Best first."""
        return unpack(self._asks.packed())

    @property
    def crossed(self) -> bool:
        """Best bid at or above best ask: a book that no venue would show at rest."""
        bid, ask = self._bids.highest, self._asks.lowest
        return bid is not None and ask is not None and bid >= ask
