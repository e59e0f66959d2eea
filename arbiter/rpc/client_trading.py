"""What a client does with its money: orders, positions, stopping."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from arbiter.domain.book import Side
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.rpc import client_read as read
from arbiter.rpc import client_types as types
from arbiter.rpc.client_calls import Repeat, Subject
from arbiter.rpc.client_changes import following
from arbiter.rpc.client_pages import Pages
from arbiter.rpc.client_streams import OrderChanges, PositionChanges
from arbiter.rpc.client_types import OrderInfo, PositionInfo
from arbiter.v1 import trading_pb2


class Trading(Subject):
    """TradingService."""

    async def get_overview(self) -> types.Overview:
        """Profile, trading state, strategies, wallet and positions in one call."""
        return read.overview(
            await self._unary("TradingService/GetOverview", trading_pb2.OverviewRequest(), trading_pb2.OverviewResponse, repeat=Repeat.READ)
        )

    async def get_positions(self) -> list[PositionInfo]:
        """The open positions, valued now."""
        reply = await self._unary(
            "TradingService/GetPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionsResponse, repeat=Repeat.READ
        )
        return [read.position(each) for each in reply.positions]

    async def place_order(
        self, outcome: OutcomeKey, side: Side, price: int, size: int, *, idempotency_key: str, tif: TimeInForce = TimeInForce.IOC
    ) -> OrderInfo:
        """Place an order (micros); answers when it and its first fills are durable.

        The same key returns the same order, also over restarts: where the answer was lost, a persistent client repeats the call with it
        by itself until the deadline. Raises UncertainError: call it again with the same key, never a new one; RefusedError: the risk gate
        refused, `reason` names the rule; NotPermittedError, reason TOTP_NEEDED: see `with_code`.
        """
        request = trading_pb2.OrderRequest(
            idempotency_key=idempotency_key,
            outcome=read.outcome_ref(outcome),
            side=read.SIDES[side],
            price_micros=price,
            size_micros=size,
            time_in_force=read.TIFS[tif],
        )
        return read.order((await self._unary("TradingService/PlaceOrder", request, trading_pb2.OrderResponse, repeat=Repeat.SAFE)).order)

    async def cancel_order(self, order_id: str) -> OrderInfo:
        """Take an order back; a final one is returned as it ended."""
        request = trading_pb2.CancelRequest(order_id=order_id)
        return read.order((await self._unary("TradingService/CancelOrder", request, trading_pb2.CancelResponse, repeat=Repeat.SAFE)).order)

    async def get_order(self, order_id: str) -> OrderInfo:
        """One order. NotFoundError where it is not the caller's."""
        request = trading_pb2.GetOrderRequest(order_id=order_id)
        return read.order((await self._unary("TradingService/GetOrder", request, trading_pb2.OrderResponse, repeat=Repeat.READ)).order)

    def list_orders(self, states: Iterable[OrderState] = (), *, page_size: int = 0) -> AsyncIterator[OrderInfo]:
        """The caller's orders, newest first, only those in one of these states where any are given; fetched a page at a time."""
        wanted = [read.ORDER_STATES[each] for each in states]

        async def fetch(token: str) -> tuple[Iterable[OrderInfo], str]:
            request = trading_pb2.ListOrdersRequest(states=wanted, page_size=page_size, page_token=token)
            reply = await self._unary("TradingService/ListOrders", request, trading_pb2.ListOrdersResponse, repeat=Repeat.READ)
            return [read.order(each) for each in reply.orders], reply.next_page_token

        return Pages(fetch)

    async def get_wallet(self) -> types.Wallet:
        """Cash by venue, and what the positions are worth."""
        return read.wallet(
            await self._unary("TradingService/GetWallet", trading_pb2.WalletRequest(), trading_pb2.WalletResponse, repeat=Repeat.READ)
        )

    async def emergency_stop(self, reason: str = "") -> types.StopReport:
        """Stop all trading of the caller: no new orders, open orders cancelled, strategies off. Safe to repeat."""
        request = trading_pb2.EmergencyStopRequest(reason=reason)
        return read.stop_report(
            await self._unary("TradingService/EmergencyStop", request, trading_pb2.EmergencyStopResponse, repeat=Repeat.SAFE)
        )

    async def resume_trading(self) -> None:
        """Lift an emergency stop. Strategies stay off. Trading stays stopped where operators stopped it for everybody."""
        request = trading_pb2.ResumeTradingRequest(confirm=True)
        await self._unary("TradingService/ResumeTrading", request, trading_pb2.ResumeTradingResponse)

    async def get_trading_state(self) -> types.TradingStateInfo:
        """Whether the caller's trading goes on."""
        request = trading_pb2.TradingStateRequest()
        return read.trading_state(
            await self._unary("TradingService/GetTradingState", request, trading_pb2.TradingStateResponse, repeat=Repeat.READ)
        )

    @asynccontextmanager
    async def stream_positions(self) -> AsyncIterator[PositionChanges]:
        """All positions first, then each change, over lost connections too; the stream ends with the block. See `Changes`."""
        async with following(PositionChanges(self._calls)) as changes:
            yield changes

    @asynccontextmanager
    async def stream_orders(self) -> AsyncIterator[OrderChanges]:
        """The open orders first, then each as it changes, its final state included; the same otherwise."""
        async with following(OrderChanges(self._calls)) as changes:
            yield changes
