"""The store on disk: SQLite in WAL mode with `synchronous=FULL`, one writing connection and one reading.

The SQL is plain functions on a connection. A *runner* decides where they run: `ThreadRunner` in a thread each, for
the program; `InlineRunner` on the loop, for simulations whose clock must not wait for threads.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import apsw
import msgspec
import trio

from arbiter.domain.account import Account
from arbiter.domain.audit import AuditRecord, NumberedAudit
from arbiter.domain.families import Family
from arbiter.domain.ids import OrderId, UserId
from arbiter.domain.ledger import LedgerEntry
from arbiter.domain.order import Fill, Order, OrderState
from arbiter.domain.second_factor import SecondFactor
from arbiter.domain.trading_state import TradingStatus
from arbiter.errors import ConfigError, StoreError
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

T = TypeVar("T")

NEVER_MS = (1 << 63) - 1
"""After every time that a row can hold."""

_FIRST_SCHEMA = """
CREATE TABLE accounts (user TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, idempotency_key TEXT NOT NULL, final INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (user, idempotency_key)
) STRICT;
CREATE INDEX orders_not_final ON orders (created_ms) WHERE final = 0;
CREATE TABLE fills (id TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders (id), body BLOB NOT NULL) STRICT;
CREATE TABLE ledger (sequence INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL) STRICT;
"""
_SIGNING_IN = """
CREATE TABLE token_families (id TEXT PRIMARY KEY, user TEXT NOT NULL, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE second_factors (user TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
"""
_MIGRATIONS = (
    _FIRST_SCHEMA,
    "CREATE TABLE trading_statuses (user TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;",
    "CREATE INDEX fills_of_order ON fills (order_id);",
    _SIGNING_IN,
    "CREATE INDEX orders_of_user ON orders (user, created_ms, id);",
)
"""Each brings a file from the schema before it to the next; the number of those that were applied is `user_version`."""
SCHEMA_VERSION = len(_MIGRATIONS)
_ORDERS_OF_USER = """
SELECT body FROM orders WHERE user = ? AND (final = 0 OR id IN (
    SELECT id FROM orders WHERE user = ? AND final = 1 ORDER BY created_ms DESC, id DESC LIMIT ?
)) ORDER BY created_ms, id
"""
"""A LIMIT of -1 is none."""
_ORDERS_BEFORE = """
SELECT body FROM orders WHERE user = ? AND (created_ms, id) < (?, ?)
AND (? OR CAST(body AS TEXT) ->> 'state' IN (SELECT value FROM json_each(?)))
ORDER BY created_ms DESC, id DESC LIMIT ?
"""
_FILLS_OF_OPEN_ORDERS = """
SELECT fills.body FROM orders JOIN fills ON fills.order_id = orders.id WHERE orders.final = 0 ORDER BY fills.rowid
"""

_encode = msgspec.json.Encoder().encode
_decode_account = msgspec.json.Decoder(Account).decode
_decode_order = msgspec.json.Decoder(Order).decode
_decode_fill = msgspec.json.Decoder(Fill).decode
_decode_status = msgspec.json.Decoder(TradingStatus).decode
_decode_family = msgspec.json.Decoder(Family).decode
_decode_factor = msgspec.json.Decoder(SecondFactor).decode
_decode_audit = msgspec.json.Decoder(AuditRecord).decode
_decode_entry: Callable[[bytes], LedgerEntry] = msgspec.json.Decoder(LedgerEntry).decode


class Runner(Protocol):
    """Where the blocking functions run, one at a time."""

    async def run(self, function: Callable[[], T]) -> T:
        """Call it, wait for it, give its result. Not interrupted by cancellation once it began."""


class ThreadRunner:
    """In a worker thread, one call at a time, so that a file never blocks the loop."""

    def __init__(self) -> None:
        self._one = trio.CapacityLimiter(1)

    async def run(self, function: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(function, limiter=self._one)


class InlineRunner:
    """Right here. For simulations."""

    async def run(self, function: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        return function()


class SqliteStore:
    """`base.Store` on one SQLite file. See there for the methods' contracts."""

    def __init__(self, path: Path, make_runner: Callable[[], Runner] = ThreadRunner) -> None:
        self._path = path
        self._writing = make_runner()
        self._reading = make_runner()
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None

    async def open(self) -> None:
        try:
            await self._writing.run(self._open)
        except ConfigError:
            await self.close()
            raise

    async def close(self) -> None:
        with trio.CancelScope(shield=True):
            await self._reading.run(lambda: _close(self._reader))
            await self._writing.run(lambda: _close(self._writer))
        self._writer = self._reader = None

    def _open(self) -> None:
        try:
            _make_private(self._path)
            self._writer = apsw.Connection(str(self._path))
            if self._writer.readonly("main"):  # SQLite opens what it may not write without a word
                raise apsw.ReadOnlyError("it may not be written")
            _configure(self._writer)
            _migrate(self._writer, self._path)
            self._reader = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
            self._reader.set_busy_timeout(1000)
        except (apsw.Error, OSError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                f"cannot use the database {self._path}: {problem}", "check its permissions, or start with another --data folder"
            ) from error

    # -- writing --

    async def commit(self, groups: Sequence[Writes]) -> list[Committed | Refused]:
        # The transaction is one plain function: a cancelled caller can neither split it nor leave it open.
        return await self._writing.run(lambda: self._commit(groups))

    def _commit(self, groups: Sequence[Writes]) -> list[Committed | Refused]:
        connection = _opened(self._writer)
        try:
            with connection:
                problems = [_apply_group(connection, group) for group in groups]
                last = _last_sequence(connection)
        except apsw.Error as error:
            raise StoreError(f"the store could not write: {_first_problem(error)}") from error
        return [Committed(last) if problem is None else Refused(problem) for problem in problems]

    # -- reading --

    async def accounts(self) -> list[Account]:
        rows = await self._read("SELECT body FROM accounts ORDER BY user")
        return [_decode_account(body) for (body,) in rows]

    async def account(self, user: UserId) -> Account | None:
        rows = await self._read("SELECT body FROM accounts WHERE user = ?", (user,))
        return _decode_account(rows[0][0]) if rows else None

    async def trading_statuses(self) -> list[TradingStatus]:
        rows = await self._read("SELECT body FROM trading_statuses ORDER BY user")
        return [_decode_status(body) for (body,) in rows]

    async def orders(self, user: UserId | None = None, *, newest_final: int | None = None) -> list[Order]:
        if user is None:
            rows = await self._read("SELECT body FROM orders WHERE final = 0 ORDER BY created_ms, id")
        else:
            rows = await self._read(_ORDERS_OF_USER, (user, user, -1 if newest_final is None else newest_final))
        return [_decode_order(body) for (body,) in rows]

    async def orders_before(
        self, user: UserId, before: tuple[int, OrderId] | None, limit: int, states: frozenset[OrderState] = frozenset()
    ) -> list[Order]:
        at, order_id = before or (NEVER_MS, OrderId(""))
        wanted = _encode([state.value for state in states]).decode()
        rows = await self._read(_ORDERS_BEFORE, (user, at, order_id, not states, wanted, limit))
        return [_decode_order(body) for (body,) in rows]

    async def order(self, order: OrderId) -> Order | None:
        rows = await self._read("SELECT body FROM orders WHERE id = ?", (order,))
        return _decode_order(rows[0][0]) if rows else None

    async def order_by_key(self, user: UserId, idempotency_key: str) -> Order | None:
        rows = await self._read("SELECT body FROM orders WHERE user = ? AND idempotency_key = ?", (user, idempotency_key))
        return _decode_order(rows[0][0]) if rows else None

    async def fills_of_open_orders(self) -> list[Fill]:
        return [_decode_fill(body) for (body,) in await self._read(_FILLS_OF_OPEN_ORDERS)]

    async def ledger_after(self, sequence: int, limit: int) -> list[NumberedEntry]:
        rows = await self._read("SELECT sequence, body FROM ledger WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit))
        return [NumberedEntry(number, _decode_entry(body)) for number, body in rows]

    async def families(self) -> list[Family]:
        return [_decode_family(body) for (body,) in await self._read("SELECT body FROM token_families ORDER BY id")]

    async def second_factors(self) -> list[SecondFactor]:
        return [_decode_factor(body) for (body,) in await self._read("SELECT body FROM second_factors ORDER BY user")]

    async def audit_after(self, sequence: int, limit: int) -> list[NumberedAudit]:
        rows = await self._read("SELECT sequence, body FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit))
        return [NumberedAudit(number, _decode_audit(body)) for number, body in rows]

    async def _read(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        def fetch() -> list[tuple[Any, ...]]:
            try:
                return list(_opened(self._reader).execute(sql, bindings))
            except apsw.Error as error:
                raise StoreError(f"the store could not read: {error}") from error

        return await self._reading.run(fetch)


# -- plain functions on a connection --


def _make_private(path: Path) -> None:
    """Its owner's alone, also where an earlier version left it wider. SQLite gives the files beside it the same permissions."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if each.exists() and each.stat().st_mode & 0o077:
            each.chmod(0o600)


def _opened(connection: apsw.Connection | None) -> apsw.Connection:
    if connection is None:
        raise StoreError("the store is not open")
    return connection


def _first_problem(error: BaseException) -> BaseException:
    """What a transaction failed of. A full disk ends it at once, and then each savepoint that is left complains of that."""
    while isinstance(error.__context__, apsw.Error):
        error = error.__context__
    return error


def _close(connection: apsw.Connection | None) -> None:
    if connection is not None:
        connection.close()


def _configure(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(1000)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _migrate(connection: apsw.Connection, path: Path) -> None:
    """Bring the file to this program's schema; refuse one that a newer program wrote."""
    version = _number(connection, "PRAGMA user_version")
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"the database {path} was written by a newer Arbiter (schema {version}, this one knows {SCHEMA_VERSION})",
            "update Arbiter, or start with another --data folder",
        )
    if version < SCHEMA_VERSION:
        with connection:
            for migration in _MIGRATIONS[version:]:
                connection.execute(migration)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _apply_group(connection: apsw.Connection, group: Writes) -> str | None:
    """All writes of a group, in a savepoint of their own; the problem when a constraint refuses one."""
    try:
        with connection:
            for write in group:
                _apply(connection, write)
    except apsw.ConstraintError as error:
        return str(error)
    return None


def _apply(connection: apsw.Connection, write: Write) -> None:
    match write:
        case PutOrder(order):
            connection.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET final = excluded.final, body = excluded.body",
                (order.id, order.user, order.idempotency_key, int(order.state.is_final), order.created_ms, _encode(order)),
            )
        case AddFill(fill):
            connection.execute("INSERT INTO fills VALUES (?, ?, ?)", (fill.id, fill.order, _encode(fill)))
        case AddEntry(entry):
            connection.execute("INSERT INTO ledger (body) VALUES (?)", (_encode(entry),))
        case PutAccount(account):
            connection.execute(
                "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET body = excluded.body", (account.user, _encode(account))
            )
        case PutTradingStatus(status):
            connection.execute(
                "INSERT INTO trading_statuses VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET body = excluded.body",
                (status.user, _encode(status)),
            )
        case PutFamily(family):
            connection.execute(
                "INSERT INTO token_families VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                (family.id, family.user, _encode(family)),
            )
        case DropFamily(id_):
            connection.execute("DELETE FROM token_families WHERE id = ?", (id_,))
        case PutSecondFactor(factor):
            connection.execute(
                "INSERT INTO second_factors VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET body = excluded.body",
                (factor.user, _encode(factor)),
            )
        case DropSecondFactor(user):
            connection.execute("DELETE FROM second_factors WHERE user = ?", (user,))
        case AddAudit(record):
            connection.execute("INSERT INTO audit (at_ms, who, body) VALUES (?, ?, ?)", (record.at_ms, record.who, _encode(record)))


def _last_sequence(connection: apsw.Connection) -> int:
    return _number(connection, "SELECT coalesce(max(sequence), 0) FROM ledger")


def _number(connection: apsw.Connection, sql: str) -> int:
    """The one number that a statement answers with."""
    ((number,),) = connection.execute(sql)
    return int(str(number))
