"""What the channel `market_lifecycle_v2` tells (sheet, B8). Opening and closing are told by nothing: they are implicit in the times."""

from collections.abc import Callable
from typing import Any

from arbiter.domain.market import Market
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.kalshi import metadata
from arbiter.sandbox.kalshi.wire import dollars
from arbiter.sandbox.world import Stage

CHANNEL = "market_lifecycle_v2"


def created(books: MarketBooks, now_ms: int) -> dict[str, Any]:
    """A market was made."""
    market = books.market
    sub_title = books.details.group or market.title
    return {
        "event_type": "created",
        "market_ticker": market.key.market,
        "open_ts": metadata.opening_of(books, now_ms) // 1000,
        "close_ts": int(metadata.closing_of(market, now_ms).timestamp()),
        **metadata.grid_fields(market),
        "additional_metadata": {
            "name": sub_title,
            "title": market.title,
            "yes_sub_title": sub_title,
            "no_sub_title": sub_title,
            "rules_primary": market.rules,
            "rules_secondary": "",
            "can_close_early": True,
            "event_ticker": market.event,
            "expected_expiration_ts": int(metadata.closing_of(market, now_ms).timestamp()),
            "strike_type": "structured",
        },
    }


def event_created(books: MarketBooks) -> dict[str, Any]:
    """The `msg` of `event_lifecycle`."""
    market = books.market
    return {
        "event_ticker": market.event,
        "title": market.title,
        "subtitle": "",
        "collateral_return_type": "MECNET" if books.details.exclusive else "",
        "series_ticker": metadata.series_of(market),
    }


def fee_update(market: Market, series: Market) -> dict[str, Any]:
    """The `msg` of `event_fee_update`: both null where an override was lifted."""
    fee_type, multiplier = metadata.override_of(market, series)
    return {"event_ticker": market.event, "fee_type_override": fee_type, "fee_multiplier_override": multiplier}


def grid_changed(books: MarketBooks, _: int) -> dict[str, Any]:
    """Another price grid."""
    ticker = books.market.key.market
    return {"event_type": "price_level_structure_updated", "market_ticker": ticker, **metadata.grid_fields(books.market)}


def stage_changed(books: MarketBooks, before: Stage, now_ms: int) -> dict[str, Any] | None:
    """What is told of the market's new stage; None where nothing is."""
    told = _TOLD.get((before, books.stage)) or _TOLD.get((None, books.stage))
    return {"market_ticker": books.market.key.market, **told(books, now_ms)} if told else None


def _determined(books: MarketBooks, now_ms: int) -> dict[str, Any]:
    value = None if books.yes_pays is None else dollars(books.yes_pays)
    return {
        "event_type": "determined",
        "determination_ts": now_ms // 1000,
        "result": metadata.result_of(books),
        "settlement_value": value,
    }


_TOLD: dict[tuple[Stage | None, Stage], Callable[[MarketBooks, int], dict[str, Any]]] = {
    (Stage.PAUSED, Stage.ACTIVE): lambda _, __: {"event_type": "activated", "is_deactivated": False},
    (None, Stage.PAUSED): lambda _, __: {"event_type": "deactivated", "is_deactivated": True},
    (None, Stage.DETERMINED): _determined,
    (None, Stage.SETTLED): lambda _, now_ms: {"event_type": "settled", "settled_ts": now_ms // 1000},
}
