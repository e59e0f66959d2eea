"""A market's past by the minute: best bid, best ask and trades of YES. Bounded; minutes without anything are not kept."""

from collections import deque
from collections.abc import Iterable

import msgspec

from arbiter.domain.money import ZERO, Micros

KEPT = 1440
"""Minutes in which something happened."""
MINUTE_MS = 60_000


class Span(msgspec.Struct):
    """First, highest, lowest and last value."""

    open: Micros
    high: Micros
    low: Micros
    close: Micros

    @classmethod
    def at(cls, value: Micros) -> "Span":
        return cls(value, value, value, value)

    def see(self, value: Micros) -> None:
        self.high, self.low, self.close = max(self.high, value), min(self.low, value), value

    def followed_by(self, later: "Span") -> "Span":
        return Span(self.open, max(self.high, later.high), min(self.low, later.low), later.close)


class Candle(msgspec.Struct):
    """From `start_s` (Unix seconds) on. `price` is None where nothing was traded."""

    start_s: int
    bid: Span
    ask: Span
    price: Span | None = None
    volume: int = 0

    def followed_by(self, later: "Candle") -> "Candle":
        price = self.price.followed_by(later.price) if self.price and later.price else later.price or self.price
        bid, ask = self.bid.followed_by(later.bid), self.ask.followed_by(later.ask)
        return Candle(self.start_s, bid, ask, price, self.volume + later.volume)


class Candles:
    """The minutes of one market."""

    def __init__(self) -> None:
        self._minutes: deque[Candle] = deque(maxlen=KEPT)
        self._bid, self._ask = ZERO, ZERO

    def quote(self, now_ms: int, bid: Micros, ask: Micros) -> None:
        """The best prices are these now."""
        minute = self._minute(now_ms, bid, ask)
        self._bid, self._ask = bid, ask
        minute.bid.see(bid)
        minute.ask.see(ask)

    def trade(self, now_ms: int, price: Micros, size: Micros) -> None:
        """Somebody traded."""
        minute = self._minute(now_ms, self._bid, self._ask)
        if minute.price is None:
            minute.price = Span.at(price)
        minute.price.see(price)
        minute.volume += size

    def over(self, first_s: int, last_s: int, minutes: int) -> list[Candle]:
        """Candles of so many minutes each that end in this time, oldest first. Seconds; their starts are multiples of their length."""
        length = 60 * minutes
        merged: dict[int, Candle] = {}
        for minute in self._kept(first_s, last_s):
            start_s = minute.start_s // length * length
            begun = merged.get(start_s)
            merged[start_s] = begun.followed_by(minute) if begun else msgspec.structs.replace(minute, start_s=start_s)
        return [candle for candle in merged.values() if first_s <= candle.start_s + length <= last_s + length]

    def _kept(self, first_s: int, last_s: int) -> Iterable[Candle]:
        return (minute for minute in self._minutes if first_s <= minute.start_s + 60 and minute.start_s <= last_s)

    def _minute(self, now_ms: int, bid: Micros, ask: Micros) -> Candle:
        """The current minute; a new one begins where the last ended."""
        start_s = now_ms // MINUTE_MS * 60
        if not self._minutes or self._minutes[-1].start_s < start_s:
            first = not self._minutes
            self._minutes.append(Candle(start_s, Span.at(bid if first else self._bid), Span.at(ask if first else self._ask)))
        return self._minutes[-1]
