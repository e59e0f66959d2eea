"""What `ArbiterClient` returns: plain frozen structs, and how they are read from protobuf. Money in micros, times UTC ms."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from arbiter.domain.book import Level, Side
from arbiter.domain.ids import MarketId, OutcomeId, OutcomeKey, VenueId
from arbiter.domain.money import Micros
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.trading_state import TradingState
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
_SIDES_IN = {number: side for side, number in SIDES.items()}
_TRADING_STATES = {getattr(trading_pb2, f"TRADING_STATE_{state.name}"): state for state in TradingState}


class Profile(msgspec.Struct, frozen=True):
    user: str
    name: str
    tier: str
    role: str
    suspended: bool
    min_edge: Micros
    requests_per_second: int
    orders_per_minute: int
    telegram_name: str | None
    """The linked Telegram account; None without one."""


class NewAuthenticator(msgspec.Struct, frozen=True):
    """Shown once: the secret to type into an app (base 32), the `otpauth://` address for a QR code, until when to confirm (UTC ms)."""

    secret: str
    address: str
    expires_ms: int

    def __repr__(self) -> str:
        return "NewAuthenticator(...)"


class TotpStatus(msgspec.Struct, frozen=True):
    """`since_ms`: when it was confirmed (UTC), 0 without one."""

    enrolled: bool
    recovery_codes_left: int
    since_ms: int


class LinkCode(msgspec.Struct, frozen=True):
    """A one-time code that links a Telegram account, and when it expires (UTC ms)."""

    code: str
    expires_ms: int


class PoolInfo(msgspec.Struct, frozen=True):
    """Cash on one venue: all of it, what open buy orders may need, and what is left."""

    venue: str
    cash: Micros
    reserved: Micros
    available: Micros


class Wallet(msgspec.Struct, frozen=True):
    """Cash, and what the positions are worth. `unmarked` positions have no usable book and are in none of the figures."""

    pools: tuple[PoolInfo, ...]
    cash: Micros
    positions_exit: Micros
    realised_pnl: Micros
    unrealised_pnl: Micros
    unmarked: int


class StopReport(msgspec.Struct, frozen=True):
    """What an emergency stop came to. `uncertain`: orders whose cancel is not confirmed yet.

    Trading is stopped also where a part is unconfirmed, because it did not answer in time: then repeat the call.
    """

    state: TradingState
    durable: bool
    cancelled: int
    uncertain: tuple[str, ...]
    disabled_strategies: tuple[str, ...]
    orders_unconfirmed: bool
    strategies_unconfirmed: bool


class TradingStateInfo(msgspec.Struct, frozen=True):
    """Whether trading goes on, since when (UTC ms, 0: always) and why.

    `by_operator`: it is stopped for everybody, and only operators lift that; `own` is what the user's own state is beside it.
    """

    state: TradingState
    since_ms: int
    reason: str
    by_operator: bool = False
    own: TradingState = TradingState.ACTIVE


class PositionInfo(msgspec.Struct, frozen=True):
    """A position. The last three are None without a usable book."""

    outcome: OutcomeKey
    title: str
    label: str
    size: Micros
    cost: Micros
    realised_pnl: Micros
    fees: Micros
    mark_price: Micros | None
    unrealised_pnl: Micros | None
    exit_value: Micros | None

    @property
    def market_id(self) -> MarketId:
        return self.outcome.market

    @property
    def side(self) -> Literal["long"]:
        """Holdings of an outcome are always long; being short is holding the complement."""
        return "long"

    @property
    def pnl(self) -> Micros:
        """Realised and, where known, unrealised."""
        return Micros(self.realised_pnl + (self.unrealised_pnl or 0))


class Overview(msgspec.Struct, frozen=True):
    """What a dashboard shows. `strategies`: every one by name, and whether it is switched on."""

    profile: Profile
    trading: TradingStateInfo
    strategies: dict[str, bool]
    wallet: Wallet
    positions: tuple[PositionInfo, ...]


class PositionsUpdate(msgspec.Struct, frozen=True):
    """All positions (`snapshot`), or those that changed; size 0 means closed."""

    snapshot: bool
    positions: tuple[PositionInfo, ...]
    sequence: int
    conflated: int


class OrderInfo(msgspec.Struct, frozen=True):
    order_id: str
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    filled: Micros
    state: OrderState
    reason: str


class LegInfo(msgspec.Struct, frozen=True):
    outcome: OutcomeKey
    title: str
    label: str
    limit: Micros
    size: Micros
    cost: Micros
    fee: Micros


class Opportunity(msgspec.Struct, frozen=True):
    """A step in an opportunity's life. `ages_ms` are those of both books."""

    id: str
    state: Literal["opened", "updated", "closed"]
    pair: str
    title: str
    legs: tuple[LegInfo, ...]
    size: Micros
    net: Micros
    net_per_contract: Micros
    ages_ms: tuple[int, ...]
    duration_ms: int
    reason: str


