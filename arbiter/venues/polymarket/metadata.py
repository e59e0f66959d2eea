"""Gamma's markets -> domain markets. What is missing or odd makes a market untradable, never a guess."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import FeeSchedule, Market, MarketStatus, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros, micros_from_decimal

SIZE_STEP = Micros(10_000)
MIN_NOTIONAL = ONE
"""A marketable BUY must be worth at least $1 (fact sheet A5.1, reported by third parties)."""
NOTIONAL_STEP = Micros(10_000)
"""An immediate BUY spends whole cents: its maker amount has at most two decimals (A5.3)."""


class FeeScheduleObject(msgspec.Struct):
    """`feeSchedule`: the fee source of truth since 2026-03-31."""

    rate: Decimal
    exponent: Decimal = Decimal(1)


class GammaEvent(msgspec.Struct):
    id: str = ""
    slug: str = ""


class GammaMarket(msgspec.Struct, rename="camel"):
    """The fields of Gamma's market that we read. Several arrays are JSON inside a string."""

    condition_id: str = ""
    question: str = ""
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
    """One page of `/markets/keyset`; no `next_cursor` on the last."""

    markets: list[GammaMarket]
    next_cursor: str | None = None


def to_market(raw: GammaMarket) -> Market | None:
    """The market, or None for what has no two-sided book to follow (not binary, no order book, no ids yet)."""
    ids = _outcome_ids(raw)
    labels = _text_array(raw.outcomes)
    if not raw.condition_id or raw.enable_order_book is False or len(ids) != 2 or len(labels) != 2 or not raw.order_price_min_tick_size:
        return None
    tick = micros_from_decimal(raw.order_price_min_tick_size)
    if not 0 < tick < ONE:
        return None
    return Market(
        key=MarketKey(POLYMARKET, MarketId(raw.condition_id)),
        event=EventId(raw.events[0].slug or raw.events[0].id if raw.events else raw.condition_id),
        title=raw.question,
        yes=Outcome(OutcomeId(ids[0]), labels[0]),
        no=Outcome(OutcomeId(ids[1]), labels[1]),
        ticks=(TickRange(tick, Micros(ONE - tick), tick),),
        size_step=SIZE_STEP,
        min_size=micros_from_decimal(raw.order_min_size) if raw.order_min_size else ZERO,
        min_notional=MIN_NOTIONAL,
        notional_step=NOTIONAL_STEP,
        fees=_fees(raw),
        status=_status(raw),
        rules=raw.description or "",
        category=raw.category or "",
        closes_at=_moment(raw.end_date),
    )


def _outcome_ids(raw: GammaMarket) -> list[str]:
    """By the market's generation, not by which fields are there (A1.1)."""
    return raw.position_ids or [] if raw.version == "v2" else _text_array(raw.clob_token_ids)


def _text_array(text: str | None) -> list[str]:
    try:
        return msgspec.json.decode(text or "[]", type=list[str])
    except msgspec.DecodeError:
        return []


def _fees(raw: GammaMarket) -> FeeSchedule | None:
    if raw.fees_enabled is False:
        return PolymarketFees(ZERO)
    schedule = raw.fee_schedule
    if schedule is None or schedule.exponent != int(schedule.exponent):
        return None
    return PolymarketFees(micros_from_decimal(schedule.rate), int(schedule.exponent))


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
