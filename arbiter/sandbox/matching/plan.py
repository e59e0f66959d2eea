"""Whom an arriving order would meet, and for how much: found before anything is changed, so that a refusal changes nothing."""

from typing import NamedTuple

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.money import MICRO, floor_to
from arbiter.sandbox.matching.orders import AccountId, LiveOrder, SelfTrade, opposite
from arbiter.sandbox.matching.queues import Entry, Queues


class Take(NamedTuple):
    """So much of one entry, at its own YES price."""

    entry: Entry
    price: int
    size: int


class Plan(msgspec.Struct):
    """`ended`: own orders that go for self-trade prevention. `stopped`: the arriving one goes no further, for the same cause."""

    takes: list[Take] = msgspec.field(default_factory=list)
    size: int = 0
    ended: list[LiveOrder] = msgspec.field(default_factory=list)
    stopped: bool = False
    spent_all: bool = False
    """Of an order by dollars: what is left of them buys nothing more."""


class Budget(NamedTuple):
    """Dollars to spend on shares in such steps. `payout`: that of the market if NO is bought, else 0."""

    dollars: int
    step: int
    payout: int


class Arrival(NamedTuple):
    """What arrives, in YES terms. `account` None: the crowd's. `skip`: an order that it replaces. `owned_only`: it meets
    accounts' orders alone. `budget`: it counts dollars, not the size."""

    side: Side
    limit: int
    size: int
    account: AccountId | None = None
    self_trade: SelfTrade = SelfTrade.ALLOWED
    skip: LiveOrder | None = None
    owned_only: bool = False
    budget: Budget | None = None


def crosses(side: Side, limit: int, price: int) -> bool:
    """Whether an order with this limit may trade at this price of the other side."""
    return price <= limit if side is Side.BUY else price >= limit


def plan(queues: Queues, arrival: Arrival) -> Plan:
    """Price-time priority over the other side, down to the limit."""
    found, spent, budget = Plan(), 0, arrival.budget
    for price, entry in queues.walk(opposite(arrival.side)):
        if not crosses(arrival.side, arrival.limit, price) or found.spent_all or (not budget and found.size == arrival.size):
            break
        order = entry.order
        if (order is None and arrival.owned_only) or (order is not None and order is arrival.skip):
            continue
        if order is not None and order.record.account == arrival.account and arrival.self_trade is not SelfTrade.ALLOWED:
            if arrival.self_trade is SelfTrade.TAKER_AT_CROSS:
                found.stopped = True
                break
            found.ended.append(order)
            continue
        size = min(entry.size, arrival.size - found.size)
        if budget is not None:
            own_price = abs(budget.payout - price)
            wanted = floor_to((budget.dollars * MICRO - spent) // own_price, budget.step)
            size, found.spent_all = min(entry.size, wanted), wanted <= entry.size
            spent += own_price * size
            if not size:
                break
        found.takes.append(Take(entry, price, size))
        found.size += size
    return found


def would_cross(queues: Queues, side: Side, limit: int, skip: LiveOrder | None = None) -> bool:
    """Whether an order with this limit would trade at once: what post-only forbids."""
    best = next((price for price, entry in queues.walk(opposite(side)) if entry.order is None or entry.order is not skip), None)
    return best is not None and crosses(side, limit, best)