class MarketInfo(msgspec.Struct, frozen=True):
    venue: str
    market_id: str
    title: str
    yes: OutcomeKey
    no: OutcomeKey
    status: str
    tradable: bool


class BookInfo(msgspec.Struct, frozen=True):
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    fresh: bool
    age_ms: int


class ActorInfo(msgspec.Struct, frozen=True):
    """One actor, or a `group` that is down: `name` is its path in the tree. Counts are since the program started, times in microseconds.

    `histogram`: the first number counts messages below 1 microsecond, the n-th after it those from 2^(n-1) to 2^n.
    """

    name: str
    state: str
    restarts: int
    last_error: str
    mailbox_depth: int
    conflated: int
    handled: int
    busy_us: int
    longest_us: int
    p99_us: int
    histogram: tuple[int, ...]
    lost: int = 0
    """Messages that were in hand when it crashed."""
    kind: str = "actor"


def outcome_ref(key: OutcomeKey) -> market_pb2.OutcomeRef:
    return market_pb2.OutcomeRef(venue=key.venue, market_id=key.market, outcome_id=key.outcome)


def outcome(ref: market_pb2.OutcomeRef) -> OutcomeKey:
    return OutcomeKey(VenueId(ref.venue), MarketId(ref.market_id), OutcomeId(ref.outcome_id))


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
        _TRADING_STATES[m.state],
        m.durable,
        m.cancelled_orders,
        tuple(m.uncertain_order_ids),
        tuple(m.disabled_strategies),
        m.orders_unconfirmed,
        m.strategies_unconfirmed,
    )


def overview(m: trading_pb2.OverviewResponse) -> Overview:
    positions = tuple(position(each) for each in m.positions)
    return Overview(profile(m.profile), trading_state(m.trading), strategies(m.strategies), wallet(m.wallet), positions)


def strategies(listed: Iterable[strategy_pb2.Strategy]) -> dict[str, bool]:
    return {each.name: each.enabled for each in listed}


def trading_state(m: trading_pb2.TradingStateResponse) -> TradingStateInfo:
    state = _TRADING_STATES[m.state]
    return TradingStateInfo(state, m.since_unix_ms, m.reason, m.by_operator, _TRADING_STATES.get(m.own_state, state))


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


def positions_update(m: trading_pb2.PositionUpdate) -> PositionsUpdate:
    return PositionsUpdate(m.snapshot, tuple(position(each) for each in m.positions), m.sequence, m.conflated)


def order(m: trading_pb2.Order) -> OrderInfo:
    state = OrderState[trading_pb2.OrderState.Name(m.state).removeprefix("ORDER_STATE_")]
    return OrderInfo(
        m.order_id,
        outcome(m.outcome),
        _SIDES_IN[m.side],
        Micros(m.price_micros),
        Micros(m.size_micros),
        Micros(m.filled_micros),
        state,
        m.reason,
    )


def opportunity(m: strategy_pb2.ArbOpportunity) -> Opportunity:
    state: Any = strategy_pb2.OpportunityState.Name(m.state).removeprefix("OPPORTUNITY_STATE_").lower()
    return Opportunity(
        m.opportunity_id,
        state,
        m.pair_id,
        m.title,
        tuple(_leg(each) for each in m.legs),
        Micros(m.size_micros),
        Micros(m.net_micros),
        Micros(m.net_per_contract_micros),
        tuple(m.book_age_ms),
        m.duration_ms,
        m.reason,
    )


def _leg(m: strategy_pb2.OpportunityLeg) -> LegInfo:
    money = (m.limit_price_micros, m.size_micros, m.cost_micros, m.fee_micros)
    return LegInfo(outcome(m.outcome), m.title, m.label, *(Micros(each) for each in money))


def market(m: market_pb2.Market) -> MarketInfo:
    def key(outcome_id: str) -> OutcomeKey:
        return OutcomeKey(VenueId(m.venue), MarketId(m.market_id), OutcomeId(outcome_id))

    return MarketInfo(m.venue, m.market_id, m.title, key(m.yes.outcome_id), key(m.no.outcome_id), m.status, m.tradable)


def book(m: market_pb2.Book) -> BookInfo:
    bids, asks = (tuple(Level(Micros(x.price_micros), Micros(x.size_micros)) for x in side) for side in (m.bids, m.asks))
    return BookInfo(bids, asks, m.fresh, m.age_ms)


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
