"""In what the venues' matching differs, as data."""

import msgspec

from arbiter.domain.ids import KALSHI, POLYMARKET, VenueId


class Rules(msgspec.Struct, frozen=True):
    """One venue's ways.

    `nets`: YES and NO of one account cancel each other out at once, and to sell what one lacks is to buy the other outcome.
    `amends`, `reduces`: amend and decrease; reduce-only. `kill_refuses`: a FOK or FAK that finds nothing is an error, not
    an order that ended. `trade_per_level`: one trade for each price of one arriving order, not one for each order met.
    `settles_by`: how long after each other a trade's steps come, ms; None: a trade is final at once. `pays_out`: a settled
    market pays by itself; else each account redeems. `survives_pause`: resting orders outlast a pause, but not its end.
    `least_life_ms`: how far ahead a GTD's time must lie; `expires_early_ms`: how long before it the order goes.
    `immediate_step`: the step of sizes, in micros, of a FOK or FAK that buys; 0: the market's.
    """

    venue: VenueId
    nets: bool
    amends: bool
    reduces: bool
    kill_refuses: bool
    trade_per_level: bool
    settles_by: int | None
    pays_out: bool
    survives_pause: bool
    least_life_ms: int = 0
    expires_early_ms: int = 0
    immediate_step: int = 0


POLYMARKET_RULES = Rules(
    POLYMARKET,
    nets=False,
    amends=False,
    reduces=False,
    kill_refuses=True,
    trade_per_level=True,
    settles_by=2_000,
    pays_out=False,
    survives_pause=False,
    least_life_ms=180_000,
    expires_early_ms=60_000,
    immediate_step=100,
)
"""Sheet, A5.1 and A11. How long the steps of a trade take there is not stated; some seconds is what is seen."""

KALSHI_RULES = Rules(
    KALSHI,
    nets=True,
    amends=True,
    reduces=True,
    kill_refuses=False,
    trade_per_level=False,
    settles_by=None,
    pays_out=True,
    survives_pause=True,
)
"""Sheet, B6, B7 and B12."""
