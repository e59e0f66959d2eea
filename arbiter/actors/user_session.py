"""UserSession: one for each active user. Every order of the user passes here: idempotency, limits, the risk gate."""

from collections import deque
from collections.abc import Callable
from typing import assert_never

import trio

from arbiter.actors.accounts import GetAccount
from arbiter.actors.accounts import Messages as AccountsMessages
from arbiter.actors.brake import Latch
from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.actors.market_feed import MarketData
from arbiter.actors.paper_desk import NEVER_SENT, Cancel, OrderChanged, Reconcile, Submit
from arbiter.actors.paper_desk import Messages as DeskMessages
from arbiter.actors.position_tracker import GetHoldings
from arbiter.actors.position_tracker import Messages as TrackerMessages
from arbiter.domain.account import Account, Role
from arbiter.domain.book import Side
from arbiter.domain.ids import OrderId, OutcomeKey, UserId, VenueId, new_id
from arbiter.domain.limits import TIERS, TokenBucket
from arbiter.domain.money import Micros
from arbiter.domain.order import Order, OrderState, TimeInForce
from arbiter.domain.risk import Approved, Exposure, Refused, check
from arbiter.domain.wallet import cash_pools
from arbiter.errors import (
    ActorStopped,
    ArbiterError,
    AskTimeout,
    Conflict,
    LimitExceeded,
    NotAllowed,
    NotFound,
    NotRunning,
    OrderUncertain,
    RefusedByRisk,
    StoreError,
    VenueUnavailable,
)
from arbiter.runtime import Actor, Environment, Message, Ref, Request, Topic
from arbiter.store.base import PutOrder, Store

STEP_SECONDS = 5.0
"""The longest that one step (a commit, a desk's answer) may take."""

TELL_SECONDS = 60.0
"""How often it is logged that an order is still not cancelled."""
RECONCILE_SECONDS = 1.0
"""How long to wait before asking again what became of an order."""
CANCEL_ALL_SECONDS = 3.0
"""A `CancelAll` is answered by then, with what is confirmed; an emergency stop waits for it."""
CANCELS_AT_ONCE = 50
"""So many of its cancels are under way together on each venue: enough to keep a desk busy, not enough to fill its mailbox."""
IDLE_SECONDS = 15 * 60.0
"""A session that nobody used for so long, and that has nothing under way, passivates: its next message makes it live again."""
LOOK_SECONDS = 60.0
"""How often it looks whether that is so."""
FINAL_KEPT = 1000
"""Final orders that stay in memory, the newest; older ones are looked up in the store."""


class PlaceOrder(Request[Order], frozen=True, tag=True):
    """Place an order. The same key again returns the same order; with another body it is a Conflict.

    Raises RefusedByRisk, LimitExceeded, NotFound (no such market or outcome), NotAllowed, StoreError (nothing was placed),
    OrderUncertain.
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


class CancelAll(Request["CancelledAll"], frozen=True, tag=True):
    """Take every open order back. Never refused; what could not be confirmed is named and goes on being chased."""


class CancelledAll(Message, frozen=True, tag=True):
    """What a `CancelAll` came to: orders that ended cancelled, and orders of which that is not known yet."""

    cancelled: tuple[Order, ...]
    uncertain: tuple[OrderId, ...]


class GetOrder(Request[Order], frozen=True, tag=True):
    """One of the user's orders, however old. NotFound."""

    order: OrderId


class ListOrders(Request[tuple[Order, ...]], frozen=True, tag=True):
    """The user's durable orders, newest first: at most `limit`, in these states (none: in any), older than `before` in the order
    of (created_ms, id).
    """

    limit: int
    states: frozenset[OrderState] = frozenset()
    before: tuple[int, OrderId] | None = None


class GetOrders(Request[tuple[Order, ...]], frozen=True, tag=True):
    """The user's orders that the session knows, oldest first: all that are open, and the newest `FINAL_KEPT` others."""


class LookIdle(Message, frozen=True, tag=True):
    """From the session to itself: passivate if there is nothing to do."""


