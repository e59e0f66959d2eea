"""One side of a book: its price levels in order of price, kept as machine integers.

With thousands of books the memory that a change touches counts more than the instructions: 20 levels are 320 bytes
here, one after the other, and a copy of them is one block of bytes that a message can carry.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import starmap
from typing import NamedTuple

from arbiter.domain.money import MAX_MICROS, ONE, Micros


class Level(NamedTuple):
    """One price level: price in micros of a dollar, size in micros of a share or contract."""

    price: Micros
    size: Micros


Levels = tuple[Level, ...]

Packed = bytes
"""Levels by ascending price: for each its price, then its size, as native 64-bit integers. `unpack` reads them."""


def unpack(packed: Packed, *, descending: bool = False, mirrored: bool = False) -> Levels:
    """The levels, lowest price first, or highest first when `descending`. `mirrored`: they are those of the complement."""
    numbers = memoryview(packed).cast("q").tolist()
    prices = [ONE - price for price in numbers[::2]] if mirrored else numbers[::2]
    levels = tuple(starmap(Level, zip(prices, numbers[1::2], strict=True)))
    return levels[::-1] if descending is not mirrored else levels


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

    def levels(self, *, descending: bool = False) -> Levels:
        """All of them, lowest price first, or highest first when `descending`."""
        return unpack(self.packed(), descending=descending)

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
        at = 2 * index + 1
        known = index < len(prices) and prices[index] == price
        size = flat[at] + change if known else change
        if not 0 <= size <= MAX_MICROS:
            raise BrokenBook(f"the level at {price} would hold {size}")
        if known:
            if size:
                flat[at] = size
            else:
                del prices[index], flat[at - 1 : at + 1]
        elif size:
            prices.insert(index, price)
            flat[at - 1 : at - 1] = array("q", (price, size))
        self._packed = None


class Mirror(Ladder):
    """A side that is another one seen from the complement: a bid for NO at p is an ask for YES at 1 - p. Stores nothing itself.

    `packed` is in the terms of the side that it mirrors, so that nothing is copied: `unpack(..., mirrored=True)` reads it.
    """

    __slots__ = ("_of",)

    def __init__(self, of: Ladder) -> None:
        self._of = of

    @property
    def lowest(self) -> Micros | None:
        price = self._of.highest
        return None if price is None else Micros(ONE - price)

    @property
    def highest(self) -> Micros | None:
        price = self._of.lowest
        return None if price is None else Micros(ONE - price)

    def level(self, price: Micros | None) -> Level | None:
        found = None if price is None else self._of.level(Micros(ONE - price))
        return None if found is None or price is None else Level(price, found.size)

    def levels(self, *, descending: bool = False) -> Levels:
        return unpack(self._of.packed(), descending=descending, mirrored=True)

    def packed(self) -> Packed:
        return self._of.packed()

    def replace(self, levels: Iterable[Level]) -> None:
        self._of.replace([Level(Micros(ONE - price), size) for price, size in levels])

    def put(self, price: Micros, size: Micros) -> None:
        self._of.put(Micros(ONE - price), size)

    def add(self, price: Micros, change: int) -> None:
        self._of.add(Micros(ONE - price), change)
