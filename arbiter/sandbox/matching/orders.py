"""What an account asks for, and the record of an order as its owner may read it.

A record is immutable; each step of an order gives it a new one. Prices and sizes are micros of a dollar and of a share or
contract, always of the order's own outcome; `yes_side` and `yes_price` say the same in the terms of the market's one book.
"""

from enum import Enum
from typing import NewType

import msgspec

from arbiter.domain.book import Side
from arbiter.domain.fees import FeeMeter
from arbiter.domain.ids import OrderId, OutcomeKey
from arbiter.domain.market import FeeSchedule
from arbiter.domain.money import ZERO, Micros, pico_ceil

AccountId = NewType("AccountId", str)
"""Whose balances: a wallet, or a member and its subaccount. The wire formats know which."""


class Tif(Enum):
    """GTC rests until it is cancelled, GTD until its time, FOK is filled whole at once or not at all, FAK (IOC) takes what is there."""

    GTC = "gtc"
    GTD = "gtd"
    FOK = "fok"
    FAK = "fak"

    @property
    def rests(self) -> bool:
        return self in (Tif.GTC, Tif.GTD)


class SelfTrade(Enum):
    """What happens where an order would meet one of the same account: nothing, the arriving one ends, the resting one ends."""

    ALLOWED = "allowed"
    TAKER_AT_CROSS = "taker_at_cross"
    MAKER = "maker"


class Status(Enum):
    """DELAYED: held back by the taker delay, not in the book yet."""

    DELAYED = "delayed"
    RESTING = "resting"
    EXECUTED = "executed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        return self in (Status.DELAYED, Status.RESTING)


class Why(Enum):
    """Why an order's record is another now."""

    PLACED = "placed"
    DELAYED = "delayed"
    TRADE = "trade"
    AMENDED = "amended"
    DECREASED = "decreased"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNFILLED = "unfilled"
    """What a FAK or a FOK found nothing for."""
    SELF_TRADE = "self_trade"
    MARGIN = "margin"
    """Its owner's balance no longer carries it."""
    POST_ONLY_CROSS = "post_only_cross"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"
    CLOSED = "closed"


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `id` is made by the caller (Polymarket: the order's digest); `client_id` must be new for the account where it is given.

    `expires_ms`: Unix ms, with GTD alone, as the venue's request states it. `cancel_on_pause`: it does not outlast a pause.
    `spend`: of a FOK or FAK that buys: so many dollars before fees are spent, whatever shares that gives; `size` is what they
    give at the limit. 0: the size counts.
    """

    id: OrderId
    account: AccountId
    outcome: OutcomeKey
    side: Side
    price: Micros
    size: Micros
    tif: Tif = Tif.GTC
    client_id: str = ""
    post_only: bool = False
    reduce_only: bool = False
    self_trade: SelfTrade = SelfTrade.ALLOWED
    expires_ms: int = 0
    cancel_on_pause: bool = False
    spend: Micros = ZERO


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One order as it stands. `request` is what is in force now (an amendment changes it), `initial` the size at first.

    `size` is what is filled and what is still wanted; more than was asked for where dollars
    went further. The sums are of dollars, apart for what it took and what it made.
    """

    request: NewOrder
    yes: bool
    """Whether it is on the market's YES outcome."""
    payout: Micros
    fees: FeeSchedule | None
    """Those under which it came; they stay its own."""
    initial: Micros
    size: Micros
    created_ms: int
    updated_ms: int
    status: Status = Status.RESTING
    why: Why = Why.PLACED
    filled: Micros = ZERO
    taker_cash: Micros = ZERO
    maker_cash: Micros = ZERO
    taker_fees: Micros = ZERO
    maker_fees: Micros = ZERO

    @property
    def id(self) -> OrderId:
        return self.request.id

    @property
    def account(self) -> AccountId:
        return self.request.account

    @property
    def outcome(self) -> OutcomeKey:
        return self.request.outcome

    @property
    def side(self) -> Side:
        return self.request.side

    @property
    def price(self) -> Micros:
        return self.request.price

    @property
    def remaining(self) -> Micros:
        return Micros(self.size - self.filled)

    @property
    def yes_side(self) -> Side:
        """To buy NO is to sell YES."""
        return self.side if self.yes else opposite(self.side)

    @property
    def yes_price(self) -> Micros:
        return self.price if self.yes else Micros(self.payout - self.price)

    @property
    def cost(self) -> Micros:
        """Dollars for what remains, at its limit."""
        return pico_ceil(self.price * self.remaining)


class LiveOrder:
    """The engine's handle on an order: its record of now and the fees that it has gathered."""

    __slots__ = ("client_ids", "due_ms", "meter", "record")

    def __init__(self, record: OrderRecord, meter: FeeMeter) -> None:
        self.record = record
        self.meter = meter
        self.client_ids = [record.request.client_id] if record.request.client_id else []
        """All that it was known by: each stays taken."""
        self.due_ms = 0
        """Unix ms at which a delayed one goes on, or a resting one expires; 0: never."""


def opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
