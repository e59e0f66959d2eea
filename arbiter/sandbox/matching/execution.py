"""A plan becomes trades: shares and dollars change hands, orders are filled, everybody concerned is told."""

import copy
from typing import NamedTuple

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import Market
from arbiter.domain.money import ZERO, Micros, pico_ceil, pico_floor
from arbiter.sandbox.matching.events import Filled, OrderChanged
from arbiter.sandbox.matching.floor import Floor, TradedMarket
from arbiter.sandbox.matching.locks import locked_cash, locked_shares
from arbiter.sandbox.matching.orders import LiveOrder, OrderRecord, Status, Why
from arbiter.sandbox.matching.plan import Plan, Take
from arbiter.sandbox.matching.refused import Reason, Refused
from arbiter.sandbox.matching.trades import Leg, Trade


class Terms(NamedTuple):
    """What a party does: it buys or sells this outcome."""

    outcome: OutcomeKey
    side: Side


def terms(record: OrderRecord) -> Terms:
    return Terms(record.outcome, record.side)


def crowd_terms(other: Terms, market: Market) -> Terms:
    """The crowd always buys: the other outcome from who buys (a mint), the same one from who sells."""
    outcome, side = other
    return Terms(market.complement(outcome.outcome) if side is Side.BUY else outcome, Side.BUY)


def maker_cash(take: Take, maker: Terms, market: Market) -> Micros:
    """Dollars of the resting party: a part of a micro is in its favour, so that what it keeps ready is always enough."""
    pico = own_price(maker.outcome, take.price, market) * take.size
    return pico_floor(pico) if maker.side is Side.BUY else pico_ceil(pico)


def taker_cash(take: Take, maker: Terms, taker: Terms, market: Market) -> Micros:
    """Dollars of the arriving party: what the other one's are, or with a mint or merge, what is missing to the payout."""
    cash = maker_cash(take, maker, market)
    return cash if maker.outcome == taker.outcome else Micros(pico_floor(market.payout * take.size) - cash)


def own_price(outcome: OutcomeKey, yes_price: int, market: Market) -> Micros:
    return Micros(yes_price if outcome == market.yes_key else market.payout - yes_price)


def groups(plan: Plan, *, per_level: bool) -> list[list[Take]]:
    """The takes that make one trade each."""
    found: list[list[Take]] = []
    for take in plan.takes:
        if per_level and found and found[-1][0].price == take.price:
            found[-1].append(take)
        else:
            found.append([take])
    return found


def check_funds(floor: Floor, order: LiveOrder, plan: Plan, *, rests: bool) -> None:
    """That its owner can bear all of the plan, its fees, and what would rest. Raises Refused; changes nothing."""
    traded, record = floor.market_of(order), order.record
    market, owner, pool = traded.listing, floor.owner(order), traded.listing.shard
    leaving = {each.record.id for each in plan.ended} | {record.id}
    others = [each.record for key, each in owner.open[market.key].items() if key not in leaving]
    rest = msgspec.structs.replace(record, filled=Micros(record.filled + plan.size))
    if rests and rest.remaining:
        others.append(rest)
    shares, cash = dict(owner.shares), owner.cash[pool]
    if record.side is Side.SELL:
        missing = locked_shares(others, record.outcome) + plan.size - shares.get(record.outcome, 0)
        if missing > 0:
            raise Refused(Reason.BALANCE, str(missing))
        return  # the fee is a part of the proceeds
    cash -= sum(taker_cash(take, _maker_terms(take, record, market), terms(record), market) for take in plan.takes)
    cash -= _fees(order, plan, per_level=floor.rules.trade_per_level)
    if floor.rules.nets:
        for outcome, bought in ((market.yes_key, plan.size), (market.no_key, plan.size)):
            shares[outcome] = shares.get(outcome, 0) + (bought if outcome == record.outcome else 0)
        pairs = min(shares[market.yes_key], shares[market.no_key])
        cash += pico_floor(market.payout * pairs)
        shares[market.yes_key] -= pairs
        shares[market.no_key] -= pairs
    floor.refresh(owner, but=market.key)
    locked = owner.locked_beside(pool, market.key) + locked_cash(others, market, shares, nets=floor.rules.nets)
    if cash < locked:
        raise Refused(Reason.BALANCE, str(locked - cash))


def execute(floor: Floor, traded: TradedMarket, side: Side, taker: LiveOrder | None, plan: Plan, now_ms: int) -> list[Trade]:
    """Do it. `side`: the arriving party's, of YES; `taker` None: it is the crowd."""
    for own in plan.ended:
        floor.end(own, Why.SELF_TRADE, now_ms)
    per_level = floor.rules.trade_per_level and taker is not None
    trades = []
    for takes in groups(plan, per_level=per_level):
        if taker is not None or takes[0].entry.order is not None:
            trade = _trade(floor, traded, taker, takes, now_ms)
            trades.append(trade)
            floor.print(trade, side)
        for take in takes:
            traded.queues.take(Side.SELL if side is Side.BUY else Side.BUY, take.price, take.entry, take.size)
    return trades


