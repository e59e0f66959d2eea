"""What an account may do with its open orders: cancel, amend, decrease; and with its pairs."""

import msgspec

from arbiter.domain.ids import MarketKey, OrderId, OutcomeKey
from arbiter.domain.money import Micros, format_micros
from arbiter.sandbox.matching.entry import Placed, check_shape, enter, look
from arbiter.sandbox.matching.execution import check_funds
from arbiter.sandbox.matching.floor import Floor
from arbiter.sandbox.matching.orders import AccountId, LiveOrder, OrderRecord, Status, Tif, Why
from arbiter.sandbox.matching.plan import would_cross
from arbiter.sandbox.matching.refused import Reason, Refused


def own(floor: Floor, account: AccountId, order: OrderId) -> LiveOrder:
    """An open order of this account. Raises Refused."""
    found = floor.orders.get(order)
    if found is None or found.record.account != account or not found.record.status.is_open:
        raise Refused(Reason.NO_SUCH_ORDER, order)
    return found


def open_orders(floor: Floor, account: AccountId, market: MarketKey | None = None, outcome: OutcomeKey | None = None) -> list[LiveOrder]:
    """All of an account's, or those of one market or outcome, oldest first."""
    if account not in floor.bank.accounts:
        return []
    found = [order for orders in floor.bank.of(account).open.values() for order in orders.values()]
    found = [o for o in found if market in (None, o.record.outcome.market_key) and outcome in (None, o.record.outcome)]
    return sorted(found, key=lambda order: order.record.created_ms)


def cancel(floor: Floor, orders: list[LiveOrder], why: Why, now_ms: int) -> list[OrderRecord]:
    ended = [floor.end(order, why, now_ms) for order in orders]
    for key in dict.fromkeys(order.record.outcome.market_key for order in orders):
        floor.publish(floor.markets[key])
    return ended


def decrease(floor: Floor, order: LiveOrder, remaining: Micros, now_ms: int) -> OrderRecord:
    """So much remains of it, less than before, and it keeps its place; nothing: it is cancelled. Raises Refused."""
    if not floor.rules.amends or order.record.status is not Status.RESTING:
        raise Refused(Reason.NOT_OFFERED)
    traded = floor.market_of(order)
    if not 0 <= remaining < order.record.remaining or remaining % (traded.listing.size_step or 1):
        raise Refused(Reason.SIZE, format_micros(remaining))
    if not remaining:
        return cancel(floor, [order], Why.CANCELLED, now_ms)[0]
    size = Micros(order.record.filled + remaining)
    _shrink(floor, order, msgspec.structs.replace(order.record, size=size, why=Why.DECREASED, updated_ms=now_ms))
    return order.record


def amend(floor: Floor, order: LiveOrder, price: Micros, size: Micros, expires_ms: int, client_id: str, now_ms: int) -> Placed:
    """Other terms: `price` of its own outcome, `size` what is filled and what is to remain.
    `client_id` empty: the one it has. Raises Refused.

    Its place is kept where only the size shrinks or the expiry changes. Else it goes to the back, or meets what it crosses.
    """
    before, traded = order.record, floor.market_of(order)
    if not floor.rules.amends or before.status is not Status.RESTING:
        raise Refused(Reason.NOT_OFFERED)
    if not traded.active:
        raise Refused(Reason.MARKET_INACTIVE, traded.stage.value)
    if size <= before.filled:
        raise Refused(Reason.SIZE, format_micros(size))
    client_id = client_id or before.request.client_id
    if client_id != before.request.client_id and (before.account, client_id) in floor.by_client_id:
        raise Refused(Reason.DUPLICATE, client_id)
    tif = Tif.GTD if expires_ms else Tif.GTC
    request = msgspec.structs.replace(before.request, price=price, size=size, tif=tif, expires_ms=expires_ms, client_id=client_id)
    check_shape(floor, traded, request, now_ms)
    after = msgspec.structs.replace(before, request=request, size=size, why=Why.AMENDED, updated_ms=now_ms)
    if price == before.price and size <= before.size:
        _shrink(floor, order, after)
    else:
        return _replace(floor, order, after, now_ms)
    _rename(floor, order, before)
    floor.expire(order, now_ms)
    return Placed(order.record, ())


def _replace(floor: Floor, order: LiveOrder, after: OrderRecord, now_ms: int) -> Placed:
    """It leaves its place and comes in anew."""
    before, traded = order.record, floor.market_of(order)
    order.record = after
    try:
        found = look(floor, order, replaces=True)
        if after.request.post_only and would_cross(traded.queues, after.yes_side, after.yes_price, order):
            raise Refused(Reason.POST_ONLY_CROSS)
        check_funds(floor, order, found, rests=not found.stopped)
    finally:
        order.record = before
    traded.queues.leave(order)
    floor.release(order)
    floor.change(order, after)
    _rename(floor, order, before)
    return enter(floor, order, found, now_ms)


def _shrink(floor: Floor, order: LiveOrder, after: OrderRecord) -> None:
    traded = floor.market_of(order)
    floor.change(order, after)
    traded.queues.shrink(order)
    floor.relock(floor.owner(order), after.outcome.market_key)
    floor.publish(traded)


def _rename(floor: Floor, order: LiveOrder, before: OrderRecord) -> None:
    """It is known by its new client id too; the old one stays taken."""
    client_id = order.record.request.client_id
    if client_id != before.request.client_id:
        floor.by_client_id[before.account, client_id] = order
        order.client_ids.append(client_id)
