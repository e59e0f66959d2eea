"""What the parts of the matching share: markets, orders, balances, trades, and what is to be told. Decides nothing."""

from collections import deque
from collections.abc import Iterable
from heapq import heappush

import msgspec

from arbiter.domain.book import BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.fees import FeeMeter, UnknownFees
from arbiter.domain.ids import MarketKey, OrderId
from arbiter.domain.market import Market
from arbiter.domain.money import Micros
from arbiter.sandbox.matching.accounts import Account, Bank
from arbiter.sandbox.matching.events import AccountEvent, OrderChanged, Told, TradeMoved
from arbiter.sandbox.matching.locks import locked_cash
from arbiter.sandbox.matching.orders import AccountId, LiveOrder, OrderRecord, Status, Why
from arbiter.sandbox.matching.queues import Queues
from arbiter.sandbox.matching.refused import Reason, Refused
from arbiter.sandbox.matching.rules import Rules
from arbiter.sandbox.matching.trades import Trade, TradeBoard
from arbiter.sandbox.world import STAGE_OF, BookEvent, Stage

KEPT_ORDERS = 100_000
"""Orders that are over beyond these are forgotten, oldest first, and their ids may come again."""


class TradedMarket:
    """One market: its listing, its stage, its queues, and what it paid."""

    def __init__(self, listing: Market) -> None:
        self.listing = listing
        self.stage = STAGE_OF.get(listing.status, Stage.CLOSED)
        self.queues = Queues()
        self.yes_pays: Micros | None = None
        self.void = False
        self.settled = False

    @property
    def active(self) -> bool:
        return self.stage is Stage.ACTIVE


class Floor:
    """Mutable. `told` and `public` are emptied by the facade."""

    def __init__(self, rules: Rules, markets: Iterable[Market]) -> None:
        self.rules = rules
        self.markets = {market.key: TradedMarket(market) for market in markets}
        self.bank = Bank()
        self.orders: dict[OrderId, LiveOrder] = {}
        self.by_client_id: dict[tuple[AccountId, str], LiveOrder] = {}
        self.board = TradeBoard(rules.settles_by)
        self.due: list[tuple[int, int, OrderId]] = []
        """Delayed orders and those that expire, as a heap; an order's own `due_ms` says whether it still counts."""
        self.told: list[Told] = []
        self.public: list[BookEvent] = []
        self._over: deque[LiveOrder] = deque()
        self._dues = 0

    def tell(self, account: AccountId | None, event: AccountEvent) -> None:
        if account is not None:
            self.told.append(Told(account, event))

    def market_of(self, order: LiveOrder) -> TradedMarket:
        return self.markets[order.record.outcome.market_key]

    def owner(self, order: LiveOrder) -> Account:
        return self.bank.of(order.record.account)

    def meter(self, market: Market) -> FeeMeter:
        """Raises Refused where the fees are not known."""
        try:
            return FeeMeter(market.fees)
        except UnknownFees as error:
            raise Refused(Reason.FEES_UNKNOWN, str(error)) from error

    # -- orders --

    def register(self, order: LiveOrder) -> None:
        """It exists from now on."""
        record = order.record
        self.orders[record.id] = order
        if record.request.client_id:
            self.by_client_id[record.account, record.request.client_id] = order
        self.tell(record.account, OrderChanged(record))

    def hold(self, order: LiveOrder) -> None:
        """It is open: it counts for what its owner must keep."""
        key = order.record.outcome.market_key
        self.owner(order).open[key][order.record.id] = order
        self.relock(self.owner(order), key)

    def release(self, order: LiveOrder) -> None:
        key = order.record.outcome.market_key
        if self.owner(order).open[key].pop(order.record.id, None) is not None:
            self.relock(self.owner(order), key)

    def set(self, order: LiveOrder, record: OrderRecord) -> None:
        """Its new record; what is over leaves."""
        order.record = record
        if not record.status.is_open:
            order.due_ms = 0
            self.release(order)
            self._over.append(order)
            if len(self._over) > KEPT_ORDERS:
                self._forget(self._over.popleft())

    def change(self, order: LiveOrder, record: OrderRecord) -> None:
        """Its new record, told to its owner."""
        self.set(order, record)
        self.tell(record.account, OrderChanged(record))

    def end(self, order: LiveOrder, why: Why, now_ms: int) -> OrderRecord:
        """Cancel what remains of it."""
        self.market_of(order).queues.leave(order)
        # the size stays: what was asked for and not filled is what `filled` says
        self.change(order, msgspec.structs.replace(order.record, status=Status.CANCELLED, why=why, updated_ms=now_ms))
        return order.record

    def wake(self, order: LiveOrder, at_ms: int) -> None:
        """Look at it again then."""
        order.due_ms = at_ms
        self._dues += 1
        heappush(self.due, (at_ms, self._dues, order.record.id))

    def expire(self, order: LiveOrder, now_ms: int) -> None:
        """It goes when its time comes, if it has one."""
        expires_ms = order.record.request.expires_ms
        order.due_ms = 0
        if expires_ms:
            self.wake(order, max(now_ms, expires_ms - self.rules.expires_early_ms))

    def relock(self, account: Account, key: MarketKey) -> None:
        """What its orders in this market may cost is to be found anew; `refresh` does it, once for many changes."""
        account.stale[key] = None

    def refresh(self, account: Account, *, but: MarketKey | None = None) -> None:
        """Before anybody reads what is free. `but`: this market may stay as it was."""
        for key in [each for each in account.stale if each != but]:
            del account.stale[key]
            market = self.markets[key].listing
            records = [order.record for order in account.open[key].values()]
            account.lock(market.shard, key, locked_cash(records, market, account.shares, nets=self.rules.nets))

    def _forget(self, order: LiveOrder) -> None:
        record = order.record
        self.orders.pop(record.id, None)
        for client_id in order.client_ids:
            self.by_client_id.pop((record.account, client_id), None)

    # -- trades --

    def moved(self, trade: Trade) -> None:
        """Everybody who took part hears of it once."""
        for account in dict.fromkeys(leg.account for leg in trade.legs):
            self.tell(account, TradeMoved(trade))

    # -- the public book --

    def publish(self, traded: TradedMarket) -> None:
        """What changed on the levels, removals first so that no reader sees it crossed on the way."""
        queues, outcome = traded.queues, traded.listing.yes_key
        changes = [LevelChange(outcome, side, Micros(price), Micros(queues.level(side, price))) for side, price in queues.touched]
        queues.touched.clear()
        changes.sort(key=lambda change: change.size > 0)
        self.public += changes

    def publish_whole(self, traded: TradedMarket) -> None:
        traded.queues.touched.clear()
        bids, asks = self.levels(traded, Side.BUY), self.levels(traded, Side.SELL)
        self.public.append(BookSnapshot(traded.listing.yes_key, bids, asks))

    def levels(self, traded: TradedMarket, side: Side) -> tuple[Level, ...]:
        """Of YES, best first."""
        return tuple(Level(Micros(price), Micros(traded.queues.level(side, price))) for price in traded.queues.prices(side))

    def print(self, trade: Trade, side: Side) -> None:
        """To the tape: `side` is the taker's, of YES."""
        traded = self.markets[trade.market]
        self.public.append(PublicTrade(traded.listing.yes_key, trade.price, trade.taker.size, side, trade.at_ms, trade.id))
