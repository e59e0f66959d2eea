"""The order book of one outcome, and the changes that make it.

A venue's connector writes its frames' changes right into the books that it is given. Levels are `(price, size)` pairs
of micros, best first on both sides.
"""

from collections.abc import Iterable
from enum import Enum

import msgspec

from arbiter.domain.ids import OutcomeKey
from arbiter.domain.ladder import BrokenBook, Ladder, Level, Levels, Mirror, Packed
from arbiter.domain.money import MAX_MICROS, Micros

__all__ = ["Book", "BookSnapshot", "BrokenBook", "Level", "LevelChange", "Levels", "PublicTrade", "Side"]


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


class PublicTrade(msgspec.Struct, frozen=True, tag=True):
    """A trade between others, as the venue published it. `side` is the taker's, on `outcome`. `id` is empty where the venue gives none."""

    outcome: OutcomeKey
    price: Micros
    size: Micros
    side: Side
    venue_ms: int = 0
    id: str = ""


class Book:
    """The book of one outcome. Mutable; what it hands out are immutable copies.

    A connector writes single levels through `bid_side` and `ask_side`: a call more for each level would be half of the
    work. Only a `trusted` book may be written so.
    """

    __slots__ = ("ask_side", "bid_side", "outcome", "trusted")

    def __init__(self, outcome: OutcomeKey) -> None:
        self.outcome = outcome
        self.bid_side = Ladder()
        self.ask_side = Ladder()
        self.trusted = False
        """From a snapshot until it is invalidated."""

    def replace(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Another book, and one to be trusted; levels in any order. Sizes are within MAX_MICROS."""
        self.bid_side.replace(bids)
        self.ask_side.replace(asks)
        self.trusted = True

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Replace everything. Raises BrokenBook for a size that cannot be."""
        if any(not 0 <= level.size <= MAX_MICROS for level in snapshot.bids + snapshot.asks):
            raise BrokenBook(f"a size out of range in a snapshot of {self.outcome}")
        self.replace(snapshot.bids, snapshot.asks)

    def apply_change(self, change: LevelChange) -> None:
        """Set or add one level. Raises BrokenBook where the result cannot be; nothing is changed then."""
        side = self.bid_side if change.side is Side.BUY else self.ask_side
        if change.signed:
            side.add(change.price, change.size)
        elif 0 <= change.size <= MAX_MICROS:
            side.put(change.price, change.size)
        else:
            raise BrokenBook(f"level {change.price} of {self.outcome} would hold {change.size}")

    def invalidate(self) -> None:
        """Forget all levels: nothing is known until the next snapshot."""
        self.replace((), ())
        self.trusted = False

    @property
    def best_bid(self) -> Level | None:
        return self.bid_side.level(self.bid_side.highest)

    @property
    def best_ask(self) -> Level | None:
        return self.ask_side.level(self.ask_side.lowest)

    def packed(self) -> tuple[Micros | None, Micros | None, Packed, Packed]:
        """The prices of the best bid and the best ask, all bids, all asks (mirrored, where `mirrored`). A side that did not change is the
        same object as before."""
        bids, asks = self.bid_side, self.ask_side
        return bids.highest, asks.lowest, bids.packed(), asks.packed()

    @property
    def mirrored(self) -> bool:
        """Whether its asks are the complement's bids."""
        return isinstance(self.ask_side, Mirror)

    def bids(self) -> Levels:
        """Best first."""
        return self.bid_side.levels(descending=True)

    def asks(self) -> Levels:
        """Best first."""
        return self.ask_side.levels()

    @property
    def crossed(self) -> bool:
        """Best bid at or above best ask: a book that no venue would show at rest."""
        bid, ask = self.bid_side.highest, self.ask_side.lowest
        return bid is not None and ask is not None and bid >= ask


def make_one(yes: Book, no: Book) -> None:
    """From now on these are one book seen from two sides: only bids are stored, and each outcome's asks are the other's bids."""
    if not yes.mirrored:
        yes.ask_side, no.ask_side = Mirror(no.bid_side), Mirror(yes.bid_side)
