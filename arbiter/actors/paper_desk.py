"""PaperDesk: an order desk, one for each venue, that fills orders against the venue's live book instead of sending them.

What it decides is `domain/paper.py`. An order's new state, its fills and their ledger entries become durable in one
group before anyone is told.
"""

from collections.abc import Callable
from typing import assert_never

from arbiter.actors.journal import Commit
from arbiter.actors.journal import Messages as JournalMessages
from arbiter.actors.market_feed import BookUpdated, MarketData
from arbiter.actors.position_tracker import CatchUp
from arbiter.actors.position_tracker import Messages as TrackerMessages
from arbiter.domain.ids import FillId, OrderId, OutcomeKey, UserId, VenueId, new_id
from arbiter.domain.ledger import FillEntry
from arbiter.domain.order import Fill, Order, OrderState
from arbiter.domain.paper import PaperMatcher
from arbiter.errors import NotFound
from arbiter.runtime import Actor, Environment, Message, Ref, Request, Topic
from arbiter.store.base import AddEntry, AddFill, PutOrder, Store, Write

COMMIT_SECONDS = 5.0


class Submit(Request[Order], frozen=True, tag=True):
    """Carry out a durable pending order. Answers with the order as it is after the first match."""

    order: Order


class Cancel(Request[Order], frozen=True, tag=True):
    """Take an open order back. Answers with the order as it ended; a final order is returned as it is."""

    user: UserId
    order: OrderId


class OrderChanged(Message, frozen=True, tag=True):
    """An order as it is now, with the fills of this step."""

    order: Order
    fills: tuple[Fill, ...] = ()


Messages = Submit | Cancel | BookUpdated


def mailbox_key(message: Messages) -> object:
    """Books conflate by outcome; requests never do."""
    return message.outcome if isinstance(message, BookUpdated) else message


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
        environment: Environment,
    ) -> None:
        self._venue = venue
        self._store = store
        self._journal = journal
        self._tracker = tracker
        self._data = data
        self._changes = changes
        self._environment = environment
        self._resting: dict[OutcomeKey, dict[OrderId, PaperMatcher]] = {}
        self._unfollow: dict[OutcomeKey, Callable[[], None]] = {}

    async def started(self) -> None:
        """Orders that rested go on resting. One that was never matched was never acknowledged: it is cancelled."""
        for order in await self._store.orders():
            if order.outcome.venue != self._venue:
                continue
            if order.state in (OrderState.OPEN, OrderState.PARTIALLY_FILLED):
                self._rest(PaperMatcher(order))
            else:
                ended = order.become(OrderState.CANCELLED, self._environment.unix_ms(), reason="the program stopped before it was sent")
                await self._keep(ended, ())

    async def handle(self, message: Messages) -> object:
        match message:
            case Submit(order):
                return await self._submit(order)
            case Cancel(user, order_id):
                return await self._cancel(user, order_id)
            case BookUpdated(outcome):
                for matcher in tuple(self._resting.get(outcome, {}).values()):
                    await self._match(matcher, message)
                return None
            case _:
                assert_never(message)

    async def _submit(self, order: Order) -> Order:
        now = self._environment.unix_ms()
        matcher = PaperMatcher(order.become(OrderState.SUBMITTING, now))
        book = self._data.books.get(order.outcome)
        if book is None or not self._data.fresh(book, self._environment.monotonic()):
            rejected = matcher.order.become(OrderState.REJECTED, now, reason="the venue's book is not available or not fresh")
            await self._keep(rejected, ())
            return rejected
        return await self._match(matcher, book)

    async def _match(self, matcher: PaperMatcher, book: BookUpdated) -> Order:
        market = self._data.markets.get(book.outcome.market_key)
        if not book.trusted or market is None:
            return matcher.order
        before = matcher.order
        after, fills = matcher.match(book.bids, book.asks, market, self._environment.unix_ms(), self._new_fill_id)
        if after is not before:
            await self._keep(after, fills)
        if after.state.is_final:
            self._forget(after)
        else:
            self._rest(matcher)
        return after

    async def _cancel(self, user: UserId, order_id: OrderId) -> Order:
        for orders in self._resting.values():
            if order_id in orders and orders[order_id].order.user == user:
                order = orders[order_id].order
                ended = order.become(OrderState.CANCELLED, self._environment.unix_ms(), reason="cancelled by the user")
                await self._keep(ended, ())
                self._forget(ended)
                return ended
        raise NotFound(f"no open order {order_id}")

    async def _keep(self, order: Order, fills: tuple[Fill, ...]) -> None:
        """Durable first, then the positions, then the news."""
        entries = [FillEntry(fill) for fill in fills]
        writes: tuple[Write, ...] = (PutOrder(order), *(AddFill(fill) for fill in fills), *(AddEntry(entry) for entry in entries))
        committed = await self._journal.ask(Commit(writes), timeout=COMMIT_SECONDS)
        if fills:
            await self._tracker.ask(CatchUp(committed.ledger_sequence), timeout=COMMIT_SECONDS)
        self._changes.publish_passing(order.id, OrderChanged(order, fills))

    def _rest(self, matcher: PaperMatcher) -> None:
        order = matcher.order
        orders = self._resting.setdefault(order.outcome, {})
        orders[order.id] = matcher
        if order.outcome not in self._unfollow:
            self._unfollow[order.outcome] = self.context.follow_key(self._data.books, order.outcome)

    def _forget(self, order: Order) -> None:
        orders = self._resting.get(order.outcome, {})
        orders.pop(order.id, None)
        if not orders:
            self._resting.pop(order.outcome, None)
            self._unfollow.pop(order.outcome, lambda: None)()

    def _new_fill_id(self) -> FillId:
        return FillId(new_id(self._environment.unix_ms(), self._environment.random))
