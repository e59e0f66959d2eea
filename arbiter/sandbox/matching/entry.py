"""How an order comes in: what it is refused for, what it meets, what remains of it."""

from typing import NamedTuple

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.money import Micros, format_micros
from arbiter.sandbox.matching.execution import check_funds, execute
from arbiter.sandbox.matching.floor import Floor, TradedMarket
from arbiter.sandbox.matching.orders import LiveOrder, NewOrder, OrderRecord, Status, Tif, Why, opposite
from arbiter.sandbox.matching.plan import Arrival, Budget, Plan, plan, would_cross
from arbiter.sandbox.matching.refused import Reason, Refused
from arbiter.sandbox.matching.trades import Trade


class Placed(NamedTuple):
    """What the answer to the request says: the order as it stands now, and the trades that it made at once."""

    order: OrderRecord
    trades: tuple[Trade, ...]


def place(floor: Floor, request: NewOrder, now_ms: int) -> Placed:
    """Raises Refused, and then nothing has changed."""
    traded = _known(floor, request)
    check_shape(floor, traded, request, now_ms)
    request = _normal(floor, traded, request)
    order = LiveOrder(_record(traded, request, now_ms), floor.meter(traded.listing))
    found = look(floor, order)
    if request.post_only and would_cross(traded.queues, order.record.yes_side, order.record.yes_price):
        raise Refused(Reason.POST_ONLY_CROSS)
    _check_worth(traded, order, found)
    found = _killed(floor, order, found)
    if found.size and traded.listing.taker_delay_ms:
        return _delay(floor, order, now_ms)
    check_funds(floor, order, found, rests=request.tif.rests and not found.stopped)
    floor.register(order)
    return enter(floor, order, found, now_ms)


def look(floor: Floor, order: LiveOrder, *, replaces: bool = False) -> Plan:
    """Whom it would meet now. `replaces`: it is in the book itself, at other terms."""
    record, traded = order.record, floor.market_of(order)
    size: int = record.remaining
    if record.request.reduce_only:
        held = floor.owner(order).net(traded.listing)
        size = min(size, max(0, -held if record.yes_side is Side.BUY else held))
    request, rules, market = record.request, floor.rules, traded.listing
    budget = None
    if request.spend:
        budget = Budget(request.spend, rules.immediate_step or market.size_step or 1, 0 if record.yes else market.payout)
    skip = order if replaces else None
    return plan(traded.queues, Arrival(record.yes_side, record.yes_price, size, record.account, request.self_trade, skip, budget=budget))


def enter(floor: Floor, order: LiveOrder, found: Plan, now_ms: int) -> Placed:
    """It meets what was found, and the rest of it rests or ends. Its funds were looked at."""
    traded, record = floor.market_of(order), order.record
    if record.request.spend and found.takes:
        size = Micros(found.size if found.spent_all else max(record.size, found.size))
        order.record = msgspec.structs.replace(record, size=size)
    trades = execute(floor, traded, order.record.yes_side, order, found, now_ms)
    if order.record.remaining:
        if found.stopped:
            floor.end(order, Why.SELF_TRADE, now_ms)
        elif not order.record.request.tif.rests:
            capped = order.record.request.reduce_only and floor.owner(order).net(traded.listing) == 0
            floor.end(order, Why.REDUCE_ONLY if capped else Why.UNFILLED, now_ms)
        else:
            traded.queues.join(order)
            floor.hold(order)
            floor.expire(order, now_ms)
    floor.publish(traded)
    return Placed(order.record, tuple(trades))


def resume(floor: Floor, order: LiveOrder, now_ms: int) -> None:
    """The taker delay of an order is over: it is matched against what is there now, or ends."""
    if not floor.market_of(order).active:
        floor.end(order, Why.HALTED, now_ms)
        return
    floor.release(order)
    order.due_ms = 0
    found = look(floor, order)
    request = order.record.request
    if request.tif is Tif.FOK and _short(order, found):
        found = Plan()
    floor.change(order, msgspec.structs.replace(order.record, status=Status.RESTING, why=Why.PLACED, updated_ms=now_ms))
    try:
        check_funds(floor, order, found, rests=request.tif.rests and not found.stopped)
    except Refused:
        floor.end(order, Why.MARGIN, now_ms)
    else:
        enter(floor, order, found, now_ms)


