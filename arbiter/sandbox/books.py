"""The sandbox's own view of its markets: YES as the world tells it, NO as its mirror, and what was traded.

Both venue engines keep one `MarketBooks` for each market. Nothing here knows a wire format.
"""

import msgspec

from arbiter.domain.book import Book, BookSnapshot, Level, LevelChange, Levels, PublicTrade, Side
from arbiter.domain.ids import OutcomeId, OutcomeKey
from arbiter.domain.market import Market
from arbiter.domain.money import ZERO, Micros
from arbiter.sandbox.candles import Candles
from arbiter.sandbox.world import PLAIN, STAGE_OF, BookEvent, Details, FeesChanged, Stage, StageChanged, TicksChanged

Touch = tuple[Level | None, Level | None]
"""Best bid and best ask with their sizes."""


class MarketBooks:
    """One market: both its books, its last trade, its volume, its past, and where it stands in its life."""

    def __init__(self, market: Market, details: Details = PLAIN, listed_ms: int = 0) -> None:
        self.market = market
        self.details = details
        self.listed_ms = listed_ms
        """When it appeared, Unix ms; 0: it was there from the start."""
        self.stage = STAGE_OF.get(market.status, Stage.CLOSED)
        self.since_ms: dict[Stage, int] = {}
        """When it came to a stage, Unix ms; those that it came to while we looked."""
        self.yes_pays: Micros | None = None
        """What one YES pays, once that is determined."""
        self.void = False
        self.fees_overridden = False
        self.candles = Candles()
        self.yes = Book(market.yes_key)
        self.no = Book(market.no_key)
        self.changed_ms = 0
        """When a book last changed, Unix ms."""
        self.last_price: Micros = ZERO
        """Of YES, at the last public trade; 0 when there was none."""
        self.last_size: Micros = ZERO
        self.last_side: Side | None = None
        """The taker's, at the last public trade."""
        self.volume: Micros = ZERO
        """Shares or contracts traded."""
        self.turnover_pico = 0
        """Dollars traded, in 10^-12."""

    def of(self, outcome: OutcomeId) -> Book:
        """The book of one outcome."""
        return self.yes if outcome == self.market.yes.id else self.no

    @property
    def touch(self) -> Touch:
        """Of YES."""
        return self.yes.best_bid, self.yes.best_ask

    def yes_size_at(self, side: Side, price: int) -> Micros:
        """What rests at one price of the YES book."""
        levels = self.yes.bids() if side is Side.BUY else self.yes.asks()
        return next((level.size for level in levels if level.price == price), ZERO)

    @property
    def over(self) -> bool:
        """Nobody trades it any more."""
        return self.stage in (Stage.CLOSED, Stage.DETERMINED, Stage.DISPUTED, Stage.SETTLED)

    def live(self, event: StageChanged | TicksChanged | FeesChanged, now_ms: int) -> None:
        """Something happened in its life."""
        if isinstance(event, TicksChanged):
            self.market = msgspec.structs.replace(self.market, ticks=event.ticks)
        elif isinstance(event, FeesChanged):
            self.market, self.fees_overridden = msgspec.structs.replace(self.market, fees=event.fees), True
        else:
            self.stage = event.stage
            self.since_ms[event.stage] = now_ms
            if event.yes_pays is not None:
                self.yes_pays, self.void = event.yes_pays, event.void

    def apply(self, event: BookEvent, now_ms: int) -> None:
        """Fold a world event into both books. A public trade alone changes no book: the world says what is left."""
        payout = self.market.payout
        before = self.touch
        self._fold(event, now_ms, payout)
        if isinstance(event, PublicTrade):
            self.candles.trade(now_ms, event.price, event.size)
        elif (after := self.touch) != before:
            bid, ask = after
            self.candles.quote(now_ms, bid.price if bid else ZERO, ask.price if ask else payout)

    def _fold(self, event: BookEvent, now_ms: int, payout: Micros) -> None:
        if isinstance(event, PublicTrade):
            self.last_price, self.last_size, self.last_side = event.price, event.size, event.side
            self.volume = Micros(self.volume + event.size)
            self.turnover_pico += event.price * event.size
            return
        self.changed_ms = now_ms
        if isinstance(event, BookSnapshot):
            self.yes.apply_snapshot(event)
            self.no.apply_snapshot(BookSnapshot(self.market.no_key, _mirror(event.asks, payout), _mirror(event.bids, payout)))
        else:
            self.yes.apply_change(event)
            self.no.apply_change(mirrored(event, self.market.no_key, payout))


def mirrored(change: LevelChange, outcome: OutcomeKey, payout: int) -> LevelChange:
    """The same change as the complement's book shows it: a YES bid at p is a NO ask at 1 - p."""
    side = Side.SELL if change.side is Side.BUY else Side.BUY
    return LevelChange(outcome, side, Micros(payout - change.price), change.size, change.signed)


def _mirror(levels: Levels, payout: int) -> Levels:
    return tuple(Level(Micros(payout - price), size) for price, size in levels)
