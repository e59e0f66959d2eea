"""What the venue would tell an account, in order. Whoever folds these knows what the venue knows of it."""

import msgspec

from arbiter.domain.ids import MarketKey
from arbiter.domain.money import Micros
from arbiter.sandbox.matching.orders import AccountId, OrderRecord, Why
from arbiter.sandbox.matching.trades import Leg, Trade


class CashMoved(msgspec.Struct, frozen=True, tag=True):
    """A deposit, or a withdrawal when negative."""

    pool: int
    amount: Micros


class OrderChanged(msgspec.Struct, frozen=True, tag=True):
    """An order of the account's has come or is another now; `why` is the record's."""

    order: OrderRecord

    @property
    def why(self) -> Why:
        return self.order.why


class Filled(msgspec.Struct, frozen=True, tag=True):
    """One fill of one of its orders. `trade` is the whole of it, which on Polymarket names the others' orders."""

    trade: Trade
    leg: Leg


class TradeMoved(msgspec.Struct, frozen=True, tag=True):
    """A trade in which it took part is one step further. Told once, also if it was on both sides. FAILED: nothing of it is true."""

    trade: Trade


class PairsMoved(msgspec.Struct, frozen=True, tag=True):
    """It made `size` pairs of YES and NO out of dollars, or dollars out of pairs when negative; `cash` is its change of dollars."""

    market: MarketKey
    pool: int
    size: Micros
    cash: Micros


class Paid(msgspec.Struct, frozen=True, tag=True):
    """A market that is settled paid for all its shares, which are gone. `yes_pays` is what one YES was worth."""

    market: MarketKey
    pool: int
    yes: Micros
    no: Micros
    yes_pays: Micros
    void: bool
    amount: Micros
    at_ms: int


AccountEvent = CashMoved | OrderChanged | Filled | TradeMoved | PairsMoved | Paid


class Told(msgspec.Struct, frozen=True):
    """An event and whom it is for."""

    account: AccountId
    event: AccountEvent
