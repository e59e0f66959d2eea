"""The store and the stop marker in memory: the same contracts, gone with the process. For tests and simulations."""

from collections.abc import Sequence

from arbiter.domain.account import Account
from arbiter.domain.audit import NumberedAudit
from arbiter.domain.families import Family
from arbiter.domain.ids import FillId, OrderId, UserId
from arbiter.domain.order import Fill, Order, OrderState
from arbiter.domain.second_factor import SecondFactor
from arbiter.domain.trading_state import TradingStatus
from arbiter.store.base import (
    AddAudit,
    AddEntry,
    AddFill,
    Committed,
    DropFamily,
    DropSecondFactor,
    NumberedEntry,
    PutAccount,
    PutFamily,
    PutOrder,
    PutSecondFactor,
    PutTradingStatus,
    Refused,
    Write,
    Writes,
)


class MemoryStore:
    """`base.Store` in dictionaries. See there for the methods' contracts."""

    def __init__(self) -> None:
        self._accounts: dict[UserId, Account] = {}
        self._orders: dict[OrderId, Order] = {}
        self._keys: dict[tuple[UserId, str], OrderId] = {}
        self._fills: dict[FillId, Fill] = {}
        self._ledger: list[NumberedEntry] = []
        self._statuses: dict[UserId, TradingStatus] = {}
        self._families: dict[str, Family] = {}
        self._second_factors: dict[UserId, SecondFactor] = {}
        self._audit: list[NumberedAudit] = []

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: what was committed can still be read, as a file could."""

    async def commit(self, groups: Sequence[Writes]) -> list[Committed | Refused]:
        problems = [self._apply_group(group) for group in groups]
        return [Committed(len(self._ledger)) if problem is None else Refused(problem) for problem in problems]

    async def accounts(self) -> list[Account]:
        return sorted(self._accounts.values(), key=lambda account: account.user)

    async def account(self, user: UserId) -> Account | None:
        return self._accounts.get(user)

    async def trading_statuses(self) -> list[TradingStatus]:
        return sorted(self._statuses.values(), key=lambda status: status.user)

    async def orders(self, user: UserId | None = None, *, newest_final: int | None = None) -> list[Order]:
        kept = (o for o in self._orders.values() if (o.user == user if user is not None else not o.state.is_final))
        found = sorted(kept, key=lambda order: (order.created_ms, order.id))
        if newest_final is None:
            return found
        final = [order.id for order in found if order.state.is_final]
        left_out = set(final[: max(0, len(final) - newest_final)])
        return [order for order in found if order.id not in left_out]

    async def orders_before(
        self, user: UserId, before: tuple[int, OrderId] | None, limit: int, states: frozenset[OrderState] = frozenset()
    ) -> list[Order]:
        found = [order for order in reversed(await self.orders(user)) if not states or order.state in states]
        return [order for order in found if before is None or (order.created_ms, order.id) < before][:limit]

    async def order(self, order: OrderId) -> Order | None:
        return self._orders.get(order)

    async def order_by_key(self, user: UserId, idempotency_key: str) -> Order | None:
        known = self._keys.get((user, idempotency_key))
        return None if known is None else self._orders[known]

    async def fills_of_open_orders(self) -> list[Fill]:
        return [fill for fill in self._fills.values() if not self._orders[fill.order].state.is_final]

    async def ledger_after(self, sequence: int, limit: int) -> list[NumberedEntry]:
        return self._ledger[sequence : sequence + limit]

    async def families(self) -> list[Family]:
        return sorted(self._families.values(), key=lambda family: family.id)

    async def second_factors(self) -> list[SecondFactor]:
        return sorted(self._second_factors.values(), key=lambda factor: factor.user)

    async def audit_after(self, sequence: int, limit: int) -> list[NumberedAudit]:
        return self._audit[sequence : sequence + limit]

    def _apply_group(self, group: Writes) -> str | None:
        problem = self._problem(group)
        if problem is not None:
            return problem
        for write in group:
            self._apply(write)
        return None

    def _apply(self, write: Write) -> None:
        match write:
            case PutOrder(order):
                self._orders[order.id] = order
                self._keys[order.user, order.idempotency_key] = order.id
            case AddFill(fill):
                self._fills[fill.id] = fill
            case AddEntry(entry):
                self._ledger.append(NumberedEntry(len(self._ledger) + 1, entry))
            case PutAccount(account):
                self._accounts[account.user] = account
            case PutTradingStatus(status):
                self._statuses[status.user] = status
            case PutFamily(family):
                self._families[family.id] = family
            case DropFamily(id_):
                self._families.pop(id_, None)
            case PutSecondFactor(factor):
                self._second_factors[factor.user] = factor
            case DropSecondFactor(user):
                self._second_factors.pop(user, None)
            case AddAudit(record):
                self._audit.append(NumberedAudit(len(self._audit) + 1, record))

    def _problem(self, group: Writes) -> str | None:
        """What SQLite's constraints would say of this group."""
        keys = dict(self._keys)
        orders, fills = set(self._orders), set(self._fills)
        for write in group:
            if isinstance(write, PutOrder):
                order = write.order
                if keys.setdefault((order.user, order.idempotency_key), order.id) != order.id:
                    return "UNIQUE constraint failed: orders.user, orders.idempotency_key"
                orders.add(order.id)
            elif isinstance(write, AddFill):
                if write.fill.id in fills:
                    return "UNIQUE constraint failed: fills.id"
                if write.fill.order not in orders:
                    return "FOREIGN KEY constraint failed"
                fills.add(write.fill.id)
        return None


class MemoryStopMarker:
    """`base.StopMarker` in a variable."""

    def __init__(self) -> None:
        self.stops: tuple[TradingStatus, ...] = ()

    async def read(self) -> tuple[TradingStatus, ...]:
        return self.stops

    async def write(self, stops: tuple[TradingStatus, ...]) -> None:
        self.stops = stops
