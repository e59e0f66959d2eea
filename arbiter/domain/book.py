"""The order book of one outcome, and the events that change it.

A venue's connector turns its frames into the events here; `Book.apply_*` folds them. Levels are `(price, size)`
pairs of micros, best first on both sides.
"""

from bisect import bisect_left
from enum import Enum
from typing import NamedTuple

import msgspec

from arbiter.domain.ids import MarketKey, OutcomeKey, VenueId
from arbiter.domain.money import Micros


class Side(Enum):
    """Direction of an order; on a book BUY is the bids, SELL the asks."""

    BUY = "buy"
    SELL = "sell"


class Level(NamedTuple):
    """One price level: price in micros of a dollar, size in micros of a share or contract."""

    price: Micros
    size: Micros


Levels = tuple[Level, ...]


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


class ProofOfLife(msgspec.Struct, frozen=True, tag=True):
    """The connection is alive (ping, pong or a data frame), which keeps unchanged books fresh."""

    venue: VenueId


MarketEvent = BookSnapshot | BookDelta | TickSizeChanged | PublicTrade | BooksInvalid | ProofOfLife


class BrokenBook(ValueError):
    """A change that cannot be: a level below zero. The book must be fetched again."""


class _Ladder:
    """One side of a book, best first. Keys are `price * sign` so that both sides sort ascending."""

    __slots__ = ("_copy", "_keys", "_sign", "levels")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[int] = []
        self.levels: list[Level] = []
        self._copy: Levels | None = ()

    def copy(self) -> Levels:
        """Made once for each change: most changes leave the other side alone."""
        if self._copy is None:
            self._copy = tuple(self.levels)
        return self._copy

    def replace(self, levels: Levels) -> None:
        kept: dict[int, Level] = {level.price * self._sign: level for level in levels if level.size > 0}
        self._keys = sorted(kept)
        self.levels = [kept[key] for key in self._keys]
        self._copy = None

    def change(self, price: Micros, size: int, *, signed: bool) -> int:
        """Set or add one level and return what it holds then; where that is below zero, nothing was changed."""
        key, keys, levels = price * self._sign, self._keys, self.levels
        index = bisect_left(keys, key)
        known = index < len(keys) and keys[index] == key
        if signed and known:
            size += levels[index].size
        if size < 0:
            return size
        self._copy = None
        if not size:
            if known:
                del keys[index], levels[index]
        elif known:
            levels[index] = Level(price, Micros(size))
        else:
            keys.insert(index, key)
            levels.insert(index, Level(price, Micros(size)))
        return size


class Book:
    """The book of one outcome. Mutable; `bids()` and `asks()` are cheap immutable copies, best first."""

    __slots__ = ("_asks", "_bids", "outcome")

    def __init__(self, outcome: OutcomeKey) -> None:
        self.outcome = outcome
        self._bids = _Ladder(-1)
        self._asks = _Ladder(1)

    def apply_snapshot(self, snapshot: BookSnapshot) -> None:
        """Replace everything. Raises BrokenBook for a negative size."""
        if any(level.size < 0 for level in snapshot.bids + snapshot.asks):
            raise BrokenBook(f"negative size in a snapshot of {self.outcome}")
        self._bids.replace(snapshot.bids)
        self._asks.replace(snapshot.asks)

    def apply_change(self, change: LevelChange) -> None:
        """Set or add one level. Raises BrokenBook where the result would be below zero."""
        ladder = self._bids if change.side is Side.BUY else self._asks
        size = ladder.change(change.price, change.size, signed=change.signed)
        if size < 0:
            raise BrokenBook(f"level {change.price} of {self.outcome} would hold {size}")

    def clear(self) -> None:
        """Forget all levels (the book was invalidated)."""
        self._bids.replace(())
        self._asks.replace(())

    def bids(self) -> Levels:
        return self._bids.copy()

    def asks(self) -> Levels:
        return self._asks.copy()

    @property
    def best_bid(self) -> Level | None:
        return self._bids.levels[0] if self._bids.levels else None

    @property
    def best_ask(self) -> Level | None:
        return self._asks.levels[0] if self._asks.levels else None

    @property
    def crossed(self) -> bool:
        """Best bid at or above best ask: a book that no venue would show at rest."""
        bid, ask = self.best_bid, self.best_ask
        return bid is not None and ask is not None and bid.price >= ask.price
