"""A market's life and a trade's: what a pause and a close end, what a settlement pays, what a failed trade takes back."""

from collections.abc import Callable

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketKey, OutcomeKey
from arbiter.domain.money import MICRO, ZERO, Micros
from arbiter.sandbox.matching import changes, crowd
from arbiter.sandbox.matching.accounts import Account
from arbiter.sandbox.matching.events import CashMoved, Paid, PairsMoved
from arbiter.sandbox.matching.floor import Floor, TradedMarket
from arbiter.sandbox.matching.locks import locked_shares
from arbiter.sandbox.matching.orders import AccountId, LiveOrder, Why
from arbiter.sandbox.matching.refused import Reason, Refused
from arbiter.sandbox.matching.trades import Trade, TradeStatus
from arbiter.sandbox.world import FeesChanged, LifeEvent, Listed, Stage, StageChanged, TicksChanged


def apply(floor: Floor, event: LifeEvent, now_ms: int) -> None:
    """Fold one of the world's events of life in."""
    if isinstance(event, Listed):
        floor.markets.setdefault(event.market, TradedMarket(event.listing))
        return
    traded = floor.markets[event.market]
    if isinstance(event, TicksChanged):
        traded.listing = msgspec.structs.replace(traded.listing, ticks=event.ticks)
    elif isinstance(event, FeesChanged):
        # an override is the whole event's; orders that stand keep the fees they came under
        for each in floor.markets.values():
            if each.listing.event == traded.listing.event:
                each.listing = msgspec.structs.replace(each.listing, fees=event.fees)
    else:
        _stage(floor, traded, event, now_ms)


def _stage(floor: Floor, traded: TradedMarket, event: StageChanged, now_ms: int) -> None:
    before, traded.stage = traded.stage, event.stage
    if event.yes_pays is not None:
        traded.yes_pays, traded.void = event.yes_pays, event.void
    if event.stage is Stage.PAUSED:
        kept = floor.rules.survives_pause
        _end_all(floor, traded, Why.HALTED, now_ms, lambda order: not kept or order.record.request.cancel_on_pause)
    elif event.stage is Stage.ACTIVE:
        if before is Stage.PAUSED:
            _end_all(floor, traded, Why.HALTED, now_ms)
    elif event.stage is not Stage.UPCOMING:
        _end_all(floor, traded, Why.CLOSED, now_ms)
        crowd.clear(traded)
        floor.publish(traded)
        if event.stage is Stage.SETTLED:
            _settle(floor, traded, now_ms)


def _all(_: LiveOrder) -> bool:
    return True


def _end_all(floor: Floor, traded: TradedMarket, why: Why, now_ms: int, chosen: Callable[[LiveOrder], bool] = _all) -> None:
    key = traded.listing.key
    found = [order for account in floor.bank.accounts.values() for order in account.open.get(key, {}).values() if chosen(order)]
    changes.cancel(floor, found, why, now_ms)


# -- settlement --


def _settle(floor: Floor, traded: TradedMarket, now_ms: int) -> None:
    """The crowd pays first, since the vault holds what all shares together are worth. Without a result nothing is paid."""
    if traded.settled or traded.yes_pays is None:
        return
    for trade in floor.board.rush(traded.listing.key, now_ms):
        take_step(floor, trade)
    traded.settled = True
    floor.bank.redeem(floor.bank.crowd, traded.listing, traded.listing.shard, traded.yes_pays)
    if floor.rules.pays_out:
        for account in list(floor.bank.accounts):
            redeem(floor, account, traded.listing.key, now_ms)


def _market(floor: Floor, key: MarketKey) -> TradedMarket:
    found = floor.markets.get(key)
    if found is None:
        raise Refused(Reason.UNKNOWN_MARKET, str(key))
    return found


def redeem(floor: Floor, account: AccountId, key: MarketKey, now_ms: int) -> Micros:
    """An account's shares of a settled market become dollars; how many. 0 if it has none. Raises Refused before it is settled."""
    traded = _market(floor, key)
    if not traded.settled or traded.yes_pays is None:
        raise Refused(Reason.MARKET_INACTIVE, traded.stage.value)
    listing, owner = traded.listing, floor.bank.of(account)
    yes, no = Micros(owner.shares[listing.yes_key]), Micros(owner.shares[listing.no_key])
    if not yes and not no:
        return ZERO
    paid = floor.bank.redeem(owner, listing, listing.shard, traded.yes_pays)
    floor.tell(account, Paid(key, listing.shard, yes, no, traded.yes_pays, traded.void, paid, now_ms))
    return paid


def split(floor: Floor, account: AccountId, key: MarketKey, size: Micros) -> None:
    """So many pairs of YES and NO out of dollars; out of pairs dollars when negative. Raises Refused."""
    traded = _market(floor, key)
    if floor.rules.nets:
        raise Refused(Reason.NOT_OFFERED)
    if not size or traded.settled:
        raise Refused(Reason.SIZE if not size else Reason.MARKET_INACTIVE)
    listing, owner = traded.listing, floor.bank.of(account)
    pool = listing.shard
    floor.refresh(owner)
    before = owner.cash[pool]
    if size > 0 and owner.free(pool) * MICRO < listing.payout * size:
        raise Refused(Reason.BALANCE)
    if size < 0 and min(_spare(owner, listing.yes_key), _spare(owner, listing.no_key)) < -size:
        raise Refused(Reason.BALANCE)
    floor.bank.split(owner, listing, pool, size)
    floor.tell(account, PairsMoved(key, pool, size, Micros(owner.cash[pool] - before)))


def _spare(owner: Account, outcome: OutcomeKey) -> int:
    """Shares that no order is to deliver."""
    orders = [order.record for order in owner.open[outcome.market_key].values()]
    return owner.shares[outcome] - locked_shares(orders, outcome)


def withdraw(floor: Floor, account: AccountId, pool: int, amount: Micros, now_ms: int) -> None:
    """Dollars leave, though orders may need them: the newest of those are cancelled. Raises Refused if there are not so many."""
    owner = floor.bank.of(account)
    if owner.cash[pool] < amount:
        raise Refused(Reason.BALANCE)
    floor.bank.move(account, pool, -amount)
    floor.tell(account, CashMoved(pool, Micros(-amount)))
    for order in reversed(changes.open_orders(floor, account)):
        floor.refresh(owner)
        if owner.free(pool) >= 0:
            break
        if order.record.side is Side.BUY and floor.market_of(order).listing.shard == pool:
            changes.cancel(floor, [order], Why.MARGIN, now_ms)


# -- trades --


def take_step(floor: Floor, trade: Trade) -> None:
    """A trade took a step; only the last one moves anything."""
    market = floor.markets[trade.market].listing
    if trade.status.is_final:
        for leg in trade.legs:
            if trade.status is TradeStatus.CONFIRMED:
                floor.bank.receive(leg)
            else:
                floor.bank.reverse(leg)
        floor.bank.net(floor.bank.crowd, market, market.shard)
    floor.moved(trade)
