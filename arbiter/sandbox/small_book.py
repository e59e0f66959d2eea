"""A book of a few levels around a fair value, for the markets that live beside the generated pairs."""

from random import Random

from arbiter.domain.book import BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.market import Market
from arbiter.domain.money import MICRO, ONE, Micros
from arbiter.sandbox.world import BookEvent

DEPTH = 6
CENT = 10_000


class SmallBook:
    """Prices on a tick, sizes in hundredths. `tick` may become finer during its life."""

    def __init__(self, market: Market, random: Random, fair: int, tick: int = CENT) -> None:
        self.market = market
        self.tick = tick
        self._random = random
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self.move(fair)

    def snapshot(self) -> BookSnapshot:
        return BookSnapshot(self.market.yes_key, _levels(self._bids), _levels(self._asks))

    def move(self, fair: int) -> list[LevelChange]:
        """What leads from the book as it is to one around `fair`: removals first, so that it never crosses on the way."""
        best_bid = min(max((fair - self.tick) // self.tick * self.tick, 0), ONE - 2 * self.tick)
        best_ask = best_bid + 2 * self.tick
        bids = self._ladder(self._bids, [best_bid - i * self.tick for i in range(DEPTH)])
        asks = self._ladder(self._asks, [best_ask + i * self.tick for i in range(DEPTH)])
        changes = [*self._differences(Side.BUY, self._bids, bids), *self._differences(Side.SELL, self._asks, asks)]
        self._bids, self._asks = bids, asks
        return sorted(changes, key=lambda change: change.size > 0)

    def trade(self, at_ms: int) -> list[BookEvent]:
        """Somebody takes a third of the touch."""
        side = self._random.choice((Side.BUY, Side.SELL))
        ladder = self._asks if side is Side.BUY else self._bids
        if not ladder:
            return []
        price = min(ladder) if side is Side.BUY else max(ladder)
        taken = ladder[price] // 3 // CENT * CENT
        if not taken:
            return []
        ladder[price] -= taken
        resting = Side.SELL if side is Side.BUY else Side.BUY
        trade = PublicTrade(self.market.yes_key, Micros(price), Micros(taken), side, at_ms)
        return [trade, LevelChange(self.market.yes_key, resting, Micros(price), Micros(ladder[price]))]

    def clear(self) -> BookSnapshot:
        """Nothing rests any more."""
        self._bids, self._asks = {}, {}
        return self.snapshot()

    def _ladder(self, before: dict[int, int], prices: list[int]) -> dict[int, int]:
        """Levels that stay keep their size."""
        return {price: before.get(price) or self._size() for price in prices if 0 < price < ONE}

    def _size(self) -> int:
        return self._random.randrange(500, 30_000) * (MICRO // 100)

    def _differences(self, side: Side, before: dict[int, int], after: dict[int, int]) -> list[LevelChange]:
        changed = sorted(price for price in before.keys() | after.keys() if before.get(price) != after.get(price))
        return [LevelChange(self.market.yes_key, side, Micros(price), Micros(after.get(price, 0))) for price in changed]


def _levels(ladder: dict[int, int]) -> tuple[Level, ...]:
    return tuple(Level(Micros(price), Micros(size)) for price, size in ladder.items())
