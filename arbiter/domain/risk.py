"""The risk gate: every order passes it, and only `Approved` reaches a desk.

Open orders reserve exposure, so two orders cannot pass a limit together. Missing or stale input refuses what adds to
a position; what only reduces one needs nothing but the held size.
"""

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketKey
from arbiter.domain.ledger import Position
from arbiter.domain.limits import TierLimits
from arbiter.domain.market import Market, MarketStatus
from arbiter.domain.money import MICRO, ZERO, Micros, format_dollars, format_micros, pico_ceil
from arbiter.domain.order import Order, TimeInForce
from arbiter.domain.wallet import CashPool


class Exposure(msgspec.Struct, frozen=True):
    """What a user holds and what rests: everything that may already become theirs."""

    positions: tuple[Position, ...] = ()
    resting: tuple[Order, ...] = ()
    cash: tuple[CashPool, ...] | None = None
    """What there is to buy with, by venue; a venue without a pool has nothing. None: cash is the venue's business."""


class Approved(msgspec.Struct, frozen=True):
    """The order may be sent."""

    order: Order


class Refused(msgspec.Struct, frozen=True):
    """The order may not be sent: `code` for programs, `detail` with its numbers for people."""

    code: str
    detail: str


Verdict = Approved | Refused


def check(order: Order, market: Market, limits: TierLimits, exposure: Exposure, *, book_fresh: bool, suspended: bool) -> Verdict:
    """Whether this order may be sent, given everything that is known."""
    problem = _shape(order, market)
    if problem is None:
        if order.side is Side.SELL:
            problem = _reduction(order, exposure)
        else:
            problem = _entry_conditions(market, book_fresh, suspended) or _entry_limits(order, limits, exposure)
    return problem or Approved(order)


def _shape(order: Order, market: Market) -> Refused | None:
    """What the venue itself would refuse."""
    if market.status is not MarketStatus.OPEN:
        return Refused("MARKET_NOT_OPEN", f"the market is {market.status.value}")
    if not market.on_grid(order.price):
        return Refused("PRICE_OFF_GRID", f"a price of {format_micros(order.price)} is not on the market's grid")
    if order.size % market.size_step or order.size <= 0:
        return Refused("SIZE_OFF_GRID", f"a size of {format_micros(order.size)} is not a multiple of {format_micros(market.size_step)}")
    if order.size < market.min_size:
        return Refused("BELOW_MIN_SIZE", f"the market's smallest order is {format_micros(market.min_size)}")
    if order.price * order.size < market.min_notional * MICRO:
        return Refused("BELOW_MIN_NOTIONAL", f"the market's smallest order is worth {format_dollars(market.min_notional)}")
    immediate_buy = order.side is Side.BUY and order.tif is not TimeInForce.GTC
    if immediate_buy and market.notional_step and order.price * order.size % (market.notional_step * MICRO):
        step = format_micros(market.notional_step)
        return Refused("NOTIONAL_OFF_GRID", f"for an immediate buy, price times size must be a multiple of ${step}")
    return None


def _reduction(order: Order, exposure: Exposure) -> Refused | None:
    held = sum(p.size for p in exposure.positions if p.outcome == order.outcome)
    promised = sum(o.remaining for o in exposure.resting if o.outcome == order.outcome and o.side is Side.SELL)
    if order.size > held - promised:
        free = format_micros(max(0, held - promised))
        return Refused("MORE_THAN_HELD", f"{free} can be sold: {format_micros(held)} held, {format_micros(promised)} in open orders")
    return None


def _entry_conditions(market: Market, book_fresh: bool, suspended: bool) -> Refused | None:
    if suspended:
        return Refused("SUSPENDED", "the account is suspended; it may reduce and cancel, not buy")
    if market.fees is None:
        return Refused("UNKNOWN_FEES", "the market's fee schedule is not known")
    if not book_fresh:
        return Refused("STALE_BOOK", "the venue's book is not available or not fresh")
    return None


def _entry_limits(order: Order, limits: TierLimits, exposure: Exposure) -> Refused | None:
    market = order.outcome.market_key
    occupied: set[MarketKey] = {p.outcome.market_key for p in exposure.positions if p.size}
    buys = [o for o in exposure.resting if o.side is Side.BUY]
    occupied.update(o.outcome.market_key for o in buys)
    if market not in occupied and len(occupied) >= limits.open_positions:
        return Refused("TOO_MANY_POSITIONS", f"{len(occupied)} positions are open and the tier allows {limits.open_positions}")
    held = sum(p.cost for p in exposure.positions if p.outcome.market_key == market)
    reserved = sum(_worst_cost(o) for o in buys if o.outcome.market_key == market)
    total = Micros(held + reserved + _worst_cost(order))
    if total > limits.largest_position:
        return Refused(
            "POSITION_TOO_LARGE",
            f"the position would cost up to {format_dollars(total)} and the tier allows {format_dollars(limits.largest_position)}",
        )
    return _cash(order, exposure)


def _cash(order: Order, exposure: Exposure) -> Refused | None:
    """The limit price times the size must be there beside what open orders may need. Fees come on top and may overdraw by cents."""
    if exposure.cash is None:
        return None
    available = next((pool.available for pool in exposure.cash if pool.venue == order.outcome.venue), ZERO)
    worst = _worst_cost(order)
    if worst > available:
        detail = f"it may cost {format_dollars(worst)}, and {format_dollars(available)} is available on {order.outcome.venue}"
        return Refused("NOT_ENOUGH_CASH", detail)
    return None


def _worst_cost(order: Order) -> Micros:
    return pico_ceil(order.price * order.remaining)
