"""Kalshi's listing as JSON (sheet, B5.1): markets, events, series, and the statuses that differ between filter and field."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from arbiter.domain.market import FeeSchedule, KalshiFees, Market, TickRange
from arbiter.domain.money import MICRO, format_micros
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.kalshi.wire import count, dollars, rfc3339, utc_text, yes_touch
from arbiter.sandbox.world import Stage

SETTLEMENT_SECONDS = 3600
_DAY_MS = 86_400_000
_FIELD_STATUS = {
    Stage.UPCOMING: "initialized",
    Stage.ACTIVE: "active",
    Stage.PAUSED: "inactive",
    Stage.CLOSED: "closed",
    Stage.DETERMINED: "determined",
    Stage.DISPUTED: "disputed",
    Stage.SETTLED: "finalized",
}
FILTER_STATUS = {
    "unopened": {Stage.UPCOMING},
    "open": {Stage.ACTIVE},
    "paused": {Stage.PAUSED},
    "closed": {Stage.CLOSED, Stage.DETERMINED, Stage.DISPUTED},
    "settled": {Stage.SETTLED},
}


def market_object(books: MarketBooks, now_ms: int) -> dict[str, Any]:
    """A market as REST gives it."""
    market, details = books.market, books.details
    touch = yes_touch(books)
    bid, ask = books.touch
    closes = closing_of(market, now_ms)
    settled_ms = books.since_ms.get(Stage.SETTLED)
    return {
        "ticker": market.key.market,
        "event_ticker": market.event,
        "market_type": "binary",
        "title": market.title,
        "yes_sub_title": details.group or market.title,
        "no_sub_title": details.group or market.title,
        "open_time": rfc3339(opening_of(books, now_ms)),
        "close_time": utc_text(closes),
        "expected_expiration_time": utc_text(closes),
        "latest_expiration_time": utc_text(closes + timedelta(days=7)),
        "settlement_timer_seconds": SETTLEMENT_SECONDS,
        "status": _FIELD_STATUS[books.stage],
        **touch,
        "no_bid_dollars": dollars(market.payout - ask.price if ask else 0),
        "no_ask_dollars": dollars(market.payout - bid.price if bid else market.payout),
        "last_price_dollars": dollars(books.last_price),
        "volume_fp": count(books.volume),
        "volume_24h_fp": count(books.volume),
        "open_interest_fp": count(books.volume),
        "notional_value_dollars": dollars(market.payout),
        "result": result_of(books),
        "settlement_value_dollars": None if books.yes_pays is None else dollars(books.yes_pays),
        "settlement_ts": rfc3339(settled_ms) if settled_ms else None,
        "can_close_early": True,
        **grid_fields(market),
        "strike_type": "structured",
        "floor_strike": None,
        "cap_strike": None,
        "rules_primary": market.rules,
        "rules_secondary": "",
        "fee_waiver_expiration_time": None,
        "exchange_index": details.shard,
        **_combo_fields(books),
        "is_provisional": False,
    }


def grid_fields(market: Market) -> dict[str, Any]:
    """The price grid, and the name that goes with it."""
    ranges = [{"start": dollars(t.start), "end": dollars(t.end), "step": dollars(t.step)} for t in market.ticks]
    return {"price_level_structure": structure_of(market.ticks), "price_ranges": ranges}


def structure_of(ticks: tuple[TickRange, ...]) -> str:
    """What the venue calls such a grid (sheet, B4). Clients are told not to branch on it."""
    finest, coarsest = min(t.step for t in ticks), max(t.step for t in ticks)
    if finest < 1_000:
        return "center_deci_edge_centi_cent"
    if finest == coarsest:
        return "linear_cent" if finest == 10_000 else "deci_cent"
    return "tapered_deci_cent"


def _combo_fields(books: MarketBooks) -> dict[str, Any]:
    """A combo names its collection and its legs; other markets have neither field."""
    details = books.details
    if not details.collection:
        return {}
    legs = [{"event_ticker": leg.rpartition("-")[0], "market_ticker": leg, "side": "yes"} for leg in details.legs]
    return {"mve_collection_ticker": details.collection, "mve_selected_legs": legs}


def result_of(books: MarketBooks) -> str:
    """Empty until it is determined."""
    match books.yes_pays:
        case None:
            return ""
        case _ if books.void:
            return "void"
        case 0:
            return "no"
        case pays:
            return "yes" if pays == books.market.payout else "scalar"


def opening_of(books: MarketBooks, now_ms: int) -> int:
    """When it appeared, Unix ms; today's midnight where it always was there."""
    return books.listed_ms or now_ms - now_ms % _DAY_MS


