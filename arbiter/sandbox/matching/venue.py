"""The matching of one venue as a whole: what the wire formats call. Pure: time is handed in, Unix ms, and never goes back."""

from collections.abc import Iterable
from heapq import heappop

from arbiter.domain.book import Level, Side
from arbiter.domain.ids import MarketKey, OrderId, OutcomeKey
from arbiter.domain.market import Market
from arbiter.domain.money import Micros
from arbiter.sandbox.matching import changes, crowd, entry, life
from arbiter.sandbox.matching.accounts import Account
from arbiter.sandbox.matching.entry import Placed
from arbiter.sandbox.matching.events import CashMoved, Told
from arbiter.sandbox.matching.floor import Floor
from arbiter.sandbox.matching.locks import locked_shares
from arbiter.sandbox.matching.orders import AccountId, NewOrder, OrderRecord, Status, Why
from arbiter.sandbox.matching.rules import Rules
from arbiter.sandbox.matching.trades import Fate, Trade
from arbiter.sandbox.world import BookEvent, LifeEvent, WorldEvent


class Matching:
    """Accounts, their orders, and everybody else, on one venue. What a method refuses raises Refused and changes nothing."""

    def __init__(self, rules: Rules, markets: Iterable[Market]) -> None:
        self._floor = Floor(rules, markets)

    # -- time and the world --

    def tick(self, now_ms: int) -> None:
        """What is due until now happens: taker delays end, orders expire, trades take their steps."""
        floor = self._floor
        while True:
            order_ms = floor.due[0][0] if floor.due else None
            trade_ms = floor.board.next_ms
            if order_ms is not None and order_ms <= now_ms and (trade_ms is None or order_ms <= trade_ms):
                self._next_order()
            elif trade_ms is not None and trade_ms <= now_ms:
                if moved := floor.board.advance():
                    life.take_step(floor, moved)
            else:
                return

    def _next_order(self) -> None:
        floor = self._floor
        at_ms, _, order_id = heappop(floor.due)
        order = floor.orders.get(order_id)
        if order is None or order.due_ms != at_ms:
            return
        if order.record.status is Status.DELAYED:
            entry.resume(floor, order, at_ms)
        else:
            changes.cancel(floor, [order], Why.EXPIRED, at_ms)

    def apply(self, event: WorldEvent, now_ms: int) -> None:
        """What the world says of a market, which must be one of this venue's. `tick` to the same time first."""
        if isinstance(event, LifeEvent):
            life.apply(self._floor, event, now_ms)
        else:
            crowd.apply(self._floor, event, now_ms)

    def drain(self) -> tuple[list[Told], list[BookEvent]]:
        """What happened since the last call, in order: what the accounts are told, and what everybody sees of the YES books."""
        floor = self._floor
        told, public = floor.told, floor.public
        floor.told, floor.public = [], []
        return told, public

    # -- requests --

    def place(self, request: NewOrder, now_ms: int) -> Placed:
        return entry.place(self._floor, request, now_ms)

    def cancel(self, account: AccountId, order: OrderId, now_ms: int) -> OrderRecord:
        return changes.cancel(self._floor, [changes.own(self._floor, account, order)], Why.CANCELLED, now_ms)[0]

    def cancel_all(
        self, account: AccountId, now_ms: int, market: MarketKey | None = None, outcome: OutcomeKey | None = None
    ) -> list[OrderRecord]:
        """All of an account's open orders, or those of one market or outcome; oldest first."""
        return changes.cancel(self._floor, changes.open_orders(self._floor, account, market, outcome), Why.CANCELLED, now_ms)

    def decrease(self, account: AccountId, order: OrderId, remaining: Micros, now_ms: int) -> OrderRecord:
        """So much remains; the place in the queue is kept."""
        return changes.decrease(self._floor, changes.own(self._floor, account, order), remaining, now_ms)

    def amend(
        self, account: AccountId, order: OrderId, price: Micros, size: Micros, now_ms: int, expires_ms: int = 0, client_id: str = ""
    ) -> Placed:
        """Other terms: see `changes.amend`. `price` is of the outcome in the order's record."""
        live = changes.own(self._floor, account, order)
        return changes.amend(self._floor, live, price, size, expires_ms, client_id, now_ms)

    # -- money and shares --

    def deposit(self, account: AccountId, amount: Micros, pool: int = 0) -> None:
        self._floor.bank.move(account, pool, amount)
        self._floor.tell(account, CashMoved(pool, amount))

    def withdraw(self, account: AccountId, amount: Micros, now_ms: int, pool: int = 0) -> None:
        """Orders that are no longer covered are cancelled."""
        life.withdraw(self._floor, account, pool, amount, now_ms)

    def split(self, account: AccountId, market: MarketKey, size: Micros) -> None:
        """Dollars into pairs of YES and NO; a negative size merges."""
        life.split(self._floor, account, market, size)

    def redeem(self, account: AccountId, market: MarketKey, now_ms: int) -> Micros:
        """Shares of a settled market into dollars; how many."""
        return life.redeem(self._floor, account, market, now_ms)

    # -- faults --

    def doom(self, fate: Fate, count: int = 1) -> None:
        """The next so many trades go this way."""
        self._floor.board.doom(fate, count)

    def turn(self, trade: str, fate: Fate, now_ms: int) -> None:
        """A trade under way goes this way from now on. KeyError if there is no such one."""
        self._floor.board.turn(trade, fate, now_ms)

    # -- reads --

    def account(self, account: AccountId) -> Account:
        """Its balances, for reading alone."""
        found = self._floor.bank.of(account)
        self._floor.refresh(found)
        return found

    def free(self, account: AccountId, pool: int = 0) -> Micros:
        """Dollars that a new order may use."""
        return self.account(account).free(pool)

    def order(self, order: OrderId) -> OrderRecord | None:
        """Any that is still known, also one that is over."""
        found = self._floor.orders.get(order)
        return found.record if found is not None else None

    def order_of(self, account: AccountId, client_id: str) -> OrderRecord | None:
        """By the id that the account gave it."""
        found = self._floor.by_client_id.get((account, client_id))
        return found.record if found is not None else None

    def open_orders(self, account: AccountId) -> list[OrderRecord]:
        """Oldest first."""
        return [order.record for order in changes.open_orders(self._floor, account)]

    def orders(self, account: AccountId) -> list[OrderRecord]:
        """All that are still known, oldest first."""
        return [order.record for order in self._floor.orders.values() if order.record.account == account]

    def trades(self, account: AccountId) -> list[Trade]:
        """All that are still known, oldest first."""
        return [trade for trade in self._floor.board.trades.values() if any(leg.account == account for leg in trade.legs)]

    def trade(self, trade: str) -> Trade | None:
        return self._floor.board.trades.get(trade)

    def free_shares(self, account: AccountId, outcome: OutcomeKey) -> Micros:
        """What a new sale may deliver."""
        owner = self._floor.bank.of(account)
        orders = [order.record for order in owner.open[outcome.market_key].values()]
        return Micros(owner.shares[outcome] - locked_shares(orders, outcome))

    def queue_ahead(self, order: OrderId) -> Micros:
        """Contracts that trade before this order at its own price; 0 for one that does not rest."""
        found = self._floor.orders.get(order)
        return Micros(self._floor.market_of(found).queues.ahead(found) if found is not None else 0)

    def levels(self, market: MarketKey, side: Side) -> tuple[Level, ...]:
        """One side of the YES book as everybody sees it, best first."""
        return self._floor.levels(self._floor.markets[market], side)
