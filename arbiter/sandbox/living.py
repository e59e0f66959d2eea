"""The world of `./just run`: the generated pairs, and beside them markets that come and go.

The pairs stay as they are, but that one now and then pauses. All else happens on markets that belong to no pair: windows
of five minutes that close, are determined and settle while the next opens, whose grid becomes finer near 0 and 1; groups
of which one can win, on whose event other fees begin and end. Everything follows from the seed and the start time, in
whatever steps `advance` is called.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random

import msgspec

from arbiter.domain.book import BookSnapshot
from arbiter.domain.ids import KALSHI, POLYMARKET, MarketKey
from arbiter.domain.market import KalshiFees, Market, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.sandbox import extras
from arbiter.sandbox.extras import CENT, TENTH, Extra
from arbiter.sandbox.generated import GeneratedWorld
from arbiter.sandbox.small_book import SmallBook
from arbiter.sandbox.world import Details, FeesChanged, Listed, Stage, StageChanged, TicksChanged, WorldEvent

WINDOW_MS = 300_000
FIRST_CLOSE_MS = 150_000
"""The first window is half over at the start, so that one soon sees how a market ends."""
OVERLAP_MS = 10_000
"""The next window is listed so long before the last closes."""
DETERMINED_AFTER_MS, SETTLED_AFTER_MS, DISPUTED_FOR_MS = 5_000, 20_000, 60_000
PAUSE_EVERY_MS, PAUSE_LASTS_MS, EMPTY_MS = (90_000, 180_000), (10_000, 20_000), 500
FEES_BEGIN_MS, FEES_LAST_MS = 120_000, 600_000
STEP_MS = (800, 2_500)
LOW, HIGH = 40_000, 960_000
"""Beyond these Polymarket's grid becomes finer (sheet, A7.2)."""
OVERRIDE = KalshiFees(Micros(500_000), maker_fees=True)
DISPUTED_ONE_IN, SPLIT_ONE_IN, VOID_ONE_IN = 10, 12, 20


class _Window(msgspec.Struct):
    """One question of five minutes on both venues."""

    number: int
    closes_ms: int
    fair: int
    ends_high: bool
    books: list[SmallBook]
    fine: bool = False


