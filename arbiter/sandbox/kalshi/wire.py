"""Kalshi's JSON shapes, written from books and markets. Prices are dollar text with 4 decimals, counts text with 2."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from arbiter.domain.book import LevelChange, Levels, PublicTrade, Side
from arbiter.domain.market import KalshiFees, Market, MarketStatus
from arbiter.domain.money import MICRO, format_micros
from arbiter.sandbox.books import MarketBooks


def dollars(micros: int) -> str:
    return format_micros(micros, 4)


def count(micros: int) -> str:
    """Hundredths of a contract; a signed change keeps its sign."""
    return format_micros(micros, 2)


def ladder(bids: Levels) -> list[list[str]]:
    """Ascending: the best bid is the last element."""
    return [[dollars(price), count(size)] for price, size in reversed(bids)]


def orderbook(books: MarketBooks) -> dict[str, Any]:
    """Bids of both sides; the asks are their complements."""
    return {"yes_dollars": ladder(books.yes.bids()), "no_dollars": ladder(books.no.bids())}


def snapshot_message(books: MarketBooks, market_id: str) -> dict[str, Any]:
    """A side without bids is left out altogether."""
    body: dict[str, Any] = {"market_ticker": books.market.key.market, "market_id": market_id}
    for key, side in (("yes_dollars_fp", books.yes.bids()), ("no_dollars_fp", books.no.bids())):
        if side:
            body[key] = ladder(side)
    return body


def delta_message(market: Market, market_id: str, change: LevelChange, delta: int, now_ms: int) -> dict[str, Any]:
    """`change` is on YES; a YES ask at p is a NO bid at 1 - p. `delta` is the signed change of the level."""
    is_yes = change.side is Side.BUY
    return {
        "market_ticker": market.key.market,
        "market_id": market_id,
        "price_dollars": dollars(change.price if is_yes else market.payout - change.price),
        "delta_fp": count(delta),
        "side": "yes" if is_yes else "no",
        "ts": _rfc3339(now_ms),
        "ts_ms": now_ms,
    }


def trade_message(market: Market, trade: PublicTrade, trade_id: str, now_ms: int) -> dict[str, Any]:
    buys_yes = trade.side is Side.BUY
    return {
        "trade_id": trade_id,
        "market_ticker": market.key.market,
        "yes_price_dollars": dollars(trade.price),
        "no_price_dollars": dollars(market.payout - trade.price),
        "count_fp": count(trade.size),
        "taker_side": "yes" if buys_yes else "no",
        "taker_outcome_side": "yes" if buys_yes else "no",
        "taker_book_side": "bid" if buys_yes else "ask",
        "is_block_trade": False,
        "ts": now_ms // 1000,
        "ts_ms": now_ms,
    }


def market_object(books: MarketBooks, now_ms: int) -> dict[str, Any]:
    """A market as REST gives it."""
    market = books.market
    yes_bid, yes_ask = books.yes.best_bid, books.yes.best_ask
    closes = market.closes_at or datetime.fromtimestamp(now_ms // 1000, UTC) + timedelta(days=1)
    return {
        "ticker": market.key.market,
        "event_ticker": market.event,
        "market_type": "binary",
        "title": market.title,
        "yes_sub_title": market.title,
        "no_sub_title": market.title,
        "open_time": _rfc3339(now_ms - now_ms % 86_400_000),
        "close_time": _utc(closes),
        "expected_expiration_time": _utc(closes),
        "latest_expiration_time": _utc(closes + timedelta(days=7)),
        "settlement_timer_seconds": 3600,
        "status": _FIELD_STATUS[market.status],
        "yes_bid_dollars": dollars(yes_bid.price if yes_bid else 0),
        "yes_ask_dollars": dollars(yes_ask.price if yes_ask else MICRO),
        "no_bid_dollars": dollars(MICRO - yes_ask.price if yes_ask else 0),
        "no_ask_dollars": dollars(MICRO - yes_bid.price if yes_bid else MICRO),
        "yes_bid_size_fp": count(yes_bid.size if yes_bid else 0),
        "yes_ask_size_fp": count(yes_ask.size if yes_ask else 0),
        "notional_value_dollars": dollars(market.payout),
        "result": "",
        "can_close_early": True,
        "price_level_structure": "linear_cent" if len(market.ticks) == 1 else "tapered_deci_cent",
        "price_ranges": [{"start": dollars(t.start), "end": dollars(t.end), "step": dollars(t.step)} for t in market.ticks],
        "rules_primary": market.rules,
        "rules_secondary": "",
        "exchange_index": 0,
    }


def event_object(markets: list[MarketBooks], now_ms: int, *, nested: bool) -> dict[str, Any]:
    first = markets[0].market
    body: dict[str, Any] = {
        "event_ticker": first.event,
        "series_ticker": series_of(first),
        "title": first.title,
        "sub_title": "",
        "category": first.category,
        "mutually_exclusive": False,
        "collateral_return_type": "",
        "exchange_index": 0,
    }
    if nested:
        body["markets"] = [market_object(books, now_ms) for books in markets]
    return body


def series_object(market: Market) -> dict[str, Any]:
    fees = market.fees
    assert isinstance(fees, KalshiFees), "a Kalshi listing has Kalshi fees"
    return {
        "ticker": series_of(market),
        "title": series_of(market),
        "category": market.category,
        "tags": None,
        "frequency": "custom",
        "fee_type": "quadratic_with_maker_fees" if fees.maker_fees else "quadratic",
        "fee_multiplier": msgspec.Raw(format_micros(fees.multiplier, 0).encode()),
        "settlement_sources": [],
    }


def series_of(market: Market) -> str:
    """The part of an event ticker before its date."""
    return market.event.partition("-")[0]


_FIELD_STATUS = {
    MarketStatus.UPCOMING: "initialized",
    MarketStatus.OPEN: "active",
    MarketStatus.PAUSED: "inactive",
    MarketStatus.CLOSED: "closed",
    MarketStatus.RESOLVED: "finalized",
}
FILTER_STATUS = {
    "unopened": {"initialized"},
    "open": {"active"},
    "paused": {"inactive"},
    "closed": {"closed", "determined"},
    "settled": {"finalized"},
}


def _rfc3339(ms: int) -> str:
    return _utc(datetime.fromtimestamp(ms // 1000, UTC))


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
