"""TradingService: the caller's orders and positions."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import structlog
import trio

from arbiter.actors.accounts import SwitchAllOff
from arbiter.actors.brake import GetStanding, Resume
from arbiter.actors.paper_desk import OrderChanged
from arbiter.actors.position_tracker import GetHoldings, GetPositions, PositionChanged
from arbiter.actors.user_session import CancelAll, CancelOrder, GetOrder, GetOrders, ListOrders, PlaceOrder
from arbiter.domain.account import Account
from arbiter.domain.ids import OrderId, OutcomeKey, UserId
from arbiter.domain.trading_state import TradingState
from arbiter.domain.wallet import cash_pools
from arbiter.errors import ArbiterError, InvalidInput
from arbiter.rpc import codec
from arbiter.rpc.change import Change
from arbiter.rpc.core import ASK_SECONDS, STOP_SECONDS, Core
from arbiter.rpc.feed import Source
from arbiter.rpc.follow import Follow
from arbiter.rpc.gate import Gate
from arbiter.rpc.list_feed import ListFeed
from arbiter.rpc.request import Request
from arbiter.rpc.stops import Stops
from arbiter.rpc.totp_calls import require_totp, require_totp_for_order
from arbiter.v1 import trading_pb2
from arbiter.v1.trading_grpc import TradingServiceServicer

K = TypeVar("K")
E = TypeVar("E")

_log = structlog.get_logger(component="trading")


class TradingService(TradingServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/trading.proto`."""

    def __init__(self, core: Core, gate: Gate) -> None:
        self._core = core
        self._gate = gate
        self._stops = Stops(core.brake, self._end_all)
        self._positions = Source(core.position_changes, self._encode_position, run=core.run, group_of=lambda change: change.position.user)
        self._orders = Source(core.order_changes, _encode_order, run=core.run, group_of=lambda change: change.order.user)

    def _encode_position(self, change: Change[tuple[UserId, OutcomeKey], PositionChanged]) -> bytes:
        position = codec.position_out(change.event, self._core.data)
        return trading_pb2.PositionUpdate(positions=[position], at_unix_ms=change.event.at_ms).SerializeToString()

    async def GetPositions(self, message: trading_pb2.PositionsRequest, request: Request) -> trading_pb2.PositionsResponse:
        held = await self._core.tracker.ask(GetPositions(request.caller.user), timeout=ASK_SECONDS)
        return trading_pb2.PositionsResponse(positions=[codec.position_out(change, self._core.data) for change in held])

    async def PlaceOrder(self, message: trading_pb2.OrderRequest, request: Request) -> trading_pb2.OrderResponse:
        wanted = PlaceOrder(
            codec.key_in(message.idempotency_key),
            codec.outcome_in("outcome", message.outcome),
            codec.side_in(message.side),
            codec.price_in("price_micros", message.price_micros),
            codec.positive_micros_in("size_micros", message.size_micros),
            codec.tif_in(message.time_in_force),
        )
        await require_totp_for_order(self._core, request, wanted.price, wanted.size)
        order = await self._core.session(request.caller.user).ask(wanted, timeout=ASK_SECONDS)
        return trading_pb2.OrderResponse(order=codec.order_out(order))

    async def CancelOrder(self, message: trading_pb2.CancelRequest, request: Request) -> trading_pb2.CancelResponse:
        wanted = CancelOrder(OrderId(codec.text_in("order_id", message.order_id)))
        order = await self._core.session(request.caller.user).ask(wanted, timeout=ASK_SECONDS)
        return trading_pb2.CancelResponse(order=codec.order_out(order))

    async def GetWallet(self, message: trading_pb2.WalletRequest, request: Request) -> trading_pb2.WalletResponse:
        wallet, _ = await self._worth(request.caller.user)
        return wallet

    async def GetOverview(self, message: trading_pb2.OverviewRequest, request: Request) -> trading_pb2.OverviewResponse:
        account: Account = request.caller
        standing = await self._core.brake.ask(GetStanding(account.user), timeout=ASK_SECONDS)
        wallet, held = await self._worth(account.user)
        return trading_pb2.OverviewResponse(
            profile=codec.profile_out(account),
            trading=codec.standing_out(standing),
            strategies=codec.strategies_out(account),
            wallet=wallet,
            positions=[codec.position_out(change, self._core.data) for change in held],
        )

    async def _worth(self, user: UserId) -> tuple[trading_pb2.WalletResponse, tuple[PositionChanged, ...]]:
        """The wallet, and the open positions that are valued in it."""
        holdings = await self._core.tracker.ask(GetHoldings(user), timeout=ASK_SECONDS)
        valued = await self._core.tracker.ask(GetPositions(user), timeout=ASK_SECONDS)
        orders = await self._core.session(user).ask(GetOrders(), timeout=ASK_SECONDS)
        return codec.wallet_out(cash_pools(self._core.feeds, holdings, orders), holdings, valued), valued

    async def EmergencyStop(self, message: trading_pb2.EmergencyStopRequest, request: Request) -> trading_pb2.EmergencyStopResponse:
        """The latch first, which nothing below can undo; a part that does not answer is named as unconfirmed, and holds up no other."""
        reason = codec.short_text_in(message.reason)
        halted = await self._stops.halt(request.caller.user, reason)
        report = trading_pb2.EmergencyStopResponse(state=codec.trading_state_out(halted.status.state), durable=halted.durable)
        report.MergeFrom(await self._stops.finish(halted))
        return report

    async def _end_all(self, user: UserId) -> trading_pb2.EmergencyStopResponse:
        """What follows the latch, as the part of a report."""
        report = trading_pb2.EmergencyStopResponse()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_all, user, report)
            nursery.start_soon(self._switch_all_off, user, report)
        return report

    async def _cancel_all(self, user: UserId, report: trading_pb2.EmergencyStopResponse) -> None:
        try:
            ended = await self._core.session(user).ask(CancelAll(), timeout=STOP_SECONDS)
        except ArbiterError as error:
            _log.error("stopped, but the open orders' cancels are not confirmed", user=user, problem=str(error))
            report.orders_unconfirmed = True
        else:
            report.cancelled_orders = len(ended.cancelled)
            report.uncertain_order_ids.extend(ended.uncertain)

    async def _switch_all_off(self, user: UserId, report: trading_pb2.EmergencyStopResponse) -> None:
        try:
            report.disabled_strategies.extend(await self._core.accounts.ask(SwitchAllOff(user), timeout=STOP_SECONDS))
        except ArbiterError as error:
            _log.error("stopped, but the strategies are not confirmed to be off", user=user, problem=str(error))
            report.strategies_unconfirmed = True

    async def ResumeTrading(self, message: trading_pb2.ResumeTradingRequest, request: Request) -> trading_pb2.ResumeTradingResponse:
        if not message.confirm:
            raise InvalidInput("confirm", "must be true: trading goes on after this")
        user: UserId = request.caller.user
        standing = await self._core.brake.ask(GetStanding(user), timeout=ASK_SECONDS)
        status = standing.effective
        if standing.own.state is TradingState.HALTED:
            await require_totp(self._core, request)
            await self._core.accounts.ask(SwitchAllOff(user), timeout=ASK_SECONDS)  # the stop may not have come to that
            status = await self._core.brake.ask(Resume(user), timeout=ASK_SECONDS)
        return trading_pb2.ResumeTradingResponse(state=codec.trading_state_out(status.state))

    async def GetTradingState(self, message: trading_pb2.TradingStateRequest, request: Request) -> trading_pb2.TradingStateResponse:
        return codec.standing_out(await self._core.brake.ask(GetStanding(request.caller.user), timeout=ASK_SECONDS))

    async def GetOrder(self, message: trading_pb2.GetOrderRequest, request: Request) -> trading_pb2.OrderResponse:
        wanted = GetOrder(OrderId(codec.text_in("order_id", message.order_id)))
        order = await self._core.session(request.caller.user).ask(wanted, timeout=ASK_SECONDS)
        return trading_pb2.OrderResponse(order=codec.order_out(order))

    async def ListOrders(self, message: trading_pb2.ListOrdersRequest, request: Request) -> trading_pb2.ListOrdersResponse:
        size = codec.page_size_in(message.page_size)
        wanted = ListOrders(size, codec.order_states_in(message.states), codec.orders_before_in(message.page_token))
        found = await self._core.session(request.caller.user).ask(wanted, timeout=ASK_SECONDS)
        return trading_pb2.ListOrdersResponse(
            orders=[codec.order_out(order) for order in found], next_page_token=codec.orders_before_out(found, size)
        )

    # -- streams --

    async def StreamPositions(self, message: trading_pb2.PositionsRequest, request: Request) -> AsyncIterator[Follow]:
        with self._gate.stream(request), self._following("positions", self._positions, message, request) as feed:
            yield Follow(feed)

    async def StreamOrders(self, message: trading_pb2.StreamOrdersRequest, request: Request) -> AsyncIterator[Follow]:
        with self._gate.stream(request), self._following("orders", self._orders, message, request) as feed:
            yield Follow(feed)

    def _following(self, what: str, source: Source[K, E], message: Any, request: Request) -> AbstractContextManager[ListFeed[K, E]]:
        """What is told of the caller's own."""
        user: UserId = request.caller.user
        return ListFeed(source, self._core.environment.unix_ms, (user,)).opened(f"{what} {user}", codec.resume_after_in(message))


def _encode_order(change: Change[OrderId, OrderChanged]) -> bytes:
    order = change.event.order
    return trading_pb2.OrderUpdate(orders=[codec.order_out(order)], at_unix_ms=order.updated_ms).SerializeToString()