def _trade(floor: Floor, traded: TradedMarket, taker: LiveOrder | None, takes: list[Take], now_ms: int) -> Trade:
    """One trade, booked and told."""
    market, price = traded.listing, Micros(takes[0].price)
    first = takes[0].entry.order
    if taker is not None:
        taker_terms = terms(taker.record)
    else:
        assert first is not None
        taker_terms = crowd_terms(terms(first.record), market)
    size = Micros(sum(take.size for take in takes))
    makers, paid = [], 0
    for take in takes:
        maker = take.entry.order
        maker_terms = terms(maker.record) if maker is not None else crowd_terms(taker_terms, market)
        paid += taker_cash(take, maker_terms, taker_terms, market)
        cash = maker_cash(take, maker_terms, market)
        makers.append(_book(floor, traded, maker, maker_terms, price, Micros(take.size), cash, now_ms, taker=False))
    taken = _book(floor, traded, taker, taker_terms, price, size, Micros(paid), now_ms, taker=True)
    trade = floor.board.add(Trade(floor.board.next_id(), market.key, price, taken, tuple(makers), now_ms, now_ms))
    for order, leg in (*((take.entry.order, leg) for take, leg in zip(takes, makers, strict=True)), (taker, taken)):
        if order is not None:
            floor.tell(leg.account, Filled(trade, leg))
    for order in dict.fromkeys([*(take.entry.order for take in takes), taker]):
        if order is not None:
            floor.tell(order.record.account, OrderChanged(order.record))
    if not trade.status.is_final:
        floor.moved(trade)
    return trade


def _book(
    floor: Floor,
    traded: TradedMarket,
    order: LiveOrder | None,
    wants: Terms,
    yes_price: Micros,
    size: Micros,
    cash: Micros,
    now_ms: int,
    *,
    taker: bool,
) -> Leg:
    """One party's part: what it gives and gets, its fee, its order's new record."""
    market, bank, final = traded.listing, floor.bank, floor.rules.settles_by is None
    account, order_id = (order.record.account, order.record.id) if order is not None else (None, None)
    owner, pool = bank.of(account), market.shard
    leg = Leg(account, order_id, *wants, own_price(wants.outcome, yes_price, market), size, cash, ZERO, taker, pool)
    bank.give(leg)
    if final and leg.side is Side.BUY:
        bank.receive(leg)
        if floor.rules.nets or account is None:
            bank.net(owner, market, pool)
    if order is not None:
        fee = order.meter.charge(order.record.yes_side, yes_price, size, taker=taker)
        floor.set(order, _filled(order.record, leg, now_ms))
        floor.relock(owner, market.key)
        leg = msgspec.structs.replace(leg, fee=_bearable(floor, fee, leg), shares_after=_holding(floor, leg, market))
        order.record = _with_fee(order.record, leg)
        bank.charge(leg)
    if final and leg.side is Side.SELL:
        bank.receive(leg)
    return leg


def _bearable(floor: Floor, fee: Micros, leg: Leg) -> Micros:
    """What an arriving order costs was looked at before. A resting one never takes its owner below zero: where many small
    fills are each rounded up to a balance unit, the venue goes without the rest."""
    if leg.side is Side.SELL:
        return min(fee, leg.cash)
    if leg.taker or not fee:
        return fee
    owner = floor.bank.of(leg.account)
    floor.refresh(owner)
    return min(fee, Micros(max(0, owner.free(leg.pool))))


def _filled(record: OrderRecord, leg: Leg, now_ms: int) -> OrderRecord:
    filled = Micros(record.filled + leg.size)
    status = Status.EXECUTED if filled == record.size else Status.RESTING
    return msgspec.structs.replace(
        record,
        filled=filled,
        status=status,
        why=Why.TRADE,
        updated_ms=now_ms,
        taker_cash=Micros(record.taker_cash + (leg.cash if leg.taker else 0)),
        maker_cash=Micros(record.maker_cash + (0 if leg.taker else leg.cash)),
    )


def _with_fee(record: OrderRecord, leg: Leg) -> OrderRecord:
    if leg.taker:
        return msgspec.structs.replace(record, taker_fees=Micros(record.taker_fees + leg.fee))
    return msgspec.structs.replace(record, maker_fees=Micros(record.maker_fees + leg.fee))


def _holding(floor: Floor, leg: Leg, market: Market) -> Micros:
    owner = floor.bank.of(leg.account)
    if floor.rules.nets:
        return owner.net(market)
    return Micros(owner.shares[leg.outcome] + owner.incoming_shares[leg.outcome])


def _maker_terms(take: Take, taker: OrderRecord, market: Market) -> Terms:
    order = take.entry.order
    return terms(order.record) if order is not None else crowd_terms(terms(taker), market)


def _fees(order: LiveOrder, plan: Plan, *, per_level: bool) -> int:
    """What the plan's trades will cost this order in fees, exactly: on a copy of its meter."""
    meter, side = copy.copy(order.meter), order.record.yes_side
    return sum(
        meter.charge(side, Micros(takes[0].price), Micros(sum(take.size for take in takes)), taker=True)
        for takes in groups(plan, per_level=per_level)
    )
