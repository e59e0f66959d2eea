"""Gamma's markets and events -> the domain's. What is missing or odd makes a market untradable, never a guess."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal

import msgspec

from arbiter.domain.fees import LARGEST_EXPONENT
from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Event, FeeSchedule, Market, MarketStatus, Outcome, PolymarketFees, Resolution, TickRange
from arbiter.domain.money import MAX_MICROS, ONE, ZERO, Micros, parse_micros
from arbiter.venues.wire_numbers import UNDECODABLE, lenient, number_micros

SIZE_STEP = Micros(10_000)
MIN_NOTIONAL = ONE
"""A marketable BUY must be worth at least $1 (fact sheet A5.1, reported by third parties)."""
NOTIONAL_STEP = Micros(10_000)
"""An immediate BUY spends whole cents: its maker amount has at most two decimals (A5.3)."""
CHALLENGE_SECONDS = 7200
"""How long a proposed outcome can usually be challenged, after which it is paid. The oracle's own default; the sheet names no number."""
LONGEST_DELAY_SECONDS = 3600
_FINAL = frozenset({"resolved", "settled"})
"""Statuses that nothing follows (A4.2)."""


class FeeScheduleObject(msgspec.Struct, rename="camel"):
    """`feeSchedule`: the fee source of truth since 2026-03-31."""

    rate: Decimal
    exponent: Decimal = Decimal(1)
    taker_only: bool | None = None


class Tag(msgspec.Struct):
    label: str | None = None


class GammaEvent(msgspec.Struct, rename="camel"):
    """The fields of Gamma's event that we read. Nested in a market it has no markets."""

    id: str | None = None
    slug: str | None = None
    title: str | None = None
    category: str | None = None
    series_slug: str | None = None
    neg_risk: bool | None = None
    end_date: str | None = None
    resolution_source: str | None = None
    tags: list[Tag] | None = None
    markets: list[msgspec.Raw] | None = None


class GammaMarket(msgspec.Struct, rename="camel"):
    """The fields of Gamma's market that we read. Several arrays are JSON inside a string."""

    condition_id: str | None = None
    question: str | None = None
    version: str | None = "v1"
    outcomes: str | None = None
    outcome_prices: str | None = None
    clob_token_ids: str | None = None
    position_ids: list[str] | None = None
    active: bool | None = None
    closed: bool | None = None
    accepting_orders: bool | None = None
    enable_order_book: bool | None = None
    neg_risk: bool | None = None
    fees_enabled: bool | None = None
    order_price_min_tick_size: Decimal | None = None
    order_min_size: Decimal | None = None
    fee_schedule: FeeScheduleObject | None = None
    description: str | None = None
    category: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    closed_time: str | None = None
    resolution_source: str | None = None
    resolution_status: str | None = None
    uma_resolution_status: str | None = None
    seconds_delay: int | None = None
    volume_num: Decimal | None = None
    events: list[GammaEvent] | None = None
    tags: list[Tag] | None = None


class GammaPage(msgspec.Struct):
    """One page of `/markets/keyset` or `/events/keyset`; no `next_cursor` on the last.

    Its rows stay undecoded: an odd one must not hide the others.
    """

    markets: list[msgspec.Raw] | None = None
    events: list[msgspec.Raw] | None = None
    next_cursor: str | None = None


_decode = lenient(GammaMarket)
_decode_event = lenient(GammaEvent, "markets")


def read_market(raw: bytes | msgspec.Raw) -> Market | None:
    """One market of a page; None for what has no two-sided book to follow (not binary, no order book, no ids yet).

    Raises ValueError where a field is not what the API promises.
    """
    return read_listed(raw)[0]


