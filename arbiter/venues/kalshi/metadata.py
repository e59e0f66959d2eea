"""Kalshi's events, markets and series -> domain markets. What is missing or unknown makes a market untradable."""

from datetime import datetime
from decimal import Decimal

import msgspec

from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import KalshiFees, Market, MarketStatus, Outcome, TickRange
from arbiter.domain.money import Micros, micros_from_decimal, parse_micros

YES, NO = OutcomeId("yes"), OutcomeId("no")
SIZE_STEP = Micros(10_000)
"""Counts have two decimals; 0.01 contract is the smallest (B4)."""
_FEES_WITH_MAKER = {"quadratic": False, "quadratic_with_maker_fees": True}
_STATUS = {
    "initialized": MarketStatus.UPCOMING,
    "active": MarketStatus.OPEN,
    "inactive": MarketStatus.PAUSED,
    "closed": MarketStatus.CLOSED,
    "determined": MarketStatus.CLOSED,
    "disputed": MarketStatus.CLOSED,
    "amended": MarketStatus.CLOSED,
    "finalized": MarketStatus.RESOLVED,
}


class PriceRange(msgspec.Struct):
    start: str
    end: str
    step: str


class KalshiMarket(msgspec.Struct):
    """The fields of a market that we read."""

    ticker: str
    event_ticker: str = ""
    market_type: str = "binary"
    title: str = ""
    yes_sub_title: str = ""
    no_sub_title: str = ""
    status: str = ""
    notional_value_dollars: str = "1.0000"
    price_ranges: list[PriceRange] | None = None
    rules_primary: str = ""
    close_time: str | None = None
    mve_collection_ticker: str | None = None


class KalshiEvent(msgspec.Struct):
    """An event with its markets nested."""

    event_ticker: str
    series_ticker: str = ""
    title: str = ""
    category: str = ""
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None
    markets: list[KalshiMarket] | None = None


class EventsPage(msgspec.Struct):
    events: list[KalshiEvent] | None = None
    cursor: str | None = ""


class KalshiSeries(msgspec.Struct):
    """A series: where an event's fee schedule comes from unless the event overrides it, field by field."""

    ticker: str
    fee_type: str | None = None
    fee_multiplier: Decimal | None = None


class SeriesList(msgspec.Struct):
    series: list[KalshiSeries] | None = None


class SeriesAnswer(msgspec.Struct):
    series: KalshiSeries


def to_market(raw: KalshiMarket, event: KalshiEvent, series: KalshiSeries | None) -> Market | None:
    """The market, or None for combos, scalars and what has no price grid."""
    if raw.market_type != "binary" or raw.mve_collection_ticker or not raw.price_ranges:
        return None
    try:
        ticks = tuple(TickRange(parse_micros(r.start), parse_micros(r.end), parse_micros(r.step)) for r in raw.price_ranges)
        payout = parse_micros(raw.notional_value_dollars)
    except ValueError:
        return None
    if any(t.step <= 0 for t in ticks):
        return None
    return Market(
        key=MarketKey(KALSHI, MarketId(raw.ticker)),
        event=EventId(raw.event_ticker or event.event_ticker),
        title=raw.title or event.title,
        yes=Outcome(YES, raw.yes_sub_title or "Yes"),
        no=Outcome(NO, raw.no_sub_title or "No"),
        ticks=ticks,
        size_step=SIZE_STEP,
        min_size=SIZE_STEP,
        fees=_fees(event, series),
        payout=payout,
        status=_STATUS.get(raw.status, MarketStatus.PAUSED),
        rules=raw.rules_primary,
        category=event.category,
        closes_at=_moment(raw.close_time),
    )


def _fees(event: KalshiEvent, series: KalshiSeries | None) -> KalshiFees | None:
    """Unknown type or missing multiplier: None, which refuses to trade (B9)."""
    fee_type = event.fee_type_override or (series.fee_type if series else None)
    multiplier = event.fee_multiplier_override
    if multiplier is None and series is not None:
        multiplier = series.fee_multiplier
    if fee_type not in _FEES_WITH_MAKER or multiplier is None or multiplier < 0:
        return None
    return KalshiFees(micros_from_decimal(multiplier), _FEES_WITH_MAKER[fee_type])


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
