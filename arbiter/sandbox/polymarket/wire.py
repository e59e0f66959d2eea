"""Polymarket's JSON shapes, written from books and markets. Prices and sizes are decimal text, times ms text."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from arbiter.domain.book import Book, LevelChange, Levels, PublicTrade, Side
from arbiter.domain.market import Market, MarketStatus, PolymarketFees
from arbiter.domain.money import format_micros
from arbiter.sandbox.books import MarketBooks


def number(micros: int) -> str:
    """Decimal text as the venue writes it: no trailing zeros."""
    return format_micros(micros, 0)


def levels(side: Levels) -> list[dict[str, str]]:
    """Worst first: the best level is the last element, on both sides."""
    return [{"price": number(price), "size": number(size)} for price, size in reversed(side)]


def tick_of(market: Market) -> str:
    return number(market.ticks[0].step)


def book_object(market: Market, book: Book, changed_ms: int, last_trade: int) -> dict[str, Any]:
    """The object of `GET /book`. Its hash is SHA-1 over itself as compact JSON with an empty hash (sheet, A4.1)."""
    body: dict[str, Any] = {
        "market": market.key.market,
        "asset_id": book.outcome.outcome,
        "timestamp": str(changed_ms),
        "hash": "",
        "bids": levels(book.bids()),
        "asks": levels(book.asks()),
        "min_order_size": number(market.min_size),
        "tick_size": tick_of(market),
        "neg_risk": False,
        "last_trade_price": number(last_trade) if last_trade else "",
    }
    return body | {"hash": hashlib.sha1(msgspec.json.encode(body)).hexdigest()}  # noqa: S324 the venue's own checksum


def book_event(market: Market, book: Book, changed_ms: int, last_trade: int) -> dict[str, Any]:
    """The socket's `book` message."""
    return {"event_type": "book", **book_object(market, book, changed_ms, last_trade)}


def price_change_event(
    books: MarketBooks, changes: list[tuple[Book, LevelChange]], last_trades: dict[str, int], now_ms: int
) -> dict[str, Any]:
    """Changes of one market's books; sizes are the new absolute sizes, and "0" removes the level."""
    return {
        "event_type": "price_change",
        "market": books.market.key.market,
        "timestamp": str(now_ms),
        "price_changes": [
            _price_change(books.market, book, change, last_trades.get(change.outcome.outcome, 0), now_ms) for book, change in changes
        ],
    }


def _price_change(market: Market, book: Book, change: LevelChange, last_trade: int, now_ms: int) -> dict[str, str]:
    bid, ask = book.best_bid, book.best_ask
    return {
        "asset_id": change.outcome.outcome,
        "price": number(change.price),
        "size": number(change.size),
        "side": "BUY" if change.side is Side.BUY else "SELL",
        "hash": book_object(market, book, now_ms, last_trade)["hash"],
        "best_bid": number(bid.price) if bid else "0",
        "best_ask": number(ask.price) if ask else "1",
    }


def trade_event(market: Market, trade: PublicTrade, now_ms: int) -> dict[str, Any]:
    return {
        "event_type": "last_trade_price",
        "market": market.key.market,
        "asset_id": trade.outcome.outcome,
        "price": number(trade.price),
        "size": number(trade.size),
        "side": "BUY" if trade.side is Side.BUY else "SELL",
        "fee_rate_bps": "0",
        "timestamp": str(now_ms),
    }


def tick_size_event(market: Market, asset: str, old: str, new: str, now_ms: int) -> dict[str, Any]:
    return {
        "event_type": "tick_size_change",
        "market": market.key.market,
        "asset_id": asset,
        "old_tick_size": old,
        "new_tick_size": new,
        "timestamp": str(now_ms),
    }


def gamma_market(books: MarketBooks, number_: int, now_ms: int) -> dict[str, Any]:
    """Gamma's market: some arrays are JSON inside a string, prices and sizes are JSON numbers."""
    market, fees = books.market, books.market.fees
    yes = books.yes.best_bid.price if books.yes.best_bid else 0
    closed = market.status in (MarketStatus.CLOSED, MarketStatus.RESOLVED)
    body: dict[str, Any] = {
        "id": str(500_000 + number_),
        "version": "v1",
        "question": market.title,
        "slug": market.event,
        "conditionId": market.key.market,
        "questionID": market.key.market,
        "description": market.rules,
        "category": market.category,
        "outcomes": _in_text([market.yes.label, market.no.label]),
        "outcomePrices": _in_text([number(yes), number(market.payout - yes)]),
        "clobTokenIds": _in_text([market.yes.id, market.no.id]),
        "active": True,
        "closed": closed,
        "archived": False,
        "acceptingOrders": market.status is MarketStatus.OPEN,
        "enableOrderBook": True,
        "negRisk": False,
        "orderPriceMinTickSize": msgspec.Raw(number(market.ticks[0].step).encode()),
        "orderMinSize": msgspec.Raw(number(market.min_size).encode()),
        "feesEnabled": fees is not None,
        "startDate": _iso(now_ms - now_ms % 86_400_000),
        "endDate": market.closes_at.strftime("%Y-%m-%dT%H:%M:%SZ") if market.closes_at else None,
        "resolutionSource": "",
        "umaResolutionStatus": None,
        "events": [{"id": str(100_000 + number_), "slug": market.event, "title": market.title}],
    }
    if isinstance(fees, PolymarketFees):
        rate = msgspec.Raw(number(fees.rate).encode())
        body["feeSchedule"] = {"exponent": fees.exponent, "rate": rate, "takerOnly": True, "rebateRate": msgspec.Raw(b"0.25")}
    return body


def _in_text(values: list[str]) -> str:
    return msgspec.json.encode(values).decode()


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
