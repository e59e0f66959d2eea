"""Cash: what a paper account began with on each venue and what its ledger made of it.

A position's `realised - cost` is all the cash that ever went through it: a buy takes its cash from `cost` and its fee
from `realised`, a sale or settlement brings its proceeds to `realised` and takes its share out of both. So the sum over
every position, closed ones too, is the account's cash flow, exactly.
"""

from collections.abc import Iterable

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import VenueId
from arbiter.domain.ledger import Position
from arbiter.domain.money import MICRO, ZERO, Micros, pico_ceil
from arbiter.domain.order import Order

PAPER_CASH = Micros(10_000 * MICRO)
"""What a paper account begins with on each venue."""


class CashPool(msgspec.Struct, frozen=True):
    """One venue's cash, and how much of it open buy orders may still need (at their limits, without fees)."""

    venue: VenueId
    cash: Micros
    reserved: Micros = ZERO

    @property
    def available(self) -> Micros:
        return Micros(max(0, self.cash - self.reserved))


def cash_pools(venues: Iterable[VenueId], positions: Iterable[Position], open_orders: Iterable[Order]) -> tuple[CashPool, ...]:
    """A paper account's cash on each of the venues, by venue. `positions` must hold the closed ones too."""
    cash = dict.fromkeys(sorted(venues), int(PAPER_CASH))
    reserved = dict.fromkeys(cash, 0)
    for position in positions:
        if position.outcome.venue in cash:
            cash[position.outcome.venue] += position.realised - position.cost
    for order in open_orders:
        if order.side is Side.BUY and not order.state.is_final and order.outcome.venue in cash:
            reserved[order.outcome.venue] += pico_ceil(order.price * order.remaining)
    return tuple(CashPool(venue, Micros(cash[venue]), Micros(reserved[venue])) for venue in cash)
