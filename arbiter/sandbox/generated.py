"""The generated world: seeded events listed on both venues, books that wander, arbitrage that opens and closes.

Everything follows from the seed and the start time, in whatever steps `advance` is called. All prices are cents or
tenths of a cent as integers of micros. Outside of the planted windows the two venues stay close enough together that
fees eat what edge there is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

import msgspec

from arbiter.domain.book import BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, PairId
from arbiter.domain.market import FeeSchedule, KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import MICRO, ONE, ZERO, Micros
from arbiter.domain.pair import Pair, pair_markets
from arbiter.sandbox.catalogue import Subject, subjects
from arbiter.sandbox.world import WorldEvent

CENT = 10_000
DEPTH = 14
"""Levels on each side of a generated book."""
MIN_FAIR, MAX_FAIR = 15 * CENT, 85 * CENT
"""Fair values stay where both venues' whole books fit between 1 and 99 cents."""
WINDOW_EVERY_MS = (2_000, 5_000)
WINDOW_LASTS_MS = (1_200, 4_000)
WINDOW_EDGE = 9 * CENT
"""How far a planted window moves one venue's book: more than both spreads and both venues' fees."""


class Window(NamedTuple):
    """A planted arbitrage: on this pair from `opens_ms` until `closes_ms`."""

    pair: PairId
    opens_ms: int
    closes_ms: int


class _Quote(msgspec.Struct):
    """One venue's YES book of one event: best prices as offsets of the event's fair value, and what rests."""

    market: Market
    tick: int
    half_spread: int
    shift: int = 0
    bids: dict[int, int] = msgspec.field(default_factory=dict)
    asks: dict[int, int] = msgspec.field(default_factory=dict)


class _Event(msgspec.Struct):
    """One event on both venues. With `inverted`, Kalshi lists the opposite proposition."""

    pair: Pair
    fair: int
    inverted: bool
    polymarket: _Quote
    kalshi: _Quote
    windowed: bool = False


