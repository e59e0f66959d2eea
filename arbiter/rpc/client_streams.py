"""The five streams of `ArbiterClient`, each with its view."""

from typing import Any

import msgspec

from arbiter.domain.ids import OutcomeKey
from arbiter.rpc import client_market_read as market_read
from arbiter.rpc import client_read as read
from arbiter.rpc.client_calls import Calls
from arbiter.rpc.client_changes import Changes
from arbiter.rpc.client_market_types import BookInfo, BooksUpdate, TradeInfo, TradesUpdate
from arbiter.rpc.client_types import Opportunity, OrderInfo, OrdersUpdate, PositionInfo, PositionsUpdate
from arbiter.v1 import market_pb2, strategy_pb2, trading_pb2

LOST_TRACK = "lost_track"
"""The reason of an opportunity's end that was not seen: what became of it while the connection was lost is not known."""


class PositionChanges(Changes[OutcomeKey, PositionInfo, PositionsUpdate]):
    """`view`: the open positions."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls, "TradingService/StreamPositions", trading_pb2.PositionUpdate)

    def _request(self, resume_after: market_pb2.Cursor | None) -> Any:
        return trading_pb2.PositionsRequest(resume_after=resume_after)

    def _apply(self, message: Any, resumed: bool) -> None:
        update = read.positions_update(message, resumed=resumed)
        if update.snapshot:
            self.view.clear()
        for each in update.positions:
            if each.size:
                self.view[each.outcome] = each
            else:
                self.view.pop(each.outcome, None)
        self._told.append(update)


class OrderChanges(Changes[str, OrderInfo, OrdersUpdate]):
    """`view`: the open orders by id."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls, "TradingService/StreamOrders", trading_pb2.OrderUpdate)

    def _request(self, resume_after: market_pb2.Cursor | None) -> Any:
        return trading_pb2.StreamOrdersRequest(resume_after=resume_after)

    def _apply(self, message: Any, resumed: bool) -> None:
        update = read.orders_update(message, resumed=resumed)
        if update.snapshot:
            self.view.clear()
        for each in update.orders:
            if each.is_final:
                self.view.pop(each.order_id, None)
            else:
                self.view[each.order_id] = each
        self._told.append(update)


class BookChanges(Changes[OutcomeKey, BookInfo, BooksUpdate]):
    """`view`: the books that were asked for and have been seen."""

    def __init__(self, calls: Calls, outcomes: tuple[OutcomeKey, ...]) -> None:
        super().__init__(calls, "MarketService/StreamBook", market_pb2.BookUpdate)
        self._outcomes = [read.outcome_ref(each) for each in outcomes]

    def _request(self, resume_after: market_pb2.Cursor | None) -> Any:
        return market_pb2.StreamBookRequest(outcomes=self._outcomes, resume_after=resume_after)

    def _apply(self, message: Any, resumed: bool) -> None:
        update = market_read.books_update(message, resumed=resumed)
        if update.snapshot:
            self.view.clear()
        self.view.update((each.outcome, each) for each in update.books)
        self._told.append(update)


class TradeChanges(Changes[OutcomeKey, TradeInfo, TradesUpdate]):
    """`view`: the newest trade of each outcome that was asked for and has seen one."""

    def __init__(self, calls: Calls, outcomes: tuple[OutcomeKey, ...]) -> None:
        super().__init__(calls, "MarketService/StreamTrades", market_pb2.TradeUpdate)
        self._outcomes = [read.outcome_ref(each) for each in outcomes]

    def _request(self, resume_after: market_pb2.Cursor | None) -> Any:
        return market_pb2.StreamTradesRequest(outcomes=self._outcomes, resume_after=resume_after)

    def _apply(self, message: Any, resumed: bool) -> None:
        update = market_read.trades_update(message, resumed=resumed)
        if update.snapshot:
            self.view.clear()
        self.view.update((each.outcome, each) for each in update.trades)
        self._told.append(update)


class OpportunityChanges(Changes[str, Opportunity, Opportunity]):
    """`view`: the open opportunities by id, with their last figures.

    Each is told as opened, then as updated, then as closed, also over lost connections. Where the server cannot tell any more what
    became of those that were open before, each of them is closed for reason `lost_track`, and opened again where it goes on.
    """

    def __init__(self, calls: Calls, least: int) -> None:
        super().__init__(calls, "StrategyService/GetArbOpportunities", strategy_pb2.ArbOpportunity)
        self._least = least

    def _request(self, resume_after: market_pb2.Cursor | None) -> Any:
        cursor = resume_after or market_pb2.Cursor()  # without one a snapshot would not say that it is one
        return strategy_pb2.ArbRequest(min_net_per_contract_micros=self._least, resume_after=cursor)

    def _apply(self, message: Any, resumed: bool) -> None:
        if message.state == strategy_pb2.OPPORTUNITY_STATE_SNAPSHOT:
            self._told += [msgspec.structs.replace(each, state="closed", reason=LOST_TRACK) for each in self.view.values()]
            self.view.clear()
            return
        change = read.opportunity(message)
        known = change.id in self.view
        if change.state == "closed":
            if known:
                del self.view[change.id]
                self._told.append(change)
            return
        change = msgspec.structs.replace(change, state="updated" if known else "opened")
        self.view[change.id] = change
        self._told.append(change)
