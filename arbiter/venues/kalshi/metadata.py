"""Kalshi's events, markets and series -> domain markets. What is missing or unknown makes a market untradable."""

from datetime import datetime
from decimal import Decimal

import msgspec

from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import KalshiFees, Market, MarketStatus, Outcome, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.venues.wire_numbers import UNDECODABLE, number_micros

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
    start: Decimal
    end: Decimal
    step: Decimal


class KalshiMarket(msgspec.Struct):
    """The fields of a market that we read."""

    ticker: str
    event_ticker: str | None = None
    market_type: str | None = None
    title: str | None = None
    yes_sub_title: str | None = None
    no_sub_title: str | None = None
    status: str | None = None
    notional_value_dollars: Decimal | None = None
    price_ranges: list[PriceRange] | None = None
    rules_primary: str | None = None
    close_time: str | None = None
    mve_collection_ticker: str | None = None


class KalshiEvent(msgspec.Struct):
    """An event. Its nested markets stay undecoded: an odd one must not hide the others."""

    event_ticker: str
    series_ticker: str = ""
    title: str | None = None
    category: str | None = None
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None
    markets: list[msgspec.Raw] | None = None


class EventsPage(msgspec.Struct):
    """One page of `/events`; an empty `cursor` ends it. Events stay undecoded, for the same reason."""

    events: list[msgspec.Raw] | None = None
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


_decode_event = msgspec.json.Decoder(KalshiEvent).decode
_decode_market = msgspec.json.Decoder(KalshiMarket).decode


def read_event(raw: bytes | msgspec.Raw) -> KalshiEvent:
    """One event of a page. ValueError where a field is not what the API promises."""
    try:
        return _decode_event(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None


def to_market(raw: bytes | msgspec.Raw, event: KalshiEvent, series: KalshiSeries | None) -> Market | None:
    """One market of an event; None for combos, scalars and what has no price grid.

    Raises ValueError where a field is not what the API promises.
    """
    try:
        market = _decode_market(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None
    if market.market_type not in (None, "binary") or market.mve_collection_ticker or not market.price_ranges:
        return None
    yes, no = _labels(market)
    return Market(
        key=MarketKey(KALSHI, MarketId(market.ticker)),
        event=EventId(market.event_ticker or event.event_ticker),
        title=_title(market, event),
        yes=Outcome(YES, yes),
        no=Outcome(NO, no),
        ticks=tuple(_ticks(each) for each in market.price_ranges),
        size_step=SIZE_STEP,
        min_size=SIZE_STEP,
        fees=_fees(event, series),
        payout=ONE if market.notional_value_dollars is None else number_micros(market.notional_value_dollars),
        status=_STATUS.get(market.status or "", MarketStatus.PAUSED),
        rules=market.rules_primary or "",
        category=event.category or "",
        closes_at=_moment(market.close_time),
    )


def _labels(market: KalshiMarket) -> tuple[str, str]:
    """What YES and NO are called. Kalshi's sub-titles mostly say of both what the market is about ("Mars", "Mars"), or repeat
    its title; a NO that is called so reads as a YES."""
    yes, no = market.yes_sub_title or "Yes", market.no_sub_title or "No"
    told_apart = len({_plain(each) for each in (yes, no, market.title or "")}) == 3
    return (yes, no) if told_apart else ("Yes", "No")


def _title(market: KalshiMarket, event: KalshiEvent) -> str:
    """With its sub-title, which alone tells an event's markets apart: they may share a title ("A at B: winner?"), or have none."""
    title, own = market.title or event.title or "", market.yes_sub_title or ""
    alone = market.title and event.markets is not None and len(event.markets) == 1
    if alone or not own or _plain(own) == _plain(title):
        return title or market.ticker
    return f"{title or event.event_ticker} ({own})"


def _plain(text: str) -> str:
    """For comparing: without case and without differences in white space."""
    return " ".join(text.casefold().split())


def _ticks(raw: PriceRange) -> TickRange:
    found = TickRange(number_micros(raw.start), number_micros(raw.end), number_micros(raw.step))
    if found.step <= 0 or not 0 <= found.start <= found.end:
        raise ValueError(f"a price range {raw.start} to {raw.end} by {raw.step}")
    return found


def _fees(event: KalshiEvent, series: KalshiSeries | None) -> KalshiFees | None:
    """The event's override, else the series', field by field. Unknown type or missing multiplier: None, which refuses to trade (B9)."""
    fee_type = event.fee_type_override or (series.fee_type if series else None)
    multiplier = event.fee_multiplier_override
    if multiplier is None and series is not None:
        multiplier = series.fee_multiplier
    if fee_type not in _FEES_WITH_MAKER or multiplier is None:
        return None
    try:
        factor = number_micros(multiplier)
    except ValueError:
        return None
    return KalshiFees(factor, _FEES_WITH_MAKER[fee_type]) if factor >= ZERO else None


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
