"""The sandbox's own view of its markets' books: YES as the world tells it, NO as its mirror."""

from arbiter.domain.book import Book, BookSnapshot, Level, LevelChange, Levels, Side
from arbiter.domain.ids import OutcomeId, OutcomeKey
from arbiter.domain.market import Market
from arbiter.domain.money import Micros
from arbiter.sandbox.world import WorldEvent


class MarketBooks:
    """Both books of one market."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.yes = Book(market.yes_key)
        self.no = Book(market.no_key)

    def of(self, outcome: OutcomeId) -> Book:
        """The book of one outcome."""
        return self.yes if outcome == self.market.yes.id else self.no

    def apply(self, event: WorldEvent) -> None:
        """Fold a world event into both books. A public trade changes nothing by itself."""
        payout = self.market.payout
        if isinstance(event, BookSnapshot):
            self.yes.apply_snapshot(event)
            self.no.apply_snapshot(BookSnapshot(self.market.no_key, _mirror(event.asks, payout), _mirror(event.bids, payout)))
        elif isinstance(event, LevelChange):
            self.yes.apply_change(event)
            self.no.apply_change(mirrored(event, self.market.no_key, payout))


def mirrored(change: LevelChange, outcome: OutcomeKey, payout: int) -> LevelChange:
    """The same change as the complement's book shows it: a YES bid at p is a NO ask at 1 - p."""
    side = Side.SELL if change.side is Side.BUY else Side.BUY
    return LevelChange(outcome, side, Micros(payout - change.price), change.size, change.signed)


def _mirror(levels: Levels, payout: int) -> Levels:
    return tuple(Level(Micros(payout - price), size) for price, size in levels)
