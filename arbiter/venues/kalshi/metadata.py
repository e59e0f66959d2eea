"""Kalshi's events, markets and series -> domain markets. What is missing or unknown makes a market untradable."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Event, KalshiFees, Market, MarketStatus, Outcome, Resolution, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.venues.wire_numbers import UNDECODABLE, lenient, number_micros

YES, NO = OutcomeId("yes"), OutcomeId("no")
SIZE_STEP = Micros(10_000)
"""Counts have two decimals; 0.01 contract is the smallest (B4)."""
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
    rules_secondary: str | None = None
    open_time: str | None = None
    close_time: str | None = None
    expected_expiration_time: str | None = None
    settlement_timer_seconds: int | None = None
    settlement_value_dollars: Decimal | None = None
    settlement_ts: str | None = None
    result: str | None = None
    volume_fp: Decimal | None = None
    exchange_index: int | None = None
    fee_waiver_expiration_time: str | None = None
    mve_collection_ticker: str | None = None


class Source(msgspec.Struct):
    """Where the facts come from that decide a market."""

    name: str | None = None
    url: str | None = None


class KalshiEvent(msgspec.Struct):
    """An event. Its nested markets stay undecoded: an odd one must not hide the others."""

    event_ticker: str
    series_ticker: str = ""
    title: str | None = None
    category: str | None = None
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None
    mutually_exclusive: bool | None = None
    settlement_sources: list[Source] | None = None
    markets: list[msgspec.Raw] | None = None


class EventAnswer(msgspec.Struct):
    """One event. Today's API nests its markets inside of it, January's put them beside (B5)."""

    event: KalshiEvent
    markets: list[msgspec.Raw] | None = None


class MarketAnswer(msgspec.Struct):
    market: msgspec.Raw


class EventsPage(msgspec.Struct):
    """One page of `/events`; an empty `cursor` ends it. Events stay undecoded, for the same reason."""

    events: list[msgspec.Raw] | None = None
    cursor: str | None = ""


class KalshiSeries(msgspec.Struct):
    """A series: where an event's fee schedule comes from unless the event overrides it, field by field."""

    ticker: str
    title: str | None = None
    fee_type: str | None = None
    fee_multiplier: Decimal | None = None
    settlement_sources: list[Source] | None = None


class SeriesList(msgspec.Struct):
    """All of them at once. They stay undecoded, for the same reason."""

    series: list[msgspec.Raw] | None = None


class SeriesAnswer(msgspec.Struct):
    series: KalshiSeries


_decode_event = lenient(KalshiEvent, "markets")
_decode_market = lenient(KalshiMarket)
_decode_series = lenient(KalshiSeries)


def read_event(raw: bytes | msgspec.Raw) -> KalshiEvent:
    """One event of a page. ValueError where a field is not what the API promises."""
    try:
        return _decode_event(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None


def read_market(raw: bytes | msgspec.Raw) -> KalshiMarket:
    """One market. ValueError where a field is not what the API promises."""
    try:
        return _decode_market(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None


def read_series(raw: bytes | msgspec.Raw) -> KalshiSeries:
    """One series. ValueError where a field is not what the API promises."""
    try:
        return _decode_series(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None


def to_market(market: KalshiMarket, event: KalshiEvent, series: KalshiSeries | None, fees: KalshiFees | None) -> Market | None:
    """None for combos, scalars and what has no price grid. ValueError where a field is not what the API promises."""
    if market.market_type not in (None, "binary") or market.mve_collection_ticker or not market.price_ranges:
        return None
    yes, no = _labels(market)
    return Market(
        key=MarketKey(KALSHI, MarketId(market.ticker)),
        event=EventId(market.event_ticker or event.event_ticker),
        title=_title(market, event),
        yes=Outcome(YES, yes),
        no=Outcome(NO, no),
        ticks=read_grid(market.price_ranges),
        size_step=SIZE_STEP,
        min_size=SIZE_STEP,
        fees=fees,
        payout=ONE if market.notional_value_dollars is None else number_micros(market.notional_value_dollars),
        status=_STATUS.get(market.status or "", MarketStatus.PAUSED),
        rules="\n\n".join(each for each in (market.rules_primary, market.rules_secondary) if each),
        category=event.category or "",
        opens_at=moment(market.open_time),
        closes_at=moment(market.close_time),
        resolves_at=moment(market.expected_expiration_time),
        settlement_seconds=max(0, market.settlement_timer_seconds or 0),
        settlement_sources=_sources(event, series),
        resolution=read_resolution(market),
        volume=ZERO if market.volume_fp is None else number_micros(market.volume_fp),
        shard=market.exchange_index or 0,
    )


def to_event(event: KalshiEvent, series: KalshiSeries | None, markets: Iterable[Market]) -> Event:
    """What groups these markets. `mutually_exclusive` says "at most one", never "at least one" (B5.1)."""
    found = tuple(markets)
    return Event(
        venue=KALSHI,
        id=EventId(event.event_ticker),
        title=event.title or event.event_ticker,
        category=event.category or "",
        series=event.series_ticker,
        markets=tuple(each.key.market for each in found),
        at_most_one=event.mutually_exclusive is True,
        settlement_sources=_sources(event, series),
        closes_at=max((each.closes_at for each in found if each.closes_at is not None), default=None),
    )


def read_resolution(market: KalshiMarket) -> Resolution | None:
    """What the venue says of the result; None while it says nothing. ValueError for a value that is no payout."""
    final = market.status == "finalized"
    return resolution_of(market.result or "", market.settlement_value_dollars, final=final, at=moment(market.settlement_ts))


def resolution_of(result: str, value: Decimal | None, *, final: bool, at: datetime | None) -> Resolution | None:
    """`result` is yes, no, scalar, void or empty; `value` what a YES pays in dollars (B5.1, B8)."""
    match result:
        case "yes":
            return Resolution(ONE, final, at)
        case "no":
            return Resolution(ZERO, final, at)
        case "scalar" if value is not None:
            return Resolution(number_micros(value), final, at)
        case "void":
            return Resolution(None, final, at)
        case _:
            return None


def read_grid(ranges: Iterable[PriceRange]) -> tuple[TickRange, ...]:
    """`price_ranges` as ranges; ValueError for one that cannot be."""
    return tuple(_ticks(each) for each in ranges)


def _sources(event: KalshiEvent, series: KalshiSeries | None) -> tuple[str, ...]:
    """Names, or addresses where there are none: the event's, else the series'."""
    given = event.settlement_sources or (series.settlement_sources if series else None) or ()
    return tuple(text for each in given if (text := each.name or each.url))


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


def moment(text: str | None) -> datetime | None:
    """RFC 3339 text; None where there is none, or none that can be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
