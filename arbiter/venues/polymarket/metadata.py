"""Gamma's markets -> domain markets. What is missing or odd makes a market untradable, never a guess."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from arbiter.domain.fees import LARGEST_EXPONENT
from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import FeeSchedule, Market, MarketStatus, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.venues.wire_numbers import UNDECODABLE, number_micros

SIZE_STEP = Micros(10_000)
MIN_NOTIONAL = ONE
"""A marketable BUY must be worth at least $1 (fact sheet A5.1, reported by third parties)."""
NOTIONAL_STEP = Micros(10_000)
"""An immediate BUY spends whole cents: its maker amount has at most two decimals (A5.3)."""


class FeeScheduleObject(msgspec.Struct, rename="camel"):
    """`feeSchedule`: the fee source of truth since 2026-03-31."""

    rate: Decimal
    exponent: Decimal = Decimal(1)
    taker_only: bool | None = None


class GammaEvent(msgspec.Struct):
    id: str | None = None
    slug: str | None = None


class GammaMarket(msgspec.Struct, rename="camel"):
    """The fields of Gamma's market that we read. Several arrays are JSON inside a string."""

    condition_id: str | None = None
    question: str | None = None
    version: str | None = "v1"
    outcomes: str | None = None
    clob_token_ids: str | None = None
    position_ids: list[str] | None = None
    active: bool | None = None
    closed: bool | None = None
    accepting_orders: bool | None = None
    enable_order_book: bool | None = None
    fees_enabled: bool | None = None
    order_price_min_tick_size: Decimal | None = None
    order_min_size: Decimal | None = None
    fee_schedule: FeeScheduleObject | None = None
    description: str | None = None
    category: str | None = None
    end_date: str | None = None
    events: list[GammaEvent] | None = None


class MarketsPage(msgspec.Struct):
    """One page of `/markets/keyset`; no `next_cursor` on the last. Markets stay undecoded: an odd one must not hide the others."""

    markets: list[msgspec.Raw] | None = None
    next_cursor: str | None = None


_decode = msgspec.json.Decoder(GammaMarket).decode


def read_market(raw: bytes | msgspec.Raw) -> Market | None:
    """One market of a page; None for what has no two-sided book to follow (not binary, no order book, no ids yet).

    Raises ValueError where a field is not what the API promises.
    """
    try:
        return to_market(_decode(raw))
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None


def to_market(raw: GammaMarket) -> Market | None:
    """See `read_market`. Index 0 is our `yes` side whatever it is called: sports name teams (A4.2)."""
    ids, labels = _outcome_ids(raw), _text_array(raw.outcomes)
    two_sided = len(labels) == 2 and len(ids) == 2 and all(ids) and ids[0] != ids[1]
    if not two_sided or not raw.condition_id or raw.enable_order_book is False or raw.order_price_min_tick_size is None:
        return None
    tick = number_micros(raw.order_price_min_tick_size)
    if not 0 < tick < ONE:
        raise ValueError(f"a tick size of {raw.order_price_min_tick_size}")
    return Market(
        key=MarketKey(POLYMARKET, MarketId(raw.condition_id)),
        event=_event(raw),
        title=raw.question or "",
        yes=Outcome(OutcomeId(ids[0]), labels[0]),
        no=Outcome(OutcomeId(ids[1]), labels[1]),
        ticks=(TickRange(tick, Micros(ONE - tick), tick),),
        size_step=SIZE_STEP,
        min_size=number_micros(raw.order_min_size) if raw.order_min_size is not None else ZERO,
        min_notional=MIN_NOTIONAL,
        notional_step=NOTIONAL_STEP,
        fees=_fees(raw),
        status=_status(raw),
        rules=raw.description or "",
        category=raw.category or "",
        closes_at=_moment(raw.end_date),
    )


def _event(raw: GammaMarket) -> EventId:
    """A market is its own event where Gamma names none."""
    first = raw.events[0] if raw.events else GammaEvent()
    return EventId(first.slug or first.id or raw.condition_id or "")


def _outcome_ids(raw: GammaMarket) -> list[str]:
    """By the market's generation, not by which fields are there (A1.1)."""
    return raw.position_ids or [] if raw.version == "v2" else _text_array(raw.clob_token_ids)


def _text_array(text: str | None) -> list[str]:
    try:
        return msgspec.json.decode(text or "[]", type=list[str])
    except UNDECODABLE:
        return []


def _fees(raw: GammaMarket) -> FeeSchedule | None:
    """The market's own schedule (A8). None, which refuses to trade, where it is missing or of a form we cannot compute."""
    if raw.fees_enabled is False:
        return PolymarketFees(ZERO)
    schedule = raw.fee_schedule
    if schedule is None or schedule.taker_only is False:
        return None
    try:
        rate, exponent = number_micros(schedule.rate), number_micros(schedule.exponent)
    except ValueError:
        return None
    if rate < 0 or exponent % ONE or not 0 < exponent <= LARGEST_EXPONENT * ONE:
        return None
    return PolymarketFees(rate, exponent // ONE)


def _status(raw: GammaMarket) -> MarketStatus:
    if raw.closed:
        return MarketStatus.CLOSED
    return MarketStatus.OPEN if raw.active and raw.accepting_orders else MarketStatus.PAUSED


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
