"""What an account holds and did, read over REST: requests for its pages, and the pages (B7).

Reads lag behind what was just done (positions by about a second, an order's cancel has been seen late by 0.4 s): what is not on a
page is no proof that it is not. A page says how many of its rows could not be read: then less than ever.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from arbiter.domain.account_events import CashTold, FillTold, OrderTold, PositionTold, SettlementTold
from arbiter.domain.ids import KALSHI
from arbiter.domain.money import Micros
from arbiter.venues.kalshi.account_rows import to_fill, to_order, to_position, to_settlement
from arbiter.venues.kalshi.fields import Fields, UnreadableAnswer, read_object
from arbiter.venues.kalshi.order_request import Request, id_text, shard_number, subaccount_number, ticker_text

T = TypeVar("T")

PAGE = 1_000
"""The most rows at once; one more is a 400, not a shorter page."""
RESTING, CANCELED, EXECUTED = "resting", "canceled", "executed"
_ORDERS = "/portfolio/orders"


class Page(NamedTuple, Generic[T]):
    """Some rows, the cursor of the next (empty at the end), and how many rows could not be read."""

    rows: tuple[T, ...]
    cursor: str = ""
    unreadable: int = 0


class Cash(NamedTuple):
    """All cash, what the positions are worth beside it (None: not told), and the cash of each shard where the venue splits it.

    An order is paid from its own shard's pool alone (B5.1).
    """

    total: CashTold
    portfolio_value: Micros | None = None
    pools: tuple[CashTold, ...] = ()


class Scope(NamedTuple):
    """What pages are narrowed to; what is empty does not narrow. Times are Unix ms; the venue counts whole seconds, so that an end is
    taken a little late and a beginning a little early."""

    ticker: str = ""
    order: str = ""
    """The venue's id; for fills alone."""
    status: str = ""
    """`RESTING`, `CANCELED` or `EXECUTED`; for orders alone."""
    since_ms: int = 0
    until_ms: int = 0
    subaccount: int | None = None
    shard: int | None = None


EVERYTHING = Scope()


def ask_orders(scope: Scope = EVERYTHING, cursor: str = "") -> Request:
    return _page(_ORDERS, scope, cursor)


def ask_order(venue_id: str) -> Request:
    """One order: five times cheaper than a page."""
    return Request("GET", f"{_ORDERS}/{id_text(venue_id, 'order_id')}")


def ask_fills(scope: Scope = EVERYTHING, cursor: str = "") -> Request:
    return _page("/portfolio/fills", scope, cursor)


def ask_positions(scope: Scope = EVERYTHING, cursor: str = "") -> Request:
    """Of markets that are not settled yet."""
    return _page("/portfolio/positions", scope, cursor)


def ask_settlements(scope: Scope = EVERYTHING, cursor: str = "") -> Request:
    return _page("/portfolio/settlements", scope, cursor)


def ask_cash(subaccount: int = 0) -> Request:
    params = (("subaccount", str(subaccount_number(subaccount))),) if subaccount else ()
    return Request("GET", "/portfolio/balance", params)


def read_orders(body: bytes | msgspec.Raw) -> Page[OrderTold]:
    """These raise UnreadableAnswer for a page that is none; rows that cannot be read are counted."""
    return _read(body, "orders", to_order)


def read_order(body: bytes | msgspec.Raw) -> OrderTold:
    """Raises UnreadableAnswer."""
    return to_order(read_object(body).need_inner("order"))


def read_fills(body: bytes | msgspec.Raw) -> Page[FillTold]:
    return _read(body, "fills", to_fill)


def read_positions(body: bytes | msgspec.Raw) -> Page[PositionTold]:
    """Of markets; the sums of events beside them are not read."""
    return _read(body, "market_positions", to_position)


def read_settlements(body: bytes | msgspec.Raw) -> Page[SettlementTold]:
    return _read(body, "settlements", to_settlement)


def read_cash(body: bytes | msgspec.Raw, subaccount: int = 0) -> Cash:
    """`balance` is whole cents, cut off, `balance_dollars` exact and not told to everybody; in the breakdown `balance` is dollars, so
    that a bare integer there could be either and is refused. Raises UnreadableAnswer."""
    fields = read_object(body)
    cash = fields.signed("balance_dollars")
    if cash is None:
        cash = fields.cents("balance")
    if cash is None:
        raise UnreadableAnswer("balance", "is missing")
    at = 1000 * fields.unix("updated_ts")
    pools = tuple(_pool(Fields(row), subaccount, at) for row in fields.rows("balance_breakdown"))
    return Cash(CashTold(venue=KALSHI, cash=cash, subaccount=subaccount, updated_ms=at), fields.cents("portfolio_value"), pools)


def _pool(fields: Fields, subaccount: int, at_ms: int) -> CashTold:
    shard, cash = fields.number("exchange_index"), fields.signed("balance_dollars")
    if shard is None:
        raise UnreadableAnswer("exchange_index", "is missing")
    if cash is None:
        if "." not in fields.need_text("balance"):
            raise UnreadableAnswer("balance", "dollars or cents?")
        cash = fields.need_signed("balance")
    return CashTold(venue=KALSHI, cash=cash, shard=shard, subaccount=subaccount, updated_ms=at_ms)


def _page(path: str, scope: Scope, cursor: str) -> Request:
    params = [("limit", str(PAGE))]
    if scope.ticker:
        params.append(("ticker", ticker_text(scope.ticker)))
    if scope.order:
        params.append(("order_id", id_text(scope.order, "order_id")))
    if scope.status:
        params.append(("status", scope.status))
    if scope.since_ms:
        params.append(("min_ts", str(scope.since_ms // 1000)))
    if scope.until_ms:
        params.append(("max_ts", str(-(-scope.until_ms // 1000))))
    if scope.subaccount is not None:
        params.append(("subaccount", str(subaccount_number(scope.subaccount))))
    if shard_number(scope.shard) is not None:
        params.append(("exchange_index", str(scope.shard)))
    if cursor:
        params.append(("cursor", cursor))
    return Request("GET", path, tuple(params))


def _read(body: bytes | msgspec.Raw, name: str, convert: Callable[[Fields], T]) -> Page[T]:
    fields = read_object(body)
    rows: list[T] = []
    unreadable = 0
    for row in fields.rows(name):
        try:
            rows.append(convert(Fields(row)))
        except UnreadableAnswer:
            unreadable += 1
    return Page(tuple(rows), fields.text("cursor"), unreadable)