class LivingWorld:
    """`World`. `details`: what the venues list beside the markets themselves."""

    sample_interval_ms: int | None = None

    def __init__(self, seed: int, start_ms: int, *, events: int = 48, rate: int = 30) -> None:
        self._base = GeneratedWorld(seed, start_ms, events=events, rate=rate)
        self._random = Random(f"life {seed}")  # noqa: S311 repeatable on purpose
        self._start_ms = start_ms
        self._due: list[tuple[int, int, Callable[[int], list[WorldEvent]]]] = []
        self._number = 0
        self._paused: dict[MarketKey, None] = {}
        self._told = False
        fixed = extras.groups(self._random, start_ms)
        idle = [*extras.combos(start_ms, [m for m in self._base.markets if m.key.venue == KALSHI]), extras.upcoming(start_ms)]
        self._groups = [(SmallBook(e.market, self._random, e.fair), e.fair) for e in fixed]
        self._idle = [BookSnapshot(e.market.yes_key, (), ()) for e in idle]
        window, opened = self._make_window(1, start_ms + FIRST_CLOSE_MS)
        listed = [*fixed, *idle, *opened]
        self.markets: tuple[Market, ...] = (*(e.market for e in idle), *self._base.markets, *(e.market for e in (*fixed, *opened)))
        self.pairs = self._base.pairs
        self.details: dict[MarketKey, Details] = {e.market.key: e.details for e in listed}
        self._first = window
        self._plan(window, start_ms)
        self._schedule(start_ms + 2_000, self._move_group)
        self._schedule(start_ms + self._random.randrange(*PAUSE_EVERY_MS), self._pause)
        self._schedule(start_ms + FEES_BEGIN_MS, self._begin_fees)

    def advance(self, now_ms: int) -> list[WorldEvent]:
        """See `World.advance`."""
        out: list[WorldEvent] = []
        if not self._told:
            self._told = True
            out += self._idle
            out += [book.snapshot() for book, _ in self._groups] + [book.snapshot() for book in self._first.books]
        while self._due and self._due[0][0] <= now_ms:
            at_ms, _, happen = heappop(self._due)
            out += self._unpaused(self._base.advance(at_ms))
            out += happen(at_ms)
        return out + self._unpaused(self._base.advance(now_ms))

    def _unpaused(self, events: Iterable[WorldEvent]) -> list[WorldEvent]:
        """Without what happens to the books of paused markets."""
        return [event for event in events if not self._paused or _key_of(event) not in self._paused]

    def _schedule(self, at_ms: int, happen: Callable[[int], list[WorldEvent]]) -> None:
        self._number += 1
        heappush(self._due, (at_ms, self._number, happen))

    # -- windows --

    def _make_window(self, number: int, closes_ms: int) -> tuple[_Window, tuple[Extra, Extra]]:
        made = extras.five_minutes(self._random, number, closes_ms)
        fair = made[0].fair
        books = [SmallBook(extra.market, self._random, fair) for extra in made]
        return _Window(number, closes_ms, fair, self._random.random() < 0.5, books), made

    def _plan(self, window: _Window, now_ms: int) -> None:
        self._schedule(now_ms + self._random.randrange(*STEP_MS), lambda at_ms: self._move_window(window, at_ms))
        self._schedule(window.closes_ms - OVERLAP_MS, lambda at_ms: self._open_next(window, at_ms))
        self._schedule(window.closes_ms, lambda at_ms: self._close(window, at_ms))

    def _open_next(self, last: _Window, at_ms: int) -> list[WorldEvent]:
        window, made = self._make_window(last.number + 1, last.closes_ms + WINDOW_MS)
        self._plan(window, at_ms)
        out: list[WorldEvent] = []
        for extra, book in zip(made, window.books, strict=True):
            out += [Listed(extra.market, extra.details), book.snapshot()]
        return out

    def _move_window(self, window: _Window, at_ms: int) -> list[WorldEvent]:
        """It wanders, and in its last minute goes where it will end."""
        if at_ms >= window.closes_ms:
            return []
        self._schedule(at_ms + self._random.randrange(*STEP_MS), lambda then_ms: self._move_window(window, then_ms))
        if window.closes_ms - at_ms < 60_000:
            window.fair += 3 * CENT if window.ends_high else -3 * CENT
        else:
            window.fair += self._random.choice((-CENT, 0, CENT))
        window.fair = min(max(window.fair, 2 * CENT), ONE - 2 * CENT)
        out: list[WorldEvent] = []
        if not window.fine and not LOW <= window.fair <= HIGH:
            window.fine = True
            out += [self._refine(book) for book in window.books]
        for book in window.books:
            out += book.move(window.fair)
            if self._random.randrange(4) == 0:
                out += book.trade(at_ms)
        return out

    @staticmethod
    def _refine(book: SmallBook) -> TicksChanged:
        """A tenth of a cent from now on: at Polymarket everywhere, at Kalshi at the edges."""
        book.tick = TENTH
        key = book.market.key
        ticks = (TickRange(TENTH, Micros(ONE - TENTH), TENTH),) if key.venue == POLYMARKET else extras.TAPERED
        return TicksChanged(key, ticks)

    def _close(self, window: _Window, at_ms: int) -> list[WorldEvent]:
        """Trading ends; in a moment it is determined, then perhaps disputed, then settled."""
        yes_pays, void = (ONE if window.ends_high else ZERO), False
        if self._random.randrange(SPLIT_ONE_IN) == 0:
            yes_pays = Micros(ONE // 2)
        elif self._random.randrange(VOID_ONE_IN) == 0:
            yes_pays, void = Micros(ONE // 2), True
        disputed = self._random.randrange(DISPUTED_ONE_IN) == 0

        def goes(stage: Stage) -> Callable[[int], list[WorldEvent]]:
            return lambda _: [StageChanged(b.market.key, stage, yes_pays, void) for b in window.books]

        settles_ms = at_ms + SETTLED_AFTER_MS
        self._schedule(at_ms + DETERMINED_AFTER_MS, goes(Stage.DETERMINED))
        if disputed:
            self._schedule(at_ms + SETTLED_AFTER_MS, goes(Stage.DISPUTED))
            settles_ms += DISPUTED_FOR_MS
        self._schedule(settles_ms, goes(Stage.SETTLED))
        out: list[WorldEvent] = []
        for book in window.books:
            out += [StageChanged(book.market.key, Stage.CLOSED), book.clear()]
        return out

    # -- groups --

    def _move_group(self, at_ms: int) -> list[WorldEvent]:
        """One market of a group moves a cent around where it began, or trades."""
        self._schedule(at_ms + self._random.randrange(*STEP_MS), self._move_group)
        book, fair = self._random.choice(self._groups)
        if self._random.randrange(3) == 0:
            return [*book.trade(at_ms)]
        return [*book.move(fair + self._random.choice((-CENT, 0, CENT)))]

    def _begin_fees(self, at_ms: int) -> list[WorldEvent]:
        """On one event of a group other fees begin; later its series' are back."""
        market = self._random.choice([book.market for book, _ in self._groups if book.market.key.venue == KALSHI])
        self._schedule(at_ms + FEES_LAST_MS, lambda _: [FeesChanged(market.key, KalshiFees())])
        self._schedule(at_ms + 2 * FEES_LAST_MS, self._begin_fees)
        return [FeesChanged(market.key, OVERRIDE)]

    # -- pauses --

    def _pause(self, at_ms: int) -> list[WorldEvent]:
        """A market of a pair pauses: nothing moves on it."""
        self._schedule(at_ms + self._random.randrange(*PAUSE_EVERY_MS), self._pause)
        market = self._random.choice(self._base.markets)
        if market.key in self._paused:
            return []
        self._paused[market.key] = None
        self._schedule(at_ms + self._random.randrange(*PAUSE_LASTS_MS), lambda then_ms: self._reactivate(market, then_ms))
        return [StageChanged(market.key, Stage.PAUSED)]

    def _reactivate(self, market: Market, at_ms: int) -> list[WorldEvent]:
        """What rested was cancelled; orders come back a moment later."""
        self._schedule(at_ms + EMPTY_MS, lambda _: self._refill(market))
        return [StageChanged(market.key, Stage.ACTIVE), BookSnapshot(market.yes_key, (), ())]

    def _refill(self, market: Market) -> list[WorldEvent]:
        del self._paused[market.key]
        return [self._base.book_of(market.key)]


def _key_of(event: WorldEvent) -> MarketKey:
    return event.market if isinstance(event, Listed | StageChanged | TicksChanged | FeesChanged) else event.outcome.market_key
