"""One market's resting orders in price-time priority: a single book in YES terms, of accounts and of the crowd.

The crowd is everybody else, as the world tells it: a level's size without owners. It stands in the same queues. What the
world adds to a level joins at the back; what it takes away leaves from the back; what trades goes from the front. So an
account's order is behind the crowd that was there before it, and what was hit comes back when the world next speaks of it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from arbiter.domain.book import Side
from arbiter.sandbox.matching.orders import LiveOrder


class Entry:
    """A place in a queue. `order` None: the crowd's."""

    __slots__ = ("order", "size")

    def __init__(self, order: LiveOrder | None, size: int) -> None:
        self.order = order
        self.size = size


class Queues:
    """Both sides. `touched` gathers the levels that changed since it was last emptied, as `(side, price)`."""

    def __init__(self) -> None:
        self._prices: dict[Side, list[int]] = {Side.BUY: [], Side.SELL: []}
        self._at: dict[Side, dict[int, list[Entry]]] = {Side.BUY: {}, Side.SELL: {}}
        self.touched: dict[tuple[Side, int], None] = {}

    def prices(self, side: Side) -> list[int]:
        """Best first."""
        return self._prices[side][::-1] if side is Side.BUY else list(self._prices[side])

    def walk(self, side: Side) -> Iterator[tuple[int, Entry]]:
        """Every entry of a side in the order in which it trades, with its price. Nothing may change meanwhile."""
        for price in self.prices(side):
            for entry in self._at[side][price]:
                yield price, entry

    def level(self, side: Side, price: int) -> int:
        """All that rests at a price."""
        return sum(entry.size for entry in self._at[side].get(price, ()))

    def crowd(self, side: Side, price: int) -> int:
        """What rests there without an owner."""
        return sum(entry.size for entry in self._at[side].get(price, ()) if entry.order is None)

    def ahead(self, order: LiveOrder) -> int:
        """What trades before this order at its own price. 0 if it is not here."""
        side, price = order.record.yes_side, order.record.yes_price
        total = 0
        for entry in self._at[side].get(price, ()):
            if entry.order is order:
                return total
            total += entry.size
        return 0

    def join(self, order: LiveOrder) -> None:
        """At the back of its price."""
        record = order.record
        self._append(record.yes_side, record.yes_price, Entry(order, record.remaining))

    def shrink(self, order: LiveOrder) -> None:
        """It keeps its place and wants less; nothing more: it leaves."""
        side, price = order.record.yes_side, order.record.yes_price
        entry = self._entry(side, price, order)
        if entry is not None:
            entry.size = order.record.remaining
            self._tidy(side, price)

    def leave(self, order: LiveOrder) -> None:
        side, price = order.record.yes_side, order.record.yes_price
        entry = self._entry(side, price, order)
        if entry is not None:
            entry.size = 0
            self._tidy(side, price)

    def take(self, side: Side, price: int, entry: Entry, size: int) -> None:
        """So much of an entry has traded."""
        entry.size -= size
        self._tidy(side, price)

    def set_crowd(self, side: Side, price: int, size: int) -> None:
        """The crowd at this price has this size from now on."""
        queue = self._at[side].get(price, [])
        change = size - sum(entry.size for entry in queue if entry.order is None)
        if change > 0:
            if queue and queue[-1].order is None:
                queue[-1].size += change
                self.touched[side, price] = None
            else:
                self._append(side, price, Entry(None, change))
            return
        for entry in reversed(queue):
            if not change:
                break
            if entry.order is None:
                gone = min(entry.size, -change)
                entry.size -= gone
                change += gone
        if queue:
            self._tidy(side, price)

    def _entry(self, side: Side, price: int, order: LiveOrder) -> Entry | None:
        return next((entry for entry in self._at[side].get(price, ()) if entry.order is order), None)

    def _append(self, side: Side, price: int, entry: Entry) -> None:
        queue = self._at[side].get(price)
        if queue is None:
            queue = self._at[side][price] = []
            insort(self._prices[side], price)
        queue.append(entry)
        self.touched[side, price] = None

    def _tidy(self, side: Side, price: int) -> None:
        """Entries that want nothing are gone, and so is a price without any."""
        self.touched[side, price] = None
        kept = [entry for entry in self._at[side].get(price, ()) if entry.size > 0]
        if kept:
            self._at[side][price] = kept
        elif price in self._at[side]:
            del self._at[side][price]
            prices = self._prices[side]
            del prices[bisect_left(prices, price)]
