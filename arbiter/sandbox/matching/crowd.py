"""Everybody else: what the world says of the book, brought into the queues. Where it reaches an account's order, it trades with it."""

from arbiter.domain.book import BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.money import Micros
from arbiter.sandbox.matching.execution import execute
from arbiter.sandbox.matching.floor import Floor, TradedMarket
from arbiter.sandbox.matching.plan import Arrival, plan
from arbiter.sandbox.world import BookEvent


def apply(floor: Floor, event: BookEvent, now_ms: int) -> None:
    """Fold one of the world's book events in. Sizes finer than the market's step are cut down to it."""
    traded = floor.markets[event.outcome.market_key]
    if isinstance(event, PublicTrade):
        _trade(floor, traded, event, now_ms)
        floor.publish(traded)
    elif isinstance(event, LevelChange):
        _quote(floor, traded, event.side, event.price, event.size, now_ms)
        floor.publish(traded)
    else:
        _replace(floor, traded, event, now_ms)
        floor.publish_whole(traded)


def clear(traded: TradedMarket) -> None:
    """The crowd has gone."""
    for side in Side:
        for price in traded.queues.prices(side):
            traded.queues.set_crowd(side, price, 0)


def _replace(floor: Floor, traded: TradedMarket, snapshot: BookSnapshot, now_ms: int) -> None:
    """Removals of both sides first: what is no longer there must not be met on the way."""
    sides: tuple[tuple[Side, tuple[Level, ...]], ...] = ((Side.BUY, snapshot.bids), (Side.SELL, snapshot.asks))
    for side, levels in sides:
        kept = {price for price, _ in levels}
        for price in traded.queues.prices(side):
            if price not in kept:
                traded.queues.set_crowd(side, price, 0)
    for side, levels in sides:
        for price, size in levels:
            _quote(floor, traded, side, price, size, now_ms)


def _quote(floor: Floor, traded: TradedMarket, side: Side, price: int, size: int, now_ms: int) -> None:
    """The crowd's size at a price. What is new of it meets the accounts' orders first; the world keeps it from its own."""
    queues = traded.queues
    size -= size % (traded.listing.size_step or 1)
    grown = size - queues.crowd(side, price)
    if grown > 0 and traded.active:
        found = plan(queues, Arrival(side, price, grown, owned_only=True))
        execute(floor, traded, side, None, found, now_ms)
        size -= found.size
    queues.set_crowd(side, price, size)


def _trade(floor: Floor, traded: TradedMarket, trade: PublicTrade, now_ms: int) -> None:
    """Two of the crowd traded, says the world: whoever of ours stood before them gets his part. The tape tells the rest."""
    rest = trade.size
    if traded.active:
        size = trade.size - trade.size % (traded.listing.size_step or 1)
        found = plan(traded.queues, Arrival(trade.side, trade.price, size))
        ours = execute(floor, traded, trade.side, None, found, now_ms)
        rest = Micros(rest - sum(each.taker.size for each in ours))
    if rest:
        floor.public.append(PublicTrade(trade.outcome, trade.price, rest, trade.side, trade.venue_ms, trade.id))
