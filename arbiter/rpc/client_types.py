"""What `ArbiterClient` returns: plain frozen structs. Money in micros, times UTC ms, 0 where there is none."""

from typing import Literal

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import MarketId, OutcomeKey
from arbiter.domain.money import Micros
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.trading_state import TradingState


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
    totp_threshold: Micros = Micros(0)
    """An order that may cost more needs a code, where codes are asked for."""


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
    """What a dashboard shows. `strategies`: every one by name, and whether it is switched on.

    `withdrawn`: those that were switched off for the user, and why: `tier` or `suspended`.
    """

    profile: Profile
    trading: TradingStateInfo
    strategies: dict[str, bool]
    wallet: Wallet
    positions: tuple[PositionInfo, ...]
    withdrawn: dict[str, str] = {}


class PositionsUpdate(msgspec.Struct, frozen=True):
    """All positions (`snapshot`), or those that changed; size 0 means closed.

    `more`: another part of the snapshot, or of what was missed, follows at once. `resumed`: the connection was lost, and this is the
    first update over a new one: with `snapshot` what happened meanwhile is not known, else this and its parts tell it.
    """

    snapshot: bool
    positions: tuple[PositionInfo, ...]
    sequence: int
    conflated: int
    more: bool = False
    resumed: bool = False


class OrdersUpdate(msgspec.Struct, frozen=True):
    """All open orders, or those that changed; one that ended comes once more, in its final state."""

    snapshot: bool
    orders: "tuple[OrderInfo, ...]"
    sequence: int
    conflated: int
    more: bool = False
    resumed: bool = False


class OrderInfo(msgspec.Struct, frozen=True):
    """An order. `idempotency_key` as it was placed; `strategy` is who placed it, "manual" the user.

    Where the server is newer than this client: a `state` that is not known here is UNKNOWN, a `tif` None.
    """

    order_id: str
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    filled: Micros
    state: OrderState
    reason: str
    tif: TimeInForce | None
    created_ms: int
    updated_ms: int
    idempotency_key: str
    strategy: str

    @property
    def is_final(self) -> bool:
        """It has ended: nothing of it changes any more."""
        return self.state.is_final


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


class UserInfo(msgspec.Struct, frozen=True):
    """An account as operators see it. `own_state`: without what operators stopped for everybody."""

    user: str
    name: str
    tier: str
    role: str
    suspended: bool
    telegram_linked: bool
    strategies: tuple[str, ...]
    own_state: TradingState


class NewUser(msgspec.Struct, frozen=True):
    """A new account, and its API key, which is shown this once."""

    user: UserInfo
    api_key: str

    def __repr__(self) -> str:
        return f"NewUser({self.user!r}, ...)"


class HaltReport(msgspec.Struct, frozen=True):
    """What a stop of everybody came to. `uncertain`: orders whose cancel is not confirmed yet, `uncertain_count` how many there are.

    Trading is stopped on `unconfirmed_venues` too, which did not answer in time: then repeat the call.
    """

    state: TradingState
    durable: bool
    cancelled: int
    uncertain: tuple[str, ...]
    uncertain_count: int
    unconfirmed_venues: tuple[str, ...]
