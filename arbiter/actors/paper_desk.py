"""PaperDesk: an order desk, one for each venue, that fills orders against the venue's live book instead of sending them.

What it decides is `domain/paper.py`. An order's new state, its fills and their ledger entries become durable in one
group before anyone is told. A store that cannot be written (a full disk) takes no desk down: who asked is refused, nothing
that rests moves, and what is due is tried again until it is durable.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

import trio

from arbiter.actors.brake import Latch
from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.actors.market_feed import BookUpdated, MarketData
from arbiter.actors.position_tracker import CatchUp
from arbiter.actors.position_tracker import Messages as TrackerMessages
from arbiter.domain.fees import UnknownFees
from arbiter.domain.ids import FillId, OrderId, OutcomeKey, UserId, VenueId, new_id
from arbiter.domain.ledger import FillEntry
from arbiter.domain.order import Fill, Order, OrderState
from arbiter.domain.paper import PaperMatcher, ResumedMatcher
from arbiter.errors import ArbiterError, AskTimeout, NotFound, StoreError
from arbiter.runtime import Actor, Environment, Message, Ref, Request, Topic
from arbiter.store.base import AddEntry, AddFill, PutOrder, Store, Write

COMMIT_SECONDS = 5.0
AGAIN_SECONDS = 1.0
"""How often the desk looks for orders of stopped users, and tries again what the store did not take."""
TELL_SECONDS = 60.0
"""How often at most it logs that the store takes nothing: every new book finds that out again."""
NEVER_SENT = "it was never sent: the program stopped, or its store could not write, before that"
STOPPED = "trading is stopped"


class Submit(Request[Order], frozen=True, tag=True):
    """Carry out a durable pending order. Answers with the order as it is after the first match."""

    order: Order


class Cancel(Request[Order], frozen=True, tag=True):
    """Take an open order back. Answers with the order as it ended; a final order is returned as it is."""

    user: UserId
    order: OrderId


class Reconcile(Request[Order], frozen=True, tag=True):
    """Answers with the order as it is. One that is durable as pending never arrived here, and is cancelled. NotFound."""

    user: UserId
    order: OrderId


class EndStopped(Request["EndedStopped"], frozen=True, tag=True):
    """Cancel at once what rests here of users whose trading is stopped. Answered with what became of it."""


class EndedStopped(Message, frozen=True, tag=True):
    """How many orders ended cancelled, and those of which that is not durable yet: never matched again, and cancelled until it is."""

    cancelled: int
    uncertain: tuple[OrderId, ...]


class OrderChanged(Message, frozen=True, tag=True):
    """An order as it is now, with the fills of this step. The topic keeps those that are not final."""

    order: Order
    fills: tuple[Fill, ...] = ()


class Overdue(Message, frozen=True, tag=True):
    """From the desk to itself: cancel what rests of stopped users and what was never sent, match what could not be recorded."""


Messages = Submit | Cancel | Reconcile | EndStopped | BookUpdated | Overdue


def mailbox_key(message: Messages) -> object:
    """Books conflate by outcome; requests never do."""
    return message.outcome if isinstance(message, BookUpdated) else message


class OutOfStep(Exception):
    """Whether a write became durable is not known. Crashes the desk: its restart reads what is true from the store."""


class PaperDesk(Actor[Messages]):
    """Matches arriving orders at once and resting ones whenever their book changes."""

    def __init__(
        self,
        venue: VenueId,
        store: Store,
        journal: Ref[JournalMessages],
        tracker: Ref[TrackerMessages],
        data: MarketData,
        changes: Topic[OrderId, OrderChanged],
        latch: Latch,
        environment: Environment,
    ) -> None:
        self._venue = venue
        self._store = store
        self._journal = journal
        self._tracker = tracker
        self._data = data
        self._changes = changes
        self._latch = latch
        self._environment = environment
        self._resting: dict[OutcomeKey, dict[OrderId, PaperMatcher]] = {}
        self._unfollow: dict[OutcomeKey, Callable[[], None]] = {}
        self._never_sent: dict[OrderId, Order] = {}
        """What the start found pending, as the store has it. A Submit that waited in the mailbox meanwhile must not revive them."""
        self._unmatched: set[OutcomeKey] = set()
        """Whose last book filled orders, but the store did not take the fills."""
        self._told_at = float("-inf")
        self._ending: set[OrderId] = set()
        """Resting orders that a stop ends: never matched again, also after a resume, and cancelled until that is durable."""

    async def started(self) -> None:
        """Orders that rested go on resting, those of stopped users end. One never matched was never acknowledged: it is cancelled.

        It comes up also where the store takes none of these cancels yet.
        """
        # an empty commit is answered after all before it: what an earlier incarnation sent is durable now, or never will be
        try:
            await self._journal.ask(Commit(()), timeout=COMMIT_SECONDS)
        except StoreError as error:  # an answer too: it shared a transaction with what could not be written
            self._tell_trouble("the store takes no writes", error)
        fills: defaultdict[OrderId, list[Fill]] = defaultdict(list)
        for fill in await self._store.fills_of_open_orders():
            fills[fill.order].append(fill)
        for order in await self._store.orders():
            if order.outcome.venue != self._venue:
                continue
            if order.state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED):
                self._rest(ResumedMatcher(order, fills[order.id]))
            else:
                self._never_sent[order.id] = order
        await self._tell_anew()
        await self._end_overdue()
        self.context.start_task(self._look_for_overdue_for_ever)

    async def _tell_anew(self) -> None:
        """What the topic keeps of an earlier incarnation may have become another since; what it never told it lacks."""
        resting = {matcher.order.id: matcher.order for matcher in self._all_resting()}
        told = {each.key: each.event.order for each in self._changes.kept() if each.event.order.outcome.venue == self._venue}
        for order_id in told.keys() - resting.keys():
            order = await self._store.order(order_id)
            if order is not None:
                self._tell(OrderChanged(order))
        for order in resting.values():
            if told.get(order.id) != order:
                self._tell(OrderChanged(order))

    async def handle(self, message: Messages) -> object:
        match message:
            case Submit(order):
                return await self._submit(order)
            case Cancel(user, order_id):
                return await self._cancel(await self._find(user, order_id), "cancelled by the user")
            case Reconcile(user, order_id):
                order = await self._find(user, order_id)
                return await self._cancel(order, NEVER_SENT) if order.state is OrderState.PENDING else order
            case EndStopped():
                return await self._end_all_stopped()
            case BookUpdated():
                await self._meet(message)
                return None
            case Overdue():
                await self._end_overdue()
                await self._meet_again()
                return None
            case _:
                assert_never(message)

    async def _submit(self, order: Order) -> Order:
        if order.id in self._never_sent:
            return await self._cancel(self._never_sent[order.id], NEVER_SENT)
        now = self._environment.unix_ms()
        matcher = PaperMatcher(order.become(OrderState.SUBMITTING, now))
        if self._latch.halted(order.user):
            return await self._reject(matcher.order, STOPPED)
        book = self._data.books.get(order.outcome)
        if book is None or not self._data.fresh(book, self._environment.monotonic()):
            return await self._reject(matcher.order, "the venue's book is not available or not fresh")
        return await self._match(matcher, book)

    async def _meet(self, book: BookUpdated) -> None:
        """What rests on this outcome against its new book. A stop is looked for right before each match, with no await between."""
        here = self._resting.get(book.outcome, {})
        self._unmatched.discard(book.outcome)
        for matcher in tuple(here.values()):
            if not self._is_stopped(matcher.order):
                try:
                    await self._match(matcher, book)
                except StoreError as error:  # it rests on as it was, for the next book or this one again
                    self._unmatched.add(book.outcome)
                    self._tell_trouble("a resting order cannot be filled: the store takes no writes", error, order=matcher.order.id)
        await self._end([order for order in self._stopped(here.values()) if order.id not in self._ending])

    async def _meet_again(self) -> None:
        """Where the store did not take the fills of a book, the newest one fills the orders, also if no other ever comes."""
        for outcome in tuple(self._unmatched):
            book = self._data.books.get(outcome)
            if book is None:
                self._unmatched.discard(outcome)
            else:
                await self._meet(book)

    async def _match(self, matcher: PaperMatcher, book: BookUpdated) -> Order:
        """On a copy, which takes the matcher's place once what came of it is durable. Raises StoreError: nothing has changed."""
        market = self._data.markets.get(book.outcome.market_key)
        if not book.trusted or market is None:
            return matcher.order
        before, tried = matcher.order, matcher.copy()
        try:
            after, fills = tried.match(book.bids, book.asks, market, self._environment.unix_ms(), self._new_fill_id)
        except UnknownFees as error:  # a resting order waits until the fees are known again
            return await self._reject(before, str(error)) if before.state is OrderState.SUBMITTING else before
        if after is not before:
            await self._keep(OrderChanged(after, fills))
        for fill in fills:
            self.context.log.info("order filled", order=after.id, user=after.user, fill=fill.id, size=fill.size, price=fill.price)
        if after.state.is_final:
            self._forget(after)
        else:
            self._rest(tried)
        return after

    async def _reject(self, order: Order, reason: str) -> Order:
        rejected = order.become(OrderState.REJECTED, self._environment.unix_ms(), reason=reason)
        await self._keep(OrderChanged(rejected))
        return rejected

    async def _find(self, user: UserId, order_id: OrderId) -> Order:
        """A user's order on this venue: as it rests, else as it is durable."""
        resting = next((orders[order_id].order for orders in self._resting.values() if order_id in orders), None)
        order = resting or await self._store.order(order_id)
        if order is None or order.user != user or order.outcome.venue != self._venue:
            raise NotFound(f"no order {order_id}")
        return order

    async def _cancel(self, order: Order, reason: str) -> Order:
        if order.state.is_final:
            return order
        ended = order.become(OrderState.CANCELLED, self._environment.unix_ms(), reason=reason)
        await self._keep(OrderChanged(ended))
        self._has_ended(ended)
        return ended

    def _has_ended(self, order: Order) -> None:
        """It is durably cancelled."""
        self._forget(order)
        if order.id in self._never_sent:
            self._never_sent[order.id] = order

    # -- what has to end: orders of stopped users, and those never sent --

    async def _end_overdue(self) -> None:
        await self._end(self._stopped(self._all_resting()))
        await self._try_to_cancel(self._pending(), NEVER_SENT)

    def _pending(self) -> list[Order]:
        return [order for order in self._never_sent.values() if not order.state.is_final]

    def _all_resting(self) -> Iterator[PaperMatcher]:
        return (matcher for orders in self._resting.values() for matcher in orders.values())

    def _is_stopped(self, order: Order) -> bool:
        return order.id in self._ending or self._latch.halted(order.user)

    def _stopped(self, matchers: Iterable[PaperMatcher]) -> list[Order]:
        return [matcher.order for matcher in matchers if self._is_stopped(matcher.order)]

    async def _end_all_stopped(self) -> EndedStopped:
        stopped = self._stopped(self._all_resting())
        await self._end(stopped)
        uncertain = tuple(order.id for order in stopped if order.id in self._ending)
        return EndedStopped(len(stopped) - len(uncertain), uncertain)

    async def _end(self, stopped: list[Order]) -> None:
        """Never matched again, whether the store takes their end already or not."""
        self._ending.update(order.id for order in stopped)
        await self._try_to_cancel(stopped, STOPPED)

    async def _try_to_cancel(self, orders: list[Order], reason: str) -> None:
        """In one group. A store that fails must not take the desk down: they stay as they are, and are tried again."""
        if not orders:
            return
        now = self._environment.unix_ms()
        ended = [order.become(OrderState.CANCELLED, now, reason=reason) for order in orders]
        try:
            await self._keep(*(OrderChanged(order) for order in ended))
        except StoreError as error:
            self._tell_trouble("orders are not cancelled yet: the store takes no writes", error, orders=len(ended), reason=reason)
            return
        for order in ended:
            self._has_ended(order)

    async def _look_for_overdue_for_ever(self) -> None:
        """Of stopped users for what their session does not get to: there may be none. It goes first, so what is new is left to it
        for one round.
        """
        before: set[OrderId] = set()
        while True:
            await trio.sleep(AGAIN_SECONDS)
            found = {order.id for order in self._stopped(self._all_resting())}
            if found & before or self._unmatched or self._pending():
                self.context.ref.offer(Overdue())
            before = found

    # -- becoming durable --

    async def _keep(self, *changes: OrderChanged) -> None:
        """Durable in one group first, then the positions, then the news."""
        writes: list[Write] = []
        for change in changes:
            writes.append(PutOrder(change.order))
            writes += [AddFill(fill) for fill in change.fills]
            writes += [AddEntry(FillEntry(fill)) for fill in change.fills]
        try:
            committed = await self._journal.ask(Commit(tuple(writes)), timeout=COMMIT_SECONDS)
        except AskTimeout as error:
            raise OutOfStep(f"order {', '.join(change.order.id for change in changes)[:200]}: {error}") from error
        if any(change.fills for change in changes):
            await self._wait_for_positions(committed.ledger_sequence)
        for change in changes:
            self._tell(change)

    def _tell(self, change: OrderChanged) -> None:
        if change.order.state.is_final:
            self._changes.publish_passing(change.order.id, change)
        else:
            self._changes.publish(change.order.id, change)

    async def _wait_for_positions(self, sequence: int) -> None:
        """A tracker that is late or restarts finds the entries by itself; what is durable stands."""
        try:
            await self._tracker.ask(CatchUp(sequence), timeout=COMMIT_SECONDS)
        except ArbiterError as error:
            self.context.log.warning("positions are late", problem=str(error))

    def _rest(self, matcher: PaperMatcher) -> None:
        order = matcher.order
        orders = self._resting.setdefault(order.outcome, {})
        orders[order.id] = matcher
        if order.outcome not in self._unfollow:
            self._unfollow[order.outcome] = self.context.follow_key(self._data.books, order.outcome)

    def _forget(self, order: Order) -> None:
        orders = self._resting.get(order.outcome, {})
        orders.pop(order.id, None)
        self._ending.discard(order.id)
        if not orders:
            self._resting.pop(order.outcome, None)
            self._unfollow.pop(order.outcome, lambda: None)()

    def _tell_trouble(self, what: str, error: StoreError, **facts: object) -> None:
        """One line a minute for all that is tried again and again."""
        now = self._environment.monotonic()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            self.context.log.error(what, problem=str(error), **facts)

    def _new_fill_id(self) -> FillId:
        return FillId(new_id(self._environment.unix_ms(), self._environment.random))
