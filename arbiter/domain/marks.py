"""What a position is worth now: its mark, its unrealised P&L, and what selling it would bring."""

import msgspec

from arbiter.domain.book import Levels
from arbiter.domain.ledger import Position
from arbiter.domain.money import Micros, pico_floor

WIDEST_MID_SPREAD = Micros(50_000)
"""The mid is a fair mark only while the spread is at most 5 cents; beyond it the bid is."""


class Mark(msgspec.Struct, frozen=True):
    """`price` is None without a usable book; then nothing is known of the value but its cost. All in micros."""

    price: Micros | None = None
    unrealised: Micros | None = None
    exit_value: Micros | None = None


def mark(position: Position, bids: Levels, asks: Levels) -> Mark:
    """Value a position against a book (best first on both sides); empty bids give no mark."""
    if not bids:
        return Mark()
    bid = bids[0].price
    price = bid
    if asks and 0 <= asks[0].price - bid <= WIDEST_MID_SPREAD:
        price = Micros((bid + asks[0].price) // 2)
    value = pico_floor(price * position.size)
    return Mark(price, Micros(value - position.cost), exit_value(position.size, bids))


def exit_value(size: int, bids: Levels) -> Micros:
    """What selling `size` into these bids would bring before fees; what finds no bid brings nothing."""
    pico = 0
    for price, available in bids:
        taken = min(size, available)
        pico += taken * price
        size -= taken
        if not size:
            break
    return pico_floor(pico)