def closing_of(market: Market, now_ms: int) -> datetime:
    """The stated time, or tomorrow where the world has none."""
    return market.closes_at or datetime.fromtimestamp(now_ms // 1000, UTC) + timedelta(days=1)


def event_object(members: list[MarketBooks], series: Market, now_ms: int, *, nested: bool) -> dict[str, Any]:
    """`series`: a market that has the series' own fees; where this event's differ, it overrides them."""
    first, details = members[0].market, members[0].details
    fee_type, multiplier = override_of(first, series)
    body: dict[str, Any] = {
        "event_ticker": first.event,
        "series_ticker": series_of(first),
        "title": first.title,
        "sub_title": "",
        "category": first.category,
        "mutually_exclusive": details.exclusive,
        "collateral_return_type": "MECNET" if details.exclusive else "",
        "fee_type_override": fee_type,
        "fee_multiplier_override": multiplier,
        "settlement_sources": sources_of(members[0]),
        "exchange_index": details.shard,
    }
    if nested:
        body["markets"] = [market_object(books, now_ms) for books in members]
    return body


def override_of(market: Market, series: Market) -> tuple[str | None, msgspec.Raw | None]:
    """What of this event's fees differs from the series', field by field; None where nothing does."""
    fees, usual = _fees(market.fees), _fees(series.fees)
    return fees[0] if fees[0] != usual[0] else None, _number(fees[1]) if fees[1] != usual[1] else None


def series_object(books: MarketBooks, market: Market) -> dict[str, Any]:
    """The series of this market, its first in the world. `market` is as it was first listed: its fees are the series'."""
    fee_type, multiplier = _fees(market.fees)
    return {
        "ticker": series_of(market),
        "title": series_of(market),
        "category": market.category,
        "tags": list(books.details.tags) or None,
        "frequency": "custom",
        "fee_type": fee_type,
        "fee_multiplier": _number(multiplier),
        "settlement_sources": sources_of(books),
        "contract_terms_url": "",
    }


def fee_change(number: int, market: Market, scheduled_ms: int) -> dict[str, Any]:
    """An element of `/series/fee_changes`."""
    fee_type, multiplier = _fees(market.fees)
    return {
        "id": f"fee-{number:06d}",
        "series_ticker": series_of(market),
        "fee_type": fee_type,
        "fee_multiplier": _number(multiplier),
        "scheduled_ts": rfc3339(scheduled_ms),
    }


def sources_of(books: MarketBooks) -> list[dict[str, str]]:
    return [{"name": books.details.source, "url": books.details.source}] if books.details.source else []


def series_of(market: Market) -> str:
    """The part of an event ticker before its date."""
    return market.event.partition("-")[0]


def _fees(fees: FeeSchedule | None) -> tuple[str, int]:
    """Type and multiplier in micros. What is not known is `flat`, whose table nobody has: no client may read it as free."""
    if not isinstance(fees, KalshiFees):
        return "flat", MICRO
    return "quadratic_with_maker_fees" if fees.maker_fees else "quadratic", fees.multiplier


def _number(micros: int) -> msgspec.Raw:
    """A JSON number, exactly."""
    return msgspec.Raw(format_micros(micros, 0).encode())
