"""Orders, fills and the one table of what may become of an order."""

from enum import Enum
from types import MappingProxyType

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.ids import FillId, OrderId, OutcomeKey, UserId
from arbiter.domain.money import ZERO, Micros


class OrderState(Enum):
    """Where an order stands. UNKNOWN: sent, no answer; only reconciliation leaves it."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_S = OrderState
_FINAL = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})

TRANSITIONS: MappingProxyType[OrderState, frozenset[OrderState]] = MappingProxyType(
    {
        # a pending order was never sent, so it may be cancelled outright
        _S.PENDING: frozenset({_S.SUBMITTING, _S.CANCELLED, _S.REJECTED}),
        _S.SUBMITTING: frozenset(
            {_S.OPEN, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLING, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.UNKNOWN}
        ),
        _S.OPEN: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLING, _S.CANCELLED, _S.EXPIRED, _S.UNKNOWN}),
        _S.PARTIALLY_FILLED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLING, _S.CANCELLED, _S.EXPIRED, _S.UNKNOWN}),
        # a cancel can lose the race against a fill
        _S.CANCELLING: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.UNKNOWN}),
        _S.UNKNOWN: frozenset({_S.OPEN, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLING, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}),
        **{final: frozenset() for final in _FINAL},
    }
)


class IllegalTransition(Exception):
    """A step that the table does not have: ours is a bug, the venue's starts a reconciliation."""

    def __init__(self, order: OrderId, before: OrderState, after: OrderState) -> None:
        super().__init__(f"order {order}: {before.value} cannot become {after.value}")
        self.order = order
        self.before = before
        self.after = after


class TimeInForce(Enum):
    """How long an order lives: rest until cancelled, or take what is there at once (part of it, or all or nothing)."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class Order(msgspec.Struct, frozen=True):
    """One order of one user on one outcome. `price` is the limit; money in micros, times in UTC milliseconds."""

    id: OrderId
    user: UserId
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    tif: TimeInForce
    idempotency_key: str
    created_ms: int
    strategy: str = "manual"
    state: OrderState = OrderState.PENDING
    filled: Micros = ZERO
    reason: str = ""
    updated_ms: int = 0

    @property
    def remaining(self) -> Micros:
        return Micros(self.size - self.filled)

    def become(self, state: OrderState, now_ms: int, *, reason: str = "") -> "Order":
        """The order in its next state; IllegalTransition where the table has no such step."""
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(self.id, self.state, state)
        return msgspec.structs.replace(self, state=state, reason=reason or self.reason, updated_ms=now_ms)

    def fill(self, size: Micros, now_ms: int) -> "Order":
        """The order after a fill of `size`. ValueError for more than what remains, or nothing."""
        if not 0 < size <= self.remaining:
            raise ValueError(f"a fill of {size} does not fit order {self.id} with {self.remaining} left")
        state = OrderState.FILLED if size == self.remaining else OrderState.PARTIALLY_FILLED
        return msgspec.structs.replace(self.become(state, now_ms), filled=Micros(self.filled + size))


class Fill(msgspec.Struct, frozen=True):
    """One execution against one order, as the venue states it: `cash` and `fee` are booked as given, in micros.

    `cash` is what changed hands for the shares, without the fee, always positive. `taker`: it met what rested there.
    """

    id: FillId
    order: OrderId
    user: UserId
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    cash: Micros
    fee: Micros
    at_ms: int
    strategy: str = "manual"
    taker: bool = True