Messages = PlaceOrder | CancelOrder | CancelAll | GetOrder | ListOrders | GetOrders | OrderChanged | LookIdle


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
        latch: Latch,
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
        self._latch = latch
        self._environment = environment
        self._orders: dict[OrderId, Order] = {}
        self._keys: dict[str, OrderId] = {}
        self._final: deque[OrderId] = deque()
        self._unfollow: dict[OrderId, Callable[[], None]] = {}
        self._bucket: TokenBucket | None = None
        self._chased: set[OrderId] = set()
        self._used_at = environment.monotonic()

    async def started(self) -> None:
        # twice: the first read says which orders to follow, the second what changed until they were followed
        for _ in range(2):
            for order in await self._store.orders(self._user, newest_final=FINAL_KEPT):
                self._remember(order)
        for order in self._orders.values():
            if order.state is OrderState.PENDING and order.outcome.venue in self._desks:
                self.context.start_task(self._reconcile, order)
            elif not order.state.is_final and self._latch.halted(self._user):
                self._chase(order)  # the stop's own cancel may have died with an earlier incarnation
        self.context.send_every(LOOK_SECONDS, LookIdle())

    async def handle(self, message: Messages) -> object:
        if not isinstance(message, LookIdle):
            self._used_at = self._environment.monotonic()
        match message:
            case PlaceOrder():
                return await self._place(message)
            case CancelOrder(order_id):
                return await self._cancel(order_id)
            case CancelAll():
                return await self._cancel_all()
            case GetOrder(order_id):
                return await self._find(order_id)
            case ListOrders(limit, states, before):
                return tuple(await self._store.orders_before(self._user, before, limit, states))
            case GetOrders():
                return self.answer(message)
            case OrderChanged(order):
                self._remember(order)
                return None
            case LookIdle():
                self._look_idle()
                return None
            case _:
                assert_never(message)

    def answer(self, request: Messages) -> object:
        if not isinstance(request, GetOrders):
            return NotImplemented
        self._used_at = self._environment.monotonic()
        return tuple(self._orders.values())

    def _look_idle(self) -> None:
        """Nothing is lost with it: its orders and their keys are durable, and the rate limit has long been full again."""
        idle = self._environment.monotonic() - self._used_at >= IDLE_SECONDS
        if idle and all(order.state.is_final for order in self._orders.values()):
            self.context.passivate()

    # -- placing: key -> account -> limits -> risk -> durable -> desk --

    async def _place(self, wanted: PlaceOrder) -> Order:
        known = await self._known(wanted.idempotency_key)
        if known is not None:
            return _same_or_conflict(known, wanted)
        account = await self._accounts.ask(GetAccount(self._user), timeout=STEP_SECONDS)
        if account.role is Role.OPERATOR:
            raise NotAllowed("an operator's account does not trade")
        self._latch.require_trading(self._user)
        self._spend_order(account)
        order = self._new_order(wanted)
        await self._pass_risk_gate(order, account)
        try:
            await self._journal.ask(Commit((PutOrder(order),)), timeout=STEP_SECONDS)
        except NotRunning:
            raise
        except (ActorStopped, AskTimeout) as error:
            self._remember(order)  # it may become durable yet
            self.context.start_task(self._withdraw, order)
            raise OrderUncertain(order.id) from error
        except StoreError as error:
            raise StoreError(f"nothing was placed: {error}") from error
        self._remember(order)
        return await self._submit(order)

    async def _known(self, idempotency_key: str) -> Order | None:
        known = self._keys.get(idempotency_key)
        return self._orders[known] if known is not None else await self._store.order_by_key(self._user, idempotency_key)

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
        try:
            market.outcome_key(order.outcome.outcome)
        except KeyError:
            raise NotFound(f"market {market.key} has no outcome {order.outcome.outcome[:80]!r}") from None
        book = self._data.books.get(order.outcome)
        fresh = book is not None and self._data.fresh(book, self._environment.monotonic())
        held = await self._tracker.ask(GetHoldings(self._user), timeout=STEP_SECONDS)
        open_orders = tuple(o for o in self._orders.values() if not o.state.is_final)
        exposure = Exposure(
            positions=held,
            resting=open_orders,
            cash=cash_pools(self._desks, held, open_orders),
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
            self.context.start_task(self._reconcile, order)
            raise OrderUncertain(order.id) from error
        except StoreError as error:  # the desk never rests what is not durable; the pending order ends as never sent
            self.context.start_task(self._reconcile, order)
            raise StoreError(f"nothing was placed: {error}") from error
        self._remember(placed)
        self.context.log.info("order placed", order=placed.id, user=placed.user, outcome=str(placed.outcome), state=placed.state.value)
        return placed

    # -- what became of it --

    async def _reconcile(self, order: Order) -> None:
        """Ask the desk until it says: an order must not reserve exposure for ever because one answer was lost."""
        while True:
            try:
                self._remember(await self._desks[order.outcome.venue].ask(Reconcile(self._user, order.id), timeout=STEP_SECONDS))
                return
            except ArbiterError as error:
                self.context.log.warning("order not reconciled yet", order=order.id, problem=str(error))
            await trio.sleep(RECONCILE_SECONDS)

    async def _withdraw(self, order: Order) -> None:
        """Cancel an order that no desk has seen, after whatever the journal may still do with it."""
        ended = order.become(OrderState.CANCELLED, self._environment.unix_ms(), reason=NEVER_SENT)
        while True:
            try:
                await self._journal.ask(Commit((PutOrder(ended),)), timeout=STEP_SECONDS)
                self._remember(ended)
                self._order_changes.publish_passing(ended.id, OrderChanged(ended))
                return
            except ArbiterError as error:
                self.context.log.warning("order not withdrawn yet", order=order.id, problem=str(error))
            await trio.sleep(RECONCILE_SECONDS)

    # -- cancelling --

    async def _find(self, order_id: OrderId) -> Order:
        order = self._orders.get(order_id) or await self._store.order(order_id)
        if order is None or order.user != self._user:
            raise NotFound(f"no order {order_id[:80]}")
        return order

    async def _cancel(self, order_id: OrderId) -> Order:
        order = await self._find(order_id)
        if order.state.is_final:
            return order
        desk = self._desks.get(order.outcome.venue)
        if desk is None:
            raise VenueUnavailable(order.outcome.venue, "it is not among the venues of this program")
        try:
            cancelled = await desk.ask(Cancel(self._user, order_id), timeout=STEP_SECONDS)
        except NotFound:
            return order  # the journal has not said yet whether there is such an order
        self._remember(cancelled)
        return cancelled

    async def _cancel_all(self) -> CancelledAll:
        """Side by side, so that an order whose desk is slow holds up no other."""
        wanted = [order for order in self._orders.values() if not order.state.is_final]
        ended: dict[OrderId, Order] = {}
        with trio.move_on_after(CANCEL_ALL_SECONDS):
            async with trio.open_nursery() as nursery:
                limits = {order.outcome.venue: trio.CapacityLimiter(CANCELS_AT_ONCE) for order in wanted}
                for order in wanted:
                    nursery.start_soon(self._cancel_one, order, ended, limits[order.outcome.venue])
        uncertain = [order for order in wanted if order.id not in ended]
        for order in uncertain:
            self._chase(order)
        cancelled = (ended[order.id] for order in wanted if order.id in ended)
        return CancelledAll(
            tuple(order for order in cancelled if order.state is OrderState.CANCELLED), tuple(order.id for order in uncertain)
        )

    async def _cancel_one(self, order: Order, ended: dict[OrderId, Order], limit: trio.CapacityLimiter) -> None:
        async with limit:
            try:
                after = await self._cancel(order.id)
            except ArbiterError as error:
                self.context.log.warning("order not cancelled yet", order=order.id, problem=str(error))
            else:
                if after.state.is_final:
                    ended[order.id] = after

    def _chase(self, order: Order) -> None:
        """Cancel it in a task of its own until that is confirmed."""
        if order.id not in self._chased:
            self._chased.add(order.id)
            self.context.start_task(self._chase_until_final, order)

    async def _chase_until_final(self, order: Order) -> None:
        told_at = float("-inf")
        while order.outcome.venue in self._desks:
            await trio.sleep(RECONCILE_SECONDS)
            try:
                if (await self._cancel(order.id)).state.is_final:
                    break
            except ArbiterError as error:
                if self._environment.monotonic() - told_at >= TELL_SECONDS:
                    told_at = self._environment.monotonic()
                    self.context.log.warning("order not cancelled yet", order=order.id, problem=str(error))
        self._chased.discard(order.id)

    def _remember(self, order: Order) -> None:
        known = self._orders.get(order.id)
        if known is not None and (known.state.is_final or known.filled > order.filled):
            return  # older news than what is known
        self._orders[order.id] = order
        self._keys[order.idempotency_key] = order.id
        if order.state.is_final:
            self._unfollow.pop(order.id, lambda: None)()
            self._final.append(order.id)
            if len(self._final) > FINAL_KEPT:
                forgotten = self._orders.pop(self._final.popleft())
                del self._keys[forgotten.idempotency_key]
        elif order.id not in self._unfollow:
            self._unfollow[order.id] = self.context.follow_key(self._order_changes, order.id)


def _same_or_conflict(order: Order, wanted: PlaceOrder) -> Order:
    body = (wanted.outcome, wanted.side, wanted.price, wanted.size, wanted.tif)
    if (order.outcome, order.side, order.price, order.size, order.tif) != body:
        raise Conflict("this idempotency key was used for another order; use a new key for a new order")
    return order
