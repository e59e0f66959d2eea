"""A book being folded from changes, kept as the text that a recording needs."""

from decimal import Decimal

from arbiter.domain.money import MICRO, format_micros, micros_from_decimal
from arbiter.sandbox.recording import Rows


class FoldedBook:
    """One YES book. Prices in dollars; sizes in shares."""

    def __init__(self) -> None:
        self._sides: dict[str, dict[int, tuple[int, tuple[str, str]]]] = {"bid": {}, "ask": {}}

    def clear(self) -> None:
        for side in self._sides.values():
            side.clear()

    def set(self, side: str, price: Decimal, size: Decimal) -> None:
        """What a level holds now; 0 removes it. ValueError for a price outside (0, 1) or a size below zero."""
        micros, amount = micros_from_decimal(price), micros_from_decimal(size)
        if not 0 < micros < MICRO:
            raise ValueError(f"a level at {price} dollars")
        if amount < 0:
            raise ValueError(f"the level at {price} would hold {size}")
        if amount:
            self._sides[side][micros] = (amount, (format_micros(micros), format_micros(amount)))
        else:
            self._sides[side].pop(micros, None)

    def add(self, side: str, price: Decimal, change: Decimal) -> None:
        """A signed change of what a level holds. ValueError as for `set`."""
        held = self._sides[side].get(micros_from_decimal(price))
        self.set(side, price, (Decimal(held[1][1]) if held else Decimal(0)) + change)

    def rows(self) -> tuple[Rows, Rows]:
        """Bids and asks, best first."""
        bids, asks = self._sides["bid"], self._sides["ask"]
        return [bids[price][1] for price in sorted(bids, reverse=True)], [asks[price][1] for price in sorted(asks)]
