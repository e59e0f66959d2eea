"""One side of a book: its price levels in order of price, kept as machine integers.

With thousands of books the memory that a change touches counts more than the instructions: 20 levels are 320 bytes
here, one after the other, and a copy of them is one block of bytes that a message can carry.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import starmap
from typing import NamedTuple

from arbiter.domain.money import MAX_MICROS, Micros


class Level(NamedTuple):
    """One price level: price in micros of a dollar, size in micros of a share or contract."""

    price: Micros
    size: Micros


Levels = tuple[Level, ...]

Packed = bytes
"""Levels by ascending price: for each its price, then its size, as native 64-bit integers. `unpack` reads them."""


def unpack(packed: Packed, *, descending: bool = False) -> Levels:
    """The levels, lowest price first, or highest first when `descending`."""
    numbers = memoryview(packed).cast("q").tolist()
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    levels = tuple(starmap(Level, pairs))
    return levels[::-1] if descending else levels


class BrokenBook(ValueError):
    """A change that cannot be: a level below zero or beyond all measure. The book must be fetched again."""


class Ladder:
    """Mutable; `packed()` is an immutable copy, made once for each change."""

    __slots__ = ("_flat", "_packed", "prices")

    def __init__(self) -> None:
        self.prices: list[Micros] = []
        """Ascending. For reading alone: the lowest is the first, the highest the last."""
        self._flat = array("q")
        self._packed: Packed | None = b""

    @property
    def lowest(self) -> Micros | None:
        """The lowest price."""
        prices = self.prices
        return prices[0] if prices else None

    @property
    def highest(self) -> Micros | None:
        """The highest price."""
        prices = self.prices
        return prices[-1] if prices else None

    def level(self, price: Micros | None) -> Level | None:
        """What rests at this price."""
        if price is None or price not in self.prices:
            return None
        return Level(price, Micros(self._flat[2 * bisect_left(self.prices, price) + 1]))

    def packed(self) -> Packed:
        packed = self._packed
        if packed is None:
            packed = self._packed = self._flat.tobytes()
        return packed

    def replace(self, levels: Iterable[Level]) -> None:
        """Levels in any order. A size of 0 is none; of one price the last counts. Sizes are within MAX_MICROS."""
        kept = {price: size for price, size in levels if size > 0}
        self.prices = sorted(kept)
        self._flat = array("q", [number for price in self.prices for number in (price, kept[price])])
        self._packed = None

    def put(self, price: Micros, size: Micros) -> None:
        """The level at this price holds `size` from now on, 0 for none. Sizes are within MAX_MICROS, as the parsers give them."""
        prices, flat = self.prices, self._flat
        index = bisect_left(prices, price)
        if index < len(prices) and prices[index] == price:
            if size:
                flat[2 * index + 1] = size
            else:
                del prices[index], flat[2 * index : 2 * index + 2]
        elif size:
            prices.insert(index, price)
            flat[2 * index : 2 * index] = array("q", (price, size))
        self._packed = None

    def add(self, price: Micros, change: int) -> None:
        """The level at this price holds so much more, or less. BrokenBook, and nothing is changed, where that cannot be."""
        prices, flat = self.prices, self._flat
        index = bisect_left(prices, price)
        known = index < len(prices) and prices[index] == price
        size = flat[2 * index + 1] + change if known else change
        if not 0 <= size <= MAX_MICROS:
            raise BrokenBook(f"the level at {price} would hold {size}")
        if not size:
            if known:
                del prices[index], flat[2 * index : 2 * index + 2]
        elif known:
            flat[2 * index + 1] = size
        else:
            prices.insert(index, price)
            flat[2 * index : 2 * index] = array("q", (price, size))
        self._packed = None


def add_mirrored(bids: Ladder, asks: Ladder, price: Micros, complement: Micros, change: int) -> None:
    """`add` to both sides of a mirrored book: a bid at `price` of one outcome is an ask at `complement` of the other.

    The two ladders always hold the same levels, one backwards, so the place is looked for once. BrokenBook as in `add`.
    """
    prices, flat = bids.prices, bids._flat
    index = bisect_left(prices, price)
    at = 2 * index + 1
    if index < len(prices) and prices[index] == price:
        size = flat[at] + change
        if 0 < size <= MAX_MICROS:
            flat[at] = asks._flat[-at] = size
        elif size:
            raise BrokenBook(f"the level at {price} would hold {size}")
        else:
            flat.pop(at)
            flat.pop(at - 1)
            asks._flat.pop(-at)
            asks._flat.pop(-at)  # its price, which stood before it
            asks.prices.pop(len(prices) - index - 1)
            prices.pop(index)
    elif 0 < change <= MAX_MICROS:
        other = len(prices) - index
        prices.insert(index, price)
        flat.insert(at - 1, change)
        flat.insert(at - 1, price)
        asks.prices.insert(other, complement)
        asks._flat.insert(2 * other, change)
        asks._flat.insert(2 * other, complement)
    elif change:
        raise BrokenBook(f"the level at {price} would hold {change}")
    bids._packed = asks._packed = None