def _delay(floor: Floor, order: LiveOrder, now_ms: int) -> Placed:
    """Held back: it keeps what it needs, but is not in the book."""
    order.record = msgspec.structs.replace(order.record, status=Status.DELAYED, why=Why.DELAYED)
    check_funds(floor, order, Plan(), rests=True)
    floor.register(order)
    floor.hold(order)
    floor.wake(order, now_ms + floor.market_of(order).listing.taker_delay_ms)
    return Placed(order.record, ())


def _killed(floor: Floor, order: LiveOrder, found: Plan) -> Plan:
    """All or nothing, or something at least: else a refusal, or nothing at all, as the venue does."""
    request = order.record.request
    short = request.tif is Tif.FOK and _short(order, found)
    if short and floor.rules.kill_refuses:
        raise Refused(Reason.FOK_UNFILLED)
    if request.tif is Tif.FAK and not found.size and floor.rules.kill_refuses:
        raise Refused(Reason.FAK_UNFILLED)
    return Plan(stopped=found.stopped) if short else found


def _short(order: LiveOrder, found: Plan) -> bool:
    """Whether this is not all that it wanted."""
    return not found.spent_all if order.record.request.spend else found.size < order.record.remaining


def _known(floor: Floor, request: NewOrder) -> TradedMarket:
    traded = floor.markets.get(request.outcome.market_key)
    if traded is None or request.outcome not in (traded.listing.yes_key, traded.listing.no_key):
        raise Refused(Reason.UNKNOWN_MARKET, str(request.outcome))
    if not traded.active:
        raise Refused(Reason.MARKET_INACTIVE, traded.stage.value)
    if request.id in floor.orders or (request.client_id and (request.account, request.client_id) in floor.by_client_id):
        raise Refused(Reason.DUPLICATE, request.client_id or request.id)
    return traded


def check_shape(floor: Floor, traded: TradedMarket, request: NewOrder, now_ms: int) -> None:
    """What is wrong with a request whatever the book. Raises Refused."""
    market, rules, tif = traded.listing, floor.rules, request.tif
    if not market.on_grid(request.price):
        raise Refused(Reason.PRICE, format_micros(request.price))
    step = rules.immediate_step if rules.immediate_step and not tif.rests and request.side is Side.BUY else market.size_step
    if request.size <= 0 or request.size % (step or 1):
        raise Refused(Reason.SIZE, format_micros(request.size))
    if tif.rests and request.size < market.min_size:
        raise Refused(Reason.TOO_SMALL, format_micros(market.min_size))
    if request.reduce_only and (not rules.reduces or tif is not Tif.FAK):
        raise Refused(Reason.COMBINATION, "reduce-only")
    if request.post_only and not tif.rests:
        raise Refused(Reason.COMBINATION, "post-only")
    if request.spend and (rules.nets or tif.rests or request.side is not Side.BUY):
        raise Refused(Reason.COMBINATION, "spend")
    if (tif is Tif.GTD) != bool(request.expires_ms):
        raise Refused(Reason.EXPIRATION)
    if tif is Tif.GTD and (request.expires_ms <= now_ms or request.expires_ms < now_ms + rules.least_life_ms):
        raise Refused(Reason.EXPIRATION)


def _normal(floor: Floor, traded: TradedMarket, request: NewOrder) -> NewOrder:
    """Where positions net, to sell an outcome is to buy the other one."""
    if not floor.rules.nets or request.side is Side.BUY:
        return request
    market = traded.listing
    other, price = market.complement(request.outcome.outcome), Micros(market.payout - request.price)
    return msgspec.structs.replace(request, outcome=other, side=opposite(request.side), price=price)


def _record(traded: TradedMarket, request: NewOrder, now_ms: int) -> OrderRecord:
    market = traded.listing
    return OrderRecord(
        request=request,
        yes=request.outcome == market.yes_key,
        payout=market.payout,
        fees=market.fees,
        initial=request.size,
        size=request.size,
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def _check_worth(traded: TradedMarket, order: LiveOrder, found: Plan) -> None:
    """A buy that would trade at once must be worth something."""
    record = order.record
    if record.side is Side.BUY and found.size and record.cost < traded.listing.min_notional:
        raise Refused(Reason.MARKETABLE_TOO_SMALL, format_micros(record.cost))