class GeneratedWorld:
    """`World` from a seed. `rate` is how many times a second, over all events, some book moves."""

    sample_interval_ms: int | None = None

    def __init__(self, seed: int, start_ms: int, *, events: int = 48, rate: int = 30) -> None:
        self._random = Random(seed)  # noqa: S311 repeatable on purpose
        self._rate = rate
        self._events = [self._make_event(subject, number, start_ms) for number, subject in enumerate(subjects(events, start_ms))]
        self.markets: tuple[Market, ...] = tuple(q.market for e in self._events for q in (e.polymarket, e.kalshi))
        self.pairs: tuple[Pair, ...] = tuple(e.pair for e in self._events)
        self.windows: list[Window] = []
        """The planted windows that have begun, oldest first; the last thousand."""
        self._due: list[tuple[int, int, str, int]] = []
        self._number = 0
        self._told = False
        self._schedule(start_ms, "move", 0)
        self._schedule(start_ms + 1_000, "open", 0)

    def advance(self, now_ms: int) -> list[WorldEvent]:
        """See `World.advance`."""
        out: list[WorldEvent] = []
        if not self._told:
            self._told = True
            for event in self._events:
                out += [_snapshot(event.polymarket), _snapshot(event.kalshi)]
        while self._due and self._due[0][0] <= now_ms:
            at_ms, _, what, which = heappop(self._due)
            if what == "move":
                out += self._move(at_ms)
            elif what == "open":
                out += self._open_window(at_ms)
            else:
                out += self._close_window(self._events[which])
        return out

    def book_of(self, market: MarketKey) -> BookSnapshot:
        """The whole YES book of one of its markets, as it is now."""
        return _snapshot(next(q for e in self._events for q in (e.polymarket, e.kalshi) if q.market.key == market))

    def _schedule(self, at_ms: int, what: str, which: int) -> None:
        self._number += 1
        heappush(self._due, (at_ms, self._number, what, which))

    # -- making --

    def _make_event(self, subject: Subject, number: int, start_ms: int) -> _Event:
        random = self._random
        fair = random.randrange(MIN_FAIR, MAX_FAIR, CENT)
        fine = random.random() < 0.25
        poly, kalshi = _polymarket_market(subject, random, fine), _kalshi_market(subject, number, start_ms)
        pair_id = PairId(f"{subject.slug}")
        event = _Event(
            pair_markets(pair_id, subject.question, poly, kalshi, inverted=subject.inverted),
            fair,
            subject.inverted,
            _Quote(poly, CENT // 10 if fine else CENT, random.choice((CENT // 2, CENT))),
            _Quote(kalshi, CENT, random.choice((CENT // 2, CENT, CENT))),
        )
        for quote, value in ((event.polymarket, fair), (event.kalshi, _kalshi_fair(event))):
            quote.bids, quote.asks = self._ladders(quote, value)
        return event

    def _ladders(self, quote: _Quote, fair: int) -> tuple[dict[int, int], dict[int, int]]:
        """Fresh levels around the quote's own middle, thin at the touch and deeper behind it."""
        best_bid, best_ask = _touch(quote, fair)
        bids = {best_bid - i * quote.tick: self._size(i) for i in range(DEPTH) if best_bid - i * quote.tick >= quote.tick}
        asks = {best_ask + i * quote.tick: self._size(i) for i in range(DEPTH) if best_ask + i * quote.tick <= ONE - quote.tick}
        return bids, asks

    def _size(self, distance: int) -> int:
        """Hundredths of a contract, in micros: tens to hundreds at the touch, up to tens of thousands behind."""
        largest = 40_000 * (1 + distance * distance)
        return self._random.randrange(2_000, max(2_001, min(largest, 3_000_000))) * (MICRO // 100)

    # -- moving --

    def _move(self, at_ms: int) -> list[WorldEvent]:
        random = self._random
        self._schedule(at_ms + max(1, random.randrange(1, 2 * 1000 // self._rate + 1) if self._rate < 1000 else 1), "move", 0)
        event = random.choice(self._events)
        chance = random.randrange(100)
        if chance < 12:
            return self._drift(event)
        quote = event.polymarket if random.randrange(2) else event.kalshi
        if chance < 16:
            return self._trade(quote, at_ms)
        return self._resize(quote)

    def _drift(self, event: _Event) -> list[WorldEvent]:
        """The event's fair value moves a tick; both venues follow at once, so that no edge appears by it."""
        step = self._random.choice((-CENT, CENT))
        event.fair = min(MAX_FAIR, max(MIN_FAIR, event.fair + step))
        return [*self._requote(event.polymarket, event.fair), *self._requote(event.kalshi, _kalshi_fair(event))]

    def _resize(self, quote: _Quote) -> list[WorldEvent]:
        """One level gets another size."""
        side = self._random.choice((Side.BUY, Side.SELL))
        ladder = quote.bids if side is Side.BUY else quote.asks
        if not ladder:
            return []
        prices = sorted(ladder, reverse=side is Side.BUY)
        index = self._random.randrange(len(prices))
        ladder[prices[index]] = size = self._size(index)
        return [_change(quote, side, prices[index], size)]

    def _trade(self, quote: _Quote, at_ms: int) -> list[WorldEvent]:
        """Somebody takes part of the touch."""
        side = self._random.choice((Side.BUY, Side.SELL))
        ladder = quote.asks if side is Side.BUY else quote.bids
        if not ladder:
            return []
        price = min(ladder) if side is Side.BUY else max(ladder)
        taken = ladder[price] // 3 // 10_000 * 10_000
        if not taken:
            return []
        ladder[price] -= taken
        book_side = Side.SELL if side is Side.BUY else Side.BUY
        trade = PublicTrade(quote.market.yes_key, Micros(price), Micros(taken), side, at_ms)
        return [trade, _change(quote, book_side, price, ladder[price])]

    def _requote(self, quote: _Quote, fair: int) -> list[LevelChange]:
        """Move the ladders to where the quote belongs now, as the changes that lead there: removals first."""
        bids, asks = self._ladders(quote, fair)
        for new, old in ((bids, quote.bids), (asks, quote.asks)):
            for price in new.keys() & old.keys():
                new[price] = old[price]
        changes = [*_differences(quote, Side.BUY, quote.bids, bids), *_differences(quote, Side.SELL, quote.asks, asks)]
        quote.bids, quote.asks = bids, asks
        # never crossed on the way: what goes away goes first
        return sorted(changes, key=lambda change: change.size > 0)

    # -- planted arbitrage --

    def _open_window(self, at_ms: int) -> list[WorldEvent]:
        random = self._random
        self._schedule(at_ms + random.randrange(*WINDOW_EVERY_MS), "open", 0)
        calm = [number for number, event in enumerate(self._events) if not event.windowed]
        if not calm:
            return []
        number = random.choice(calm)
        event = self._events[number]
        closes_ms = at_ms + random.randrange(*WINDOW_LASTS_MS)
        event.windowed = True
        event.kalshi.shift = random.choice((-WINDOW_EDGE, WINDOW_EDGE))
        self.windows = [*self.windows[-999:], Window(event.pair.id, at_ms, closes_ms)]
        self._schedule(closes_ms, "close", number)
        return [*self._requote(event.kalshi, _kalshi_fair(event))]

    def _close_window(self, event: _Event) -> list[WorldEvent]:
        event.windowed = False
        event.kalshi.shift = 0
        return [*self._requote(event.kalshi, _kalshi_fair(event))]


def _kalshi_fair(event: _Event) -> int:
    return ONE - event.fair if event.inverted else event.fair


def _touch(quote: _Quote, fair: int) -> tuple[int, int]:
    """Best bid and ask, on the tick grid, at least a tick apart."""
    middle = fair + quote.shift
    bid = (middle - quote.half_spread) // quote.tick * quote.tick
    ask = -(-(middle + quote.half_spread) // quote.tick) * quote.tick
    return bid, max(ask, bid + quote.tick)


def _snapshot(quote: _Quote) -> BookSnapshot:
    return BookSnapshot(quote.market.yes_key, _levels(quote.bids), _levels(quote.asks))


def _levels(ladder: dict[int, int]) -> tuple[Level, ...]:
    return tuple(Level(Micros(price), Micros(size)) for price, size in ladder.items())


def _change(quote: _Quote, side: Side, price: int, size: int) -> LevelChange:
    return LevelChange(quote.market.yes_key, side, Micros(price), Micros(size))


def _differences(quote: _Quote, side: Side, before: dict[int, int], after: dict[int, int]) -> Iterator[LevelChange]:
    for price in sorted(before.keys() - after.keys()):
        yield _change(quote, side, price, 0)
    for price in sorted(after):
        if before.get(price) != after[price]:
            yield _change(quote, side, price, after[price])


# -- listings --


def _polymarket_market(subject: Subject, random: Random, fine: bool) -> Market:
    condition = f"0x{random.getrandbits(256):064x}"
    yes, no = (OutcomeId(str(10**76 + random.randrange(9 * 10**76))) for _ in range(2))
    tick = Micros(CENT // 10 if fine else CENT)
    rate = {"crypto": 70_000, "sports": 50_000, "politics": 40_000, "finance": 40_000}.get(subject.category, 50_000)
    fees: FeeSchedule = PolymarketFees(Micros(rate))
    return Market(
        key=MarketKey(POLYMARKET, MarketId(condition)),
        event=EventId(subject.slug),
        title=subject.question,
        yes=Outcome(yes, "Yes"),
        no=Outcome(no, "No"),
        ticks=(TickRange(tick, Micros(ONE - tick), tick),),
        size_step=Micros(CENT),
        min_size=Micros(5 * MICRO),
        min_notional=ONE,
        notional_step=Micros(CENT),
        fees=fees,
        rules=subject.rules,
        category=subject.category,
        closes_at=subject.closes_at,
    )


def _kalshi_market(subject: Subject, number: int, start_ms: int) -> Market:
    when = datetime.fromtimestamp(start_ms // 1000, UTC) + timedelta(days=30)
    event = f"KX{subject.ticker}-{when:%y%b%d}".upper()
    return Market(
        key=MarketKey(KALSHI, MarketId(f"{event}-{number + 1:02d}")),
        event=EventId(event),
        title=subject.opposite if subject.inverted else subject.question,
        yes=Outcome(OutcomeId("yes"), "Yes"),
        no=Outcome(OutcomeId("no"), "No"),
        ticks=(TickRange(ZERO, ONE, Micros(CENT)),),
        size_step=Micros(CENT),
        min_size=Micros(CENT),
        fees=KalshiFees(maker_fees=subject.category == "sports"),
        rules=subject.rules,
        category=subject.category,
        closes_at=subject.closes_at,
    )