def read_listed(raw: bytes | msgspec.Raw, event: GammaEvent | None = None) -> tuple[Market | None, GammaEvent]:
    """The same, and the event that the market is in: `event`, or the one nested in it."""
    try:
        market = _decode(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None
    event = event or (market.events[0] if market.events else GammaEvent())
    return to_market(market, event), event


def read_event(raw: bytes | msgspec.Raw) -> GammaEvent:
    """One event of a page, its markets undecoded. Raises ValueError."""
    try:
        return _decode_event(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None


def to_market(raw: GammaMarket, event: GammaEvent) -> Market | None:
    """See `read_market`. Index 0 is our `yes` side whatever it is called: sports name teams (A4.2)."""
    ids, labels = _outcome_ids(raw), _text_array(raw.outcomes)
    two_sided = len(labels) == 2 and len(ids) == 2 and all(ids) and ids[0] != ids[1]
    if not two_sided or not raw.condition_id or raw.enable_order_book is False or raw.order_price_min_tick_size is None:
        return None
    tick = number_micros(raw.order_price_min_tick_size)
    if not 0 < tick < ONE:
        raise ValueError(f"a tick size of {raw.order_price_min_tick_size}")
    closes_at = moment(raw.end_date)
    resolution = resolution_of(raw)
    return Market(
        key=MarketKey(POLYMARKET, MarketId(raw.condition_id)),
        event=event_id(event, raw.condition_id),
        title=raw.question or "",
        yes=Outcome(OutcomeId(ids[0]), labels[0]),
        no=Outcome(OutcomeId(ids[1]), labels[1]),
        ticks=(TickRange(tick, Micros(ONE - tick), tick),),
        size_step=SIZE_STEP,
        min_size=number_micros(raw.order_min_size) if raw.order_min_size is not None else ZERO,
        min_notional=MIN_NOTIONAL,
        notional_step=NOTIONAL_STEP,
        fees=_fees(raw),
        status=_status(raw, resolution),
        rules=raw.description or "",
        category=_category(raw.category, raw.tags) or _category(event.category, event.tags),
        closes_at=closes_at,
        opens_at=moment(raw.start_date),
        resolves_at=closes_at,
        settlement_seconds=CHALLENGE_SECONDS,
        settlement_sources=_sources(raw.resolution_source, event.resolution_source),
        resolution=resolution,
        taker_delay_ms=_delay_ms(raw.seconds_delay),
        volume=_rounded(raw.volume_num),
        generation=raw.version or "v1",
        negative_risk=raw.neg_risk is True,
    )


def to_event(raw: GammaEvent, markets: Iterable[Market]) -> Event:
    """What groups these markets. A neg-risk event says that at most one of them resolves YES; that one must, no event says."""
    listed = tuple(markets)
    first = listed[0]
    return Event(
        venue=POLYMARKET,
        id=event_id(raw, first.key.market),
        title=raw.title or first.title,
        category=_category(raw.category, raw.tags) or first.category,
        series=raw.series_slug or "",
        markets=tuple(market.key.market for market in listed),
        at_most_one=raw.neg_risk is True or (raw.neg_risk is None and all(market.negative_risk for market in listed)),
        settlement_sources=_sources(raw.resolution_source),
        closes_at=moment(raw.end_date),
    )


def event_id(raw: GammaEvent, condition: str) -> EventId:
    """A market is its own event where Gamma names none."""
    return EventId(raw.slug or raw.id or condition)


def resolution_of(raw: GammaMarket) -> Resolution | None:
    """How a closed market came out, by its outcome prices (A4.2). Fractions count only when the status says that nothing follows."""
    if not raw.closed:
        return None
    final = raw.uma_resolution_status in _FINAL or raw.resolution_status in _FINAL
    try:
        prices = [parse_micros(text) for text in _text_array(raw.outcome_prices)]
    except ValueError:
        return None
    if len(prices) != 2 or min(prices) < ZERO or sum(prices) != ONE or (ZERO not in prices and not final):
        return None
    return Resolution(prices[0], final, moment(raw.closed_time))


def _outcome_ids(raw: GammaMarket) -> list[str]:
    """By the market's generation, not by which fields are there (A1.1). One that we do not know we cannot trade."""
    if raw.version not in ("v1", "v2", None):
        raise ValueError(f"an unknown generation: {raw.version[:20]!r}")
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


def _status(raw: GammaMarket, resolution: Resolution | None) -> MarketStatus:
    if raw.closed:
        return MarketStatus.RESOLVED if resolution is not None and resolution.final else MarketStatus.CLOSED
    return MarketStatus.OPEN if raw.active and raw.accepting_orders else MarketStatus.PAUSED


def _category(name: str | None, tags: list[Tag] | None) -> str:
    return name or next((tag.label for tag in tags or () if tag.label), "")


def _sources(*texts: str | None) -> tuple[str, ...]:
    """The first that says something."""
    return tuple(text for text in texts if text)[:1]


def _delay_ms(seconds: int | None) -> int:
    if seconds is None:
        return 0
    if not 0 <= seconds <= LONGEST_DELAY_SECONDS:
        raise ValueError(f"a delay of {seconds} s")
    return seconds * 1000


def _rounded(number: Decimal | None) -> Micros:
    """A sum of floats at the venue, with as many digits: only shown, so the rest is dropped."""
    if number is None or not number.is_finite() or not 0 <= number < MAX_MICROS // ONE:
        return ZERO
    return Micros(int((number * ONE).to_integral_value(ROUND_DOWN)))


def moment(text: str | None) -> datetime | None:
    """ISO text in whatever form, UTC where it names no zone; None for what is no time."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) if found else None
