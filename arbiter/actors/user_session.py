"""UserSession: one for each active user. Every order of the user passes here: idempotency, limits, the risk gate."""

from typing import assert_never

from arbiter.actors.accounts import GetAccount
from arbiter.actors.accounts import Messages as AccountsMessages
from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.actors.market_feed import MarketData
from arbiter.actors.paper_desk import Cancel, OrderChanged, Submit
from arbiter.actors.paper_desk import Messages as DeskMessages
from arbiter.actors.position_tracker import GetPositions
from arbiter.actors.position_tracker import Messages as TrackerMessages
from arbiter.domain.account import Account, Role
from arbiter.domain.book import Side
from arbiter.domain.ids import OrderId, OutcomeKey, UserId, VenueId, new_id
from arbiter.domain.limits import TIERS, TokenBucket
from arbiter.domain.money import Micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.domain.risk import Approved, Exposure, Refused, check
from arbiter.errors import ActorStopped, AskTimeout, Conflict, LimitExceeded, NotAllowed, NotFound, OrderUncertain, RefusedByRisk
from arbiter.runtime import Actor, Environment, Ref, Request, Topic
from arbiter.store.base import PutOrder, Store

STEP_SECONDS = 5.0
"""The longest that one step (a commit, a desk's answer) may take."""


class PlaceOrder(Request[Order], frozen=True, tag=True):
    """Place an order. The same key again returns the same order; with another body it is a Conflict.

    Raises RefusedByRisk, LimitExceeded, NotFound (no such market), NotAllowed, OrderUncertain.
    """

    idempotency_key: str
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    tif: TimeInForce


class CancelOrder(Request[Order], frozen=True, tag=True):
    """Take an order back; a final one is returned as it is. NotFound when it is not the user's."""

    order: OrderId


class GetOrders(Request[tuple[Order, ...]], frozen=True, tag=True):
    """The user's orders that the session knows, oldest first."""


Messages = PlaceOrder | CancelOrder | GetOrders | OrderChanged


class UserSession(Actor[Messages]):
    """Receives a user's commands, asks the risk gate, makes the order durable, hands it to the desk."""

    def __init__(
        self,
        user: UserId,
        store: Store,
        journal: Ref[JournalMessages],
        accounts: Ref[AccountsMessages],
        tracker: Ref[TrackerMessages],
        desks: dict[VenueId, Ref[DeskMessages]],
        data: MarketData,
        order_changes: Topic[OrderId, OrderChanged],
        environment: Environment,
    ) -> None:
        self._user = user
        self._store = store
        self._journal = journal
        self._accounts = accounts
        self._tracker = tracker
        self._desks = desks
        self._data = data
        self._order_changes = order_changes
        self._environment = environment
        self._orders: dict[OrderId, Order] = {}
        self._keys: dict[str, OrderId] = {}
        self._bucket: TokenBucket | None = None

    async def started(self) -> None:
        # follow first: what changes while the store is read waits in the mailbox
        self.context.follow(self._order_changes)
        for order in await self._store.orders(self._user):
            self._remember(order)

    async def handle(self, message: Messages) -> object:
        match message:
            case PlaceOrder():
                return await self._place(message)
            case CancelOrder(order_id):
                return await self._cancel(order_id)
            case GetOrders():
                return tuple(self._orders.values())
            case OrderChanged(order):
                if order.user == self._user:
                    self._remember(order)
                return None
            case _:
                assert_never(message)

    # -- placing: key -> account -> limits -> risk -> durable -> desk --

    async def _place(self, wanted: PlaceOrder) -> Order:
        known = self._keys.get(wanted.idempotency_key)
        if known is not None:
            return _same_or_conflict(self._orders[known], wanted)
        account = await self._accounts.ask(GetAccount(self._user), timeout=STEP_SECONDS)
        if account.role is Role.OPERATOR:
            raise NotAllowed("an operator's account does not trade")
        self._spend_order(account)
        order = self._new_order(wanted)
        await self._pass_risk_gate(order, account)
        await self._journal.ask(Commit((PutOrder(order),)), timeout=STEP_SECONDS)
        self._remember(order)
        return await self._submit(order)

    def _new_order(self, wanted: PlaceOrder) -> Order:
        now = self._environment.unix_ms()
        order_id = OrderId(new_id(now, self._environment.random))
        return Order(
            order_id,
            self._user,
            wanted.outcome,
            wanted.side,
            wanted.price,
            wanted.size,
            wanted.tif,
            wanted.idempotency_key,
            now,
            updated_ms=now,
        )

    def _spend_order(self, account: Account) -> None:
        limit = TIERS[account.tier].orders_per_minute
        now = self._environment.monotonic()
        if self._bucket is None or self._bucket.capacity != limit:
            self._bucket = TokenBucket.per_minute(limit, now)
        wait_ms = self._bucket.take(now)
        if wait_ms:
            raise LimitExceeded(f"more than {limit} orders a minute (tier {account.tier.value})", wait_ms)

    async def _pass_risk_gate(self, order: Order, account: Account) -> None:
        market = self._data.markets.get(order.outcome.market_key)
        if market is None or order.outcome.venue not in self._desks:
            raise NotFound(f"no market {order.outcome.market_key}")
        book = self._data.books.get(order.outcome)
        fresh = book is not None and self._data.fresh(book, self._environment.monotonic())
        held = await self._tracker.ask(GetPositions(self._user), timeout=STEP_SECONDS)
        exposure = Exposure(
            positions=tuple(change.position for change in held),
            resting=tuple(o for o in self._orders.values() if not o.state.is_final),
        )
        verdict = check(order, market, TIERS[account.tier], exposure, book_fresh=fresh, suspended=account.suspended)
        match verdict:
            case Approved():
                return
            case Refused(code, detail):
                raise RefusedByRisk(code, detail)

    async def _submit(self, order: Order) -> Order:
        try:
            placed = await self._desks[order.outcome.venue].ask(Submit(order), timeout=STEP_SECONDS)
        except (ActorStopped, AskTimeout) as error:
            raise OrderUncertain(order.id) from error
        self._remember(placed)
        return placed

    async def _cancel(self, order_id: OrderId) -> Order:
        order = self._orders.get(order_id)
        if order is None:
            raise NotFound(f"no order {order_id[:80]}")
        if order.state.is_final:
            return order
        try:
            cancelled = await self._desks[order.outcome.venue].ask(Cancel(self._user, order_id), timeout=STEP_SECONDS)
        except NotFound:
            return self._orders[order_id]  # it became final meanwhile; its news is on the way
        self._remember(cancelled)
        return cancelled

    def _remember(self, order: Order) -> None:
        known = self._orders.get(order.id)
        if known is not None and (known.state.is_final or known.filled > order.filled):
            return  # older news than what is known
        self._orders[order.id] = order
        self._keys[order.idempotency_key] = order.id


def _same_or_conflict(order: Order, wanted: PlaceOrder) -> Order:
    body = (wanted.outcome, wanted.side, wanted.price, wanted.size, wanted.tif)
    if (order.outcome, order.side, order.price, order.size, order.tif) != body:
        raise Conflict("this idempotency key was used for another order; use a new key for a new order")
    return order
