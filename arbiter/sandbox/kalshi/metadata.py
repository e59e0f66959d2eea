"""Kalshi's listing as JSON (sheet, B5.1): markets, events, series, and the statuses that differ between filter and field."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from arbiter.domain.market import KalshiFees, Market, MarketStatus
from arbiter.domain.money import MICRO, format_micros
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.kalshi.wire import count, dollars, rfc3339, utc_text, yes_touch

_DAY_MS = 86_400_000
_FIELD_STATUS = {
    MarketStatus.UPCOMING: "initialized",
    MarketStatus.OPEN: "active",
    MarketStatus.PAUSED: "inactive",
    MarketStatus.CLOSED: "closed",
    MarketStatus.RESOLVED: "finalized",
}
FILTER_STATUS = {
    "unopened": {MarketStatus.UPCOMING},
    "open": {MarketStatus.OPEN},
    "paused": {MarketStatus.PAUSED},
    "closed": {MarketStatus.CLOSED},
    "settled": {MarketStatus.RESOLVED},
}


def market_object(books: MarketBooks, now_ms: int) -> dict[str, Any]:
    """A market as REST gives it."""
    market = books.market
    touch = yes_touch(books)
    bid, ask = books.touch
    closes = closing_of(market, now_ms)
    return {
        "ticker": market.key.market,
        "event_ticker": market.event,
        "market_type": "binary",
        "title": market.title,
        "yes_sub_title": market.title,
        "no_sub_title": market.title,
        "open_time": rfc3339(now_ms - now_ms % _DAY_MS),
        "close_time": utc_text(closes),
        "expected_expiration_time": utc_text(closes),
        "latest_expiration_time": utc_text(closes + timedelta(days=7)),
        "settlement_timer_seconds": 3600,
        "status": _FIELD_STATUS[market.status],
        **touch,
        "no_bid_dollars": dollars(market.payout - ask.price if ask else 0),
        "no_ask_dollars": dollars(market.payout - bid.price if bid else market.payout),
        "last_price_dollars": dollars(books.last_price),
        "volume_fp": count(books.volume),
        "volume_24h_fp": count(books.volume),
        "open_interest_fp": count(books.volume),
        "notional_value_dollars": dollars(market.payout),
        "result": "",
        "can_close_early": True,
        "price_level_structure": "linear_cent" if len(market.ticks) == 1 else "tapered_deci_cent",
        "price_ranges": [{"start": dollars(t.start), "end": dollars(t.end), "step": dollars(t.step)} for t in market.ticks],
        "rules_primary": market.rules,
        "rules_secondary": "",
        "fee_waiver_expiration_time": None,
        "exchange_index": 0,
        "is_provisional": False,
    }


def closing_of(market: Market, now_ms: int) -> datetime:
    """The stated time, or tomorrow where the world has none."""
    return market.closes_at or datetime.fromtimestamp(now_ms // 1000, UTC) + timedelta(days=1)


def event_object(members: list[MarketBooks], series: Market, now_ms: int, *, nested: bool) -> dict[str, Any]:
    """`series`: a market that has the series' own fees; where this event's differ, it overrides them."""
    first = members[0].market
    fees, usual = _fees(first), _fees(series)
    body: dict[str, Any] = {
        "event_ticker": first.event,
        "series_ticker": series_of(first),
        "title": first.title,
        "sub_title": "",
        "category": first.category,
        "mutually_exclusive": False,
        "collateral_return_type": "",
        "fee_type_override": fees[0] if fees[0] != usual[0] else None,
        "fee_multiplier_override": _number(fees[1]) if fees[1] != usual[1] else None,
        "settlement_sources": [],
        "exchange_index": 0,
    }
    if nested:
        body["markets"] = [market_object(books, now_ms) for books in members]
    return body


def series_object(market: Market) -> dict[str, Any]:
    """The series of this market, its first in the world."""
    fee_type, multiplier = _fees(market)
    return {
        "ticker": series_of(market),
        "title": series_of(market),
        "category": market.category,
        "tags": None,
        "frequency": "custom",
        "fee_type": fee_type,
        "fee_multiplier": _number(multiplier),
        "settlement_sources": [],
        "contract_terms_url": "",
    }


def series_of(market: Market) -> str:
    """The part of an event ticker before its date."""
    return market.event.partition("-")[0]


def _fees(market: Market) -> tuple[str, int]:
    """Type and multiplier in micros. What is not known is `flat`, whose table nobody has: no client may read it as free."""
    if not isinstance(market.fees, KalshiFees):
        return "flat", MICRO
    return "quadratic_with_maker_fees" if market.fees.maker_fees else "quadratic", market.fees.multiplier


def _number(micros: int) -> msgspec.Raw:
    """A JSON number, exactly."""
    return msgspec.Raw(format_micros(micros, 0).encode())
