"""How the answers of the server are read, and what a client sends is written: the one place that knows protobuf and `client_types`.

A server may be newer than this client and tell a value of an enum that is not known here. What stands for itself takes the value that
promises least (an order UNKNOWN, an opportunity closed); where none does, `NewerServerError` is raised, and never anything else.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketId, OutcomeId, OutcomeKey, VenueId
from arbiter.domain.money import Micros
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.trading_state import TradingState
from arbiter.rpc.client_errors import NewerServerError
from arbiter.rpc.client_types import (
    ActorInfo,
    HaltReport,
    LegInfo,
    LinkCode,
    NewUser,
    Opportunity,
    OrderInfo,
    OrdersUpdate,
    Overview,
    PoolInfo,
    PositionInfo,
    PositionsUpdate,
    Profile,
    StopReport,
    TradingStateInfo,
    UserInfo,
    Wallet,
)
from arbiter.v1 import admin_pb2, market_pb2, strategy_pb2, trading_pb2, user_pb2

SIDES = {Side.BUY: market_pb2.SIDE_BUY, Side.SELL: market_pb2.SIDE_SELL}
TIFS = {
    TimeInForce.GTC: market_pb2.TIME_IN_FORCE_GTC,
    TimeInForce.IOC: market_pb2.TIME_IN_FORCE_IOC,
    TimeInForce.FOK: market_pb2.TIME_IN_FORCE_FOK,
}
REVOKE_SCOPES = {
    "this": user_pb2.REVOKE_SCOPE_THIS,
    "all": user_pb2.REVOKE_SCOPE_ALL,
    "others": user_pb2.REVOKE_SCOPE_OTHERS,
}
ORDER_STATES = {state: getattr(trading_pb2, f"ORDER_STATE_{state.name}") for state in OrderState}
_SIDES_IN: dict[int, Side] = {number: side for side, number in SIDES.items()}
_TIFS_IN = {number: tif for tif, number in TIFS.items()}
_ORDER_STATES_IN = {number: state for state, number in ORDER_STATES.items()}
_TRADING_STATES = {getattr(trading_pb2, f"TRADING_STATE_{state.name}"): state for state in TradingState}


_OPPORTUNITY_STATES: dict[int, Literal["opened", "updated", "closed"]] = {
    strategy_pb2.OPPORTUNITY_STATE_OPENED: "opened",
    strategy_pb2.OPPORTUNITY_STATE_UPDATED: "updated",
    strategy_pb2.OPPORTUNITY_STATE_CLOSED: "closed",
}
UNKNOWN_STATE = "unknown_state"
"""The reason of an opportunity's end that came as a state which is not known here."""

V = TypeVar("V")


def _known(values: Mapping[int, V], number: int, what: str) -> V:
    """Raises NewerServerError."""
    found = values.get(number)
    if found is None:
        raise NewerServerError(what, number)
    return found


def outcome_ref(key: OutcomeKey) -> market_pb2.OutcomeRef:
    return market_pb2.OutcomeRef(venue=key.venue, market_id=key.market, outcome_id=key.outcome)


def outcome(ref: market_pb2.OutcomeRef) -> OutcomeKey:
    return OutcomeKey(VenueId(ref.venue), MarketId(ref.market_id), OutcomeId(ref.outcome_id))


def side(number: int, what: str) -> Side:
    """Raises NewerServerError."""
    return _known(_SIDES_IN, number, what)


def profile(m: user_pb2.ProfileResponse) -> Profile:
    edge = Micros(m.settings.min_edge_micros)
    return Profile(
        m.user_id,
        m.name,
        m.tier,
        m.role,
        m.suspended,
        edge,
        m.limits.requests_per_second,
        m.limits.orders_per_minute,
        m.telegram_name if m.telegram_linked else None,
        Micros(m.settings.totp_threshold.above_micros),
    )


def link_code(m: user_pb2.CreateLinkCodeResponse) -> LinkCode:
    return LinkCode(m.code, m.expires_unix_ms)


def wallet(m: trading_pb2.WalletResponse) -> Wallet:
    pools = tuple(
        PoolInfo(each.venue, Micros(each.cash_micros), Micros(each.reserved_micros), Micros(each.available_micros)) for each in m.pools
    )
    return Wallet(
        pools,
        Micros(m.cash_micros),
        Micros(m.positions_exit_micros),
        Micros(m.realised_pnl_micros),
        Micros(m.unrealised_pnl_micros),
        m.unmarked_positions,
    )


