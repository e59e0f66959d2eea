"""Answers to requests that make, change and cancel orders (B6). They are flat and say no status: it is derived here.

Read from the body of an answer of status 2xx. UnreadableAnswer means that the outcome is unknown: reconcile, never send again.
A body that names an error in spite of its status is VenueRejected where the error is one we know to be final.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from arbiter.domain.account_events import Standing
from arbiter.domain.ids import KALSHI, OutcomeId
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.domain.order import Order, OrderState, TimeInForce
from arbiter.errors import VenueRejected
from arbiter.venues.kalshi.fields import Fields, UnreadableAnswer, read_object
from arbiter.venues.kalshi.metadata import YES
from arbiter.venues.kalshi.order_refusals import Meaning, becomes, meaning_of
from arbiter.venues.refusals import read_refusal


class Placed(NamedTuple):
    """What became of an order at once. Micros; `average_price` in the order's own terms, `average_fee` of one contract."""

    venue_id: str
    standing: Standing
    filled: Micros
    remaining: Micros
    average_price: Micros | None = None
    average_fee: Micros | None = None
    at_ms: int = 0


class Refused(NamedTuple):
    """One order of a batch that the venue refused, in its own words."""

    meaning: Meaning
    code: str
    text: str


class Cancelled(NamedTuple):
    """`reduced_by`: what still rested of the order, and does no more. Zero in a batch is no proof of a cancel."""

    venue_id: str
    client_id: str
    reduced_by: Micros
    at_ms: int = 0


class Changed(NamedTuple):
    """An amended or decreased order: what rests of it now, and what crossed as it was amended; None where not told."""

    venue_id: str
    client_id: str
    remaining: Micros | None
    filled: Micros | None = None
    average_fee: Micros | None = None
    at_ms: int = 0


def placed(body: bytes | msgspec.Raw, order: Order) -> Placed:
    """The answer to the create of this order. Raises UnreadableAnswer, also where it is of another order; VenueRejected."""
    return _placed(_successful(body), order)


def placed_batch(body: bytes | msgspec.Raw, orders: Sequence[Order]) -> list[Placed | Refused | None]:
    """For each order of the batch what came of it; None: nothing that can be understood is said of it, so look it up.

    Rows are told apart by our id, and by their order where one repeats no id. Raises UnreadableAnswer; VenueRejected.
    """
    rows = _successful(body).rows("orders")
    ids: dict[str, int] = {order.id: index for index, order in enumerate(orders)}
    results: list[Placed | Refused | None] = [None] * len(orders)
    for index, row in enumerate(rows):
        try:
            fields = Fields(row)
            named = fields.text("client_order_id")
            mine = ids.get(named) if named else (index if len(rows) == len(orders) else None)
            if mine is not None:
                results[mine] = _refused(fields) or _placed(fields, orders[mine])
        except UnreadableAnswer:
            continue
    return results


def cancelled(body: bytes | msgspec.Raw, venue_id: str) -> Cancelled:
    """The answer to a cancel of this order. Raises UnreadableAnswer; VenueRejected.

    The venue's reads can lag behind it: an order that was cancelled has been read as resting 0.4 s later.
    """
    found = _cancelled(_successful(body))
    if found.venue_id != venue_id:
        raise UnreadableAnswer("order_id", "of another order")
    return found


def cancelled_batch(body: bytes | msgspec.Raw, venue_ids: Sequence[str]) -> dict[str, Cancelled | Refused]:
    """By the venue's id; what is not in it was not told of. Raises UnreadableAnswer; VenueRejected."""
    results: dict[str, Cancelled | Refused] = {}
    for row in _successful(body).rows("orders"):
        try:
            fields = Fields(row)
            venue_id = fields.text("order_id")
            if venue_id in venue_ids:
                results[venue_id] = _refused(fields) or _cancelled(fields)
        except UnreadableAnswer:
            continue
    return results


def changed(body: bytes | msgspec.Raw, venue_id: str) -> Changed:
    """The answer to an amend or a decrease. Raises UnreadableAnswer; VenueRejected."""
    fields = _successful(body)
    found = Changed(
        fields.need_text("order_id"),
        fields.text("client_order_id"),
        fields.size("remaining_count"),
        fields.size("fill_count"),
        fields.signed("average_fee_paid"),
        fields.unix("ts_ms"),
    )
    if found.venue_id != venue_id:
        raise UnreadableAnswer("order_id", "of another order")
    return found


def standing_of(tif: TimeInForce, size: Micros, filled: Micros, remaining: Micros) -> Standing:
    """Filled whole; resting; or else the rest is cancelled: what an order that takes at once could not get, what would have met an
    order of our own, what was more than is held. It says `remaining` 0 in all three, so that alone does not mean "executed"."""
    if filled >= size:
        return Standing.EXECUTED
    if remaining > 0 and tif is TimeInForce.GTC:
        return Standing.RESTING
    return Standing.CANCELLED


# -- rows --


def _placed(fields: Fields, order: Order) -> Placed:
    venue_id = fields.need_text("order_id")
    if fields.text("client_order_id") not in ("", order.id):
        raise UnreadableAnswer("client_order_id", "of another order")
    filled, remaining = fields.need_size("fill_count"), fields.need_size("remaining_count")
    if filled + remaining > order.size:
        raise UnreadableAnswer("fill_count", "more than was asked for")
    standing = standing_of(order.tif, order.size, filled, remaining)
    return Placed(
        venue_id,
        standing,
        filled,
        remaining if standing is Standing.RESTING else ZERO,
        _own_price(fields.price("average_fill_price"), order.outcome.outcome),
        fields.signed("average_fee_paid"),
        fields.unix("ts_ms"),
    )


def _own_price(price: Micros | None, outcome: OutcomeId) -> Micros | None:
    """Of the YES book, as all prices are; no source says so of this one."""
    return price if price is None or outcome == YES else Micros(ONE - price)


def _cancelled(fields: Fields) -> Cancelled:
    return Cancelled(fields.need_text("order_id"), fields.text("client_order_id"), fields.need_size("reduced_by"), fields.unix("ts_ms"))


def _refused(fields: Fields) -> Refused | None:
    """A row with an error. One that says nothing final is unreadable: the order may be there."""
    if not fields.has("error"):
        return None
    refusal = read_refusal(fields.encoded())
    meaning = meaning_of(0, refusal.code, refusal.text)
    if meaning is Meaning.UNKNOWN:
        raise UnreadableAnswer("error", refusal.text)
    return Refused(meaning, refusal.code, refusal.text)


def _successful(body: bytes | msgspec.Raw) -> Fields:
    """The object that an answer is, unless it names an error of its own (a removed endpoint was seen to do so with a 2xx)."""
    fields = read_object(body)
    if not fields.has("error"):
        return fields
    refusal = read_refusal(fields.encoded())
    if becomes(meaning_of(0, refusal.code, refusal.text)) is OrderState.REJECTED:
        raise VenueRejected(KALSHI, refusal.text, refusal.code)
    raise UnreadableAnswer("error", refusal.text)
