"""What a store must do: commit groups of writes durably, and read them back after a restart.

A *group* is what one actor wants to be true together: all of it is kept or none. A commit takes many groups in one
durable transaction (group commit) and isolates a bad one from the others.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from arbiter.domain.account import Account
from arbiter.domain.audit import AuditRecord, NumberedAudit
from arbiter.domain.families import Family
from arbiter.domain.ids import OrderId, UserId
from arbiter.domain.ledger import LedgerEntry
from arbiter.domain.order import Fill, Order, OrderState
from arbiter.domain.second_factor import SecondFactor
from arbiter.domain.trading_state import TradingStatus


class PutOrder(msgspec.Struct, frozen=True, tag=True):
    """Insert or update an order. A second order under one (user, idempotency key) fails its group."""

    order: Order


class AddFill(msgspec.Struct, frozen=True, tag=True):
    """Record a fill, once by its id; a second one fails its group."""

    fill: Fill


class AddEntry(msgspec.Struct, frozen=True, tag=True):
    """Append to the ledger."""

    entry: LedgerEntry


class PutAccount(msgspec.Struct, frozen=True, tag=True):
    """Insert or update an account."""

    account: Account


class PutTradingStatus(msgspec.Struct, frozen=True, tag=True):
    """Insert or update whether a user's trading goes on."""

    status: TradingStatus


class PutFamily(msgspec.Struct, frozen=True, tag=True):
    """Insert or update a token family."""

    family: Family


class DropFamily(msgspec.Struct, frozen=True, tag=True):
    """Forget a token family; nothing happens where there is none."""

    id: str


class PutSecondFactor(msgspec.Struct, frozen=True, tag=True):
    """Insert or update a user's second factor."""

    factor: SecondFactor


class DropSecondFactor(msgspec.Struct, frozen=True, tag=True):
    """Forget a user's second factor; nothing happens where there is none."""

    user: UserId


class AddAudit(msgspec.Struct, frozen=True, tag=True):
    """Append to the audit. Nothing changes or removes a record."""

    record: AuditRecord


Write = (
    PutOrder | AddFill | AddEntry | PutAccount | PutTradingStatus | PutFamily | DropFamily | PutSecondFactor | DropSecondFactor | AddAudit
)
Writes = tuple[Write, ...]


class Committed(msgspec.Struct, frozen=True):
    """One group is durable. `ledger_sequence` is the number of the last ledger entry of the whole store."""

    ledger_sequence: int


class Refused(msgspec.Struct, frozen=True):
    """One group is not kept; the others of the commit are."""

    problem: str


class NumberedEntry(msgspec.Struct, frozen=True):
    """A ledger entry and its place in the order in which entries became durable, from 1."""

    sequence: int
    entry: LedgerEntry


class Store(Protocol):
    """Durable state. Every method raises StoreError when the medium fails; a failed commit keeps nothing."""

    async def open(self) -> None:
        """Make it usable, creating what is missing. Raises ConfigError where the place is unfit."""

    async def close(self) -> None:
        """Flush and release it."""

    async def commit(self, groups: Sequence[Writes]) -> list[Committed | Refused]:
        """Make the groups durable in one transaction; one result for each, in order."""

    async def accounts(self) -> list[Account]:
        """All accounts."""

    async def account(self, user: UserId) -> Account | None:
        """One account."""

    async def trading_statuses(self) -> list[TradingStatus]:
        """The state of every user whose trading was ever stopped."""

    async def orders(self, user: UserId | None = None, *, newest_final: int | None = None) -> list[Order]:
        """A user's orders, or, without a user, every order that is not final; oldest first.

        With `newest_final`, of the user's final orders only the newest so many.
        """

    async def orders_before(
        self, user: UserId, before: tuple[int, OrderId] | None, limit: int, states: frozenset[OrderState] = frozenset()
    ) -> list[Order]:
        """A user's orders, newest first by (created_ms, id): at most `limit`, before that one, in these states (none: in any)."""

    async def order(self, order: OrderId) -> Order | None:
        """One order."""

    async def order_by_key(self, user: UserId, idempotency_key: str) -> Order | None:
        """The order that a user placed under this key."""

    async def fills_of_open_orders(self) -> list[Fill]:
        """Every fill of an order that is not final, in the order in which they became durable."""

    async def ledger_after(self, sequence: int, limit: int) -> list[NumberedEntry]:
        """The next entries after `sequence`, at most `limit`."""

    async def families(self) -> list[Family]:
        """All token families."""

    async def second_factors(self) -> list[SecondFactor]:
        """Every user's second factor."""

    async def audit_after(self, sequence: int, limit: int) -> list[NumberedAudit]:
        """The next audit records after `sequence`, at most `limit`."""


class StopMarker(Protocol):
    """Keeps the stops that the store could not take yet, beside it: what stands here holds after a restart."""

    async def read(self) -> tuple[TradingStatus, ...]:
        """What was written last. Raises StoreError where that cannot be known."""

    async def write(self, stops: tuple[TradingStatus, ...]) -> None:
        """Keep exactly these, durably; none removes the marker. Raises StoreError."""