def stop_report(m: trading_pb2.EmergencyStopResponse) -> StopReport:
    return StopReport(
        _trading_state(m.state),
        m.durable,
        m.cancelled_orders,
        tuple(m.uncertain_order_ids),
        tuple(m.disabled_strategies),
        m.orders_unconfirmed,
        m.strategies_unconfirmed,
    )


def overview(m: trading_pb2.OverviewResponse) -> Overview:
    positions = tuple(position(each) for each in m.positions)
    withdrawn = {each.name: each.disabled_reason for each in m.strategies if each.disabled_reason}
    return Overview(profile(m.profile), trading_state(m.trading), strategies(m.strategies), wallet(m.wallet), positions, withdrawn)


def strategies(listed: Iterable[strategy_pb2.Strategy]) -> dict[str, bool]:
    return {each.name: each.enabled for each in listed}


def trading_state(m: trading_pb2.TradingStateResponse) -> TradingStateInfo:
    state = _trading_state(m.state)
    return TradingStateInfo(state, m.since_unix_ms, m.reason, m.by_operator, _trading_state(m.own_state, unset=state))


def _trading_state(number: int, *, unset: TradingState | None = None) -> TradingState:
    """`unset`: what a server means that does not tell it."""
    return unset if unset is not None and not number else _known(_TRADING_STATES, number, "trading state")


def position(m: trading_pb2.Position) -> PositionInfo:
    return PositionInfo(
        outcome(m.outcome),
        m.title,
        m.label,
        Micros(m.size_micros),
        Micros(m.cost_micros),
        Micros(m.realised_pnl_micros),
        Micros(m.fees_micros),
        Micros(m.mark_price_micros) if m.marked else None,
        Micros(m.unrealised_pnl_micros) if m.marked else None,
        Micros(m.exit_value_micros) if m.marked else None,
    )


def positions_update(m: trading_pb2.PositionUpdate, *, resumed: bool) -> PositionsUpdate:
    return PositionsUpdate(m.snapshot, tuple(position(each) for each in m.positions), m.sequence, m.conflated, m.more, resumed)


def orders_update(m: trading_pb2.OrderUpdate, *, resumed: bool) -> OrdersUpdate:
    return OrdersUpdate(m.snapshot, tuple(order(each) for each in m.orders), m.sequence, m.conflated, m.more, resumed)


def order(m: trading_pb2.Order) -> OrderInfo:
    return OrderInfo(
        m.order_id,
        outcome(m.outcome),
        side(m.side, "side of an order"),
        Micros(m.price_micros),
        Micros(m.size_micros),
        Micros(m.filled_micros),
        _ORDER_STATES_IN.get(m.state, OrderState.UNKNOWN),
        m.reason,
        _TIFS_IN.get(m.time_in_force),
        m.created_unix_ms,
        m.updated_unix_ms,
        m.idempotency_key,
        m.strategy,
    )


def opportunity(m: strategy_pb2.ArbOpportunity) -> Opportunity:
    state = _OPPORTUNITY_STATES.get(m.state)
    return Opportunity(
        m.opportunity_id,
        state or "closed",
        m.pair_id,
        m.title,
        tuple(_leg(each) for each in m.legs),
        Micros(m.size_micros),
        Micros(m.net_micros),
        Micros(m.net_per_contract_micros),
        tuple(m.book_age_ms),
        m.duration_ms,
        m.reason if state else UNKNOWN_STATE,
    )


def _leg(m: strategy_pb2.OpportunityLeg) -> LegInfo:
    money = (m.limit_price_micros, m.size_micros, m.cost_micros, m.fee_micros)
    return LegInfo(outcome(m.outcome), m.title, m.label, *(Micros(each) for each in money))


def actor(m: admin_pb2.Actor) -> ActorInfo:
    return ActorInfo(
        m.name,
        m.state,
        m.restarts,
        m.last_error,
        m.mailbox_depth,
        m.conflated,
        m.handled,
        m.busy_us,
        m.longest_us,
        m.p99_us,
        tuple(m.histogram),
        m.lost,
        m.kind,
    )


def user(m: admin_pb2.User) -> UserInfo:
    own = _trading_state(m.own_state, unset=TradingState.ACTIVE)
    return UserInfo(m.user_id, m.name, m.tier, m.role, m.suspended, m.telegram_linked, tuple(m.strategies), own)


def new_user(m: admin_pb2.CreateUserResponse) -> NewUser:
    return NewUser(user(m.user), m.api_key)


def halt_report(m: admin_pb2.HaltAllResponse) -> HaltReport:
    return HaltReport(
        _trading_state(m.state),
        m.durable,
        m.cancelled_orders,
        tuple(m.uncertain_order_ids),
        m.uncertain_orders,
        tuple(m.unconfirmed_venues),
    )
