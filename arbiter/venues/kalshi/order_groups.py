"""Groups of orders with a limit of contracts in a rolling window: when it is hit, all orders of the group are cancelled and new
ones refused until it is reset (B6.2). A group lives on one shard. Shapes of the bodies are third-party knowledge."""

import msgspec

from arbiter.domain.money import MICRO, Micros, format_micros
from arbiter.errors import InvalidInput
from arbiter.venues.kalshi.fields import Fields, UnreadableAnswer, read_object
from arbiter.venues.kalshi.order_request import Place, Request, encode, id_text, where_fields, where_params

GROUPS = "/portfolio/order_groups"


class OrderGroup(msgspec.Struct, frozen=True):
    """One group: `limit` in micros of a contract, `triggered` once it was hit; None where not told."""

    id: str
    limit: Micros | None = None
    triggered: bool | None = None
    shard: int | None = None
    orders: tuple[str, ...] = ()
    """The venue's ids; only where one group is read."""


def create(limit: Micros, place: Place) -> Request:
    """A new group; of `place` the shard and the subaccount count."""
    return Request("POST", f"{GROUPS}/create", body=encode({"contracts_limit_fp": _limit(limit)} | where_fields(place)))


def change_limit(group: str, limit: Micros, place: Place) -> Request:
    return _of(group, "PUT", place, "/limit", encode({"contracts_limit_fp": _limit(limit)}))


def trigger(group: str, place: Place) -> Request:
    """As if its limit were hit: one request that cancels all its orders and keeps new ones out."""
    return _of(group, "PUT", place, "/trigger", b"{}")


def reset(group: str, place: Place) -> Request:
    return _of(group, "PUT", place, "/reset", b"{}")


def delete(group: str, place: Place) -> Request:
    """Its orders are cancelled."""
    return _of(group, "DELETE", place)


def read_one(group: str, place: Place) -> Request:
    return _of(group, "GET", place)


def read_all(place: Place) -> Request:
    return Request("GET", GROUPS, tuple(where_params(place, ticker=False)))


def created_group(body: bytes | msgspec.Raw) -> str:
    """The new group's id. Raises UnreadableAnswer."""
    return read_object(body).need_text("order_group_id")


def one_group(body: bytes | msgspec.Raw, group: str) -> OrderGroup:
    """The answer does not repeat the id. Raises UnreadableAnswer."""
    return _group(read_object(body), group)


def all_groups(body: bytes | msgspec.Raw) -> tuple[OrderGroup, ...]:
    """Raises UnreadableAnswer, also for one group that is: who stops all of them must not miss one."""
    return tuple(_group(Fields(row), "") for row in read_object(body).rows("order_groups"))


def _group(fields: Fields, group: str) -> OrderGroup:
    members = [row for row in fields.rows("orders") if isinstance(row, str)]
    if len(members) < len(fields.rows("orders")):
        raise UnreadableAnswer("orders", "not ids alone")
    return OrderGroup(
        group or fields.need_text("id", "order_group_id"),
        fields.size("contracts_limit_fp"),
        fields.flag("is_auto_cancel_enabled"),
        fields.number("exchange_index"),
        tuple(members),
    )


def _of(group: str, method: str, place: Place, rest: str = "", body: bytes = b"") -> Request:
    path = f"{GROUPS}/{id_text(group, 'order_group_id')}{rest}"
    return Request(method, path, tuple(where_params(place, ticker=False)), body)


def _limit(limit: Micros) -> str:
    if limit < MICRO or limit % MICRO:
        raise InvalidInput("limit", f"{format_micros(limit)} contracts: whole ones, at least 1")
    return format_micros(limit)
