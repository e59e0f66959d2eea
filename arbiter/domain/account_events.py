"""What a venue tells of one account: its orders, fills, positions, cash, settlements. In one form for all venues.

A connector turns the venue's words into these and decides nothing. The order desk joins them with what it keeps by `client_id`
(ours) or `venue_id` (the venue's). Nothing here is in order or told once: events repeat, and a fill may come before its order.
"""

from enum import Enum
from typing import TypeVar

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketKey, OutcomeKey, VenueId
from arbiter.domain.money import ONE, Micros, pico_ceil, pico_floor


class Standing(Enum):
    """Where an order stands at the venue. How much was filled is said apart: a CANCELLED one may have been filled in part."""

    RESTING = "resting"
    EXECUTED = "executed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """A word that we do not know: read the order again, conclude nothing."""


class OrderTold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An order as it stands at the venue. Money and sizes in micros, times in UTC ms, 0 where not told.

    `size` is what was asked for, `remaining` what still rests; `filled` need not be `size - remaining`: what an order that takes
    at once could not get is in neither. `fees` and `cash` are all that its fills cost or brought; None: not told.
    `said` is the venue's own word for the standing, `reason` that for the last change.
    """

    venue_id: str
    client_id: str = ""
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    filled: Micros
    remaining: Micros
    standing: Standing
    said: str = ""
    reason: str = ""
    fees: Micros | None = None
    cash: Micros | None = None
    group: str = ""
    shard: int | None = None
    subaccount: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    expires_ms: int = 0


class FillTold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One execution of one order. `fee` as the venue charged it, in micros; None: not told. `taker` None: not told.

    `position_after` is what was held of `outcome` after it, negative for the complement; only where the venue nets and says so.
    """

    trade_id: str
    venue_id: str
    client_id: str = ""
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    fee: Micros | None = None
    taker: bool | None = None
    position_after: Micros | None = None
    shard: int | None = None
    subaccount: int = 0
    at_ms: int = 0

    @property
    def cash(self) -> Micros:
        """What changed hands for the shares, without the fee; what does not come out even is rounded against us."""
        pico = self.price * self.size
        return pico_ceil(pico) if self.side is Side.BUY else pico_floor(pico)


class PositionTold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What is held of an outcome. Where the venue nets, nothing is held of the complement then. Money: None where not told.

    `cost` is what the position cost without fees; `realised` and `fees` are the whole market's so far.
    """

    outcome: OutcomeKey
    size: Micros
    cost: Micros | None = None
    realised: Micros | None = None
    fees: Micros | None = None
    shard: int | None = None
    subaccount: int = 0
    updated_ms: int = 0


class CashTold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Cash that can be spent in one pool, in micros. `shard` None: in all of them together, as far as the venue says."""

    venue: VenueId
    cash: Micros
    shard: int | None = None
    subaccount: int = 0
    updated_ms: int = 0


class SettlementTold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A market was settled for this account: `cash` came in, in micros. `yes_payout` None: void, or a result we do not know (`said`)."""

    market: MarketKey
    said: str
    yes_payout: Micros | None
    yes_size: Micros
    no_size: Micros
    cash: Micros
    fee: Micros | None = None
    shard: int | None = None
    at_ms: int = 0


class GroupEvent(Enum):
    """What became of a group of orders. TRIGGERED: its limit was hit, its orders are cancelled, new ones refused until RESET."""

    CREATED = "created"
    TRIGGERED = "triggered"
    RESET = "reset"
    DELETED = "deleted"
    LIMIT_CHANGED = "limit changed"
    UNKNOWN = "unknown"


class OrderGroupTold(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something happened to a group of orders; `limit` in micros of a contract, None where not told."""

    venue: VenueId
    group: str
    event: GroupEvent
    said: str = ""
    limit: Micros | None = None
    at_ms: int = 0


AccountEvent = OrderTold | FillTold | PositionTold | CashTold | SettlementTold | OrderGroupTold

Directed = TypeVar("Directed", OrderTold, FillTold)


def opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def seen_from(told: Directed, outcome: OutcomeKey, payout: Micros = ONE) -> Directed:
    """The same in the terms of the market's other outcome: buying NO at p is selling YES at `payout - p`.

    A venue with one book need not repeat in which terms an order was placed, so an event is brought to those of our own
    order before it is booked. Seen from there and back it is the same. ValueError for another market's outcome.
    """
    if outcome == told.outcome:
        return told
    if outcome.market_key != told.outcome.market_key:
        raise ValueError(f"{outcome} is no outcome of the market of {told.outcome}")
    changed = msgspec.structs.replace(told, outcome=outcome, side=opposite(told.side), price=Micros(payout - told.price))
    if isinstance(changed, FillTold) and changed.position_after is not None:
        return msgspec.structs.replace(changed, position_after=Micros(-changed.position_after))
    return changed


def netted(fill: FillTold, complement: OutcomeKey, payout: Micros = ONE) -> tuple[FillTold, ...]:
    """A fill at a venue that nets, as what it did to holdings: first the sale of what was held, then the purchase of the rest.

    Buying 10 YES with 4 NO held sells those and buys 6; selling YES that is not held buys NO. `complement` is the market's
    other outcome than the fill's. The parts share the trade's id and its fee, which adds up. As it is without `position_after`.
    """
    if fill.position_after is None:
        return (fill,)
    buys = fill.side is Side.BUY
    before = fill.position_after - fill.size if buys else fill.position_after + fill.size
    closed = min(fill.size, max(0, -before if buys else before))
    parts = _split(fill, closed)
    closing, opening = (complement, fill.outcome) if buys else (fill.outcome, complement)
    return tuple(seen_from(part, outcome, payout) for part, outcome in zip(parts, (closing, opening), strict=True) if part.size)


def _split(fill: FillTold, first: int) -> tuple[FillTold, FillTold]:
    share = None if fill.fee is None else Micros(fill.fee * first // fill.size)
    rest = None if fill.fee is None or share is None else Micros(fill.fee - share)
    between = fill.position_after if first == fill.size else Micros(0)
    replace = msgspec.structs.replace
    return replace(fill, size=Micros(first), fee=share, position_after=between), replace(fill, size=Micros(fill.size - first), fee=rest)
