"""Polymarket's books and socket messages as JSON. Prices and sizes are decimal text, times ms text."""

import hashlib
from typing import Any

import msgspec

from arbiter.domain.book import Book, LevelChange, Levels, PublicTrade, Side
from arbiter.domain.ids import OutcomeId
from arbiter.domain.market import Market
from arbiter.domain.money import ONE, format_micros
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.world import Stage


def text(micros: int) -> str:
    """Decimal text as the venue writes it: no trailing zeros."""
    return format_micros(micros, 0)


def number(micros: int) -> msgspec.Raw:
    """The same as a JSON number, exactly."""
    return msgspec.Raw(text(micros).encode())


def levels(side: Levels) -> list[dict[str, str]]:
    """Worst first: the best level is the last element, on both sides."""
    return [{"price": text(price), "size": text(size)} for price, size in reversed(side)]


def tick_of(market: Market) -> int:
    return market.ticks[0].step


def best_of(book: Book) -> tuple[int, int]:
    """Best bid and ask as the venue tells them: 0 and 1 where there is none."""
    bid, ask = book.best_bid, book.best_ask
    return bid.price if bid else 0, ask.price if ask else ONE


def book_object(books: MarketBooks, outcome: OutcomeId) -> dict[str, Any]:
    """The object of `GET /book` (sheet, A4.1). Only YES trades in a world, so only YES has a last price."""
    market, book = books.market, books.of(outcome)
    last = books.last_price if outcome == market.yes.id else 0
    body: dict[str, Any] = {
        "market": market.key.market,
        "asset_id": outcome,
        "timestamp": str(books.changed_ms),
        "hash": "",
        "bids": levels(book.bids()),
        "asks": levels(book.asks()),
        "min_order_size": text(market.min_size),
        "tick_size": text(tick_of(market)),
        "neg_risk": books.details.exclusive,
        "last_trade_price": text(last) if last else "",
    }
    body["hash"] = book_hash(body)
    return body


def book_hash(body: dict[str, Any]) -> str:
    """SHA-1 of the book object as compact JSON, its keys in the venue's order and its hash empty."""
    return hashlib.sha1(msgspec.json.encode(body)).hexdigest()  # noqa: S324 the venue's own checksum


def book_event(books: MarketBooks, outcome: OutcomeId) -> dict[str, Any]:
    """The socket's `book` message."""
    return {"event_type": "book", **book_object(books, outcome)}


def price_change_event(books: MarketBooks, changes: list[LevelChange], now_ms: int) -> dict[str, Any]:
    """Changes of one market's books; sizes are the new absolute sizes, and "0" removes the level."""
    return {
        "event_type": "price_change",
        "market": books.market.key.market,
        "timestamp": str(now_ms),
        "price_changes": [_price_change(books, change) for change in changes],
    }


def _price_change(books: MarketBooks, change: LevelChange) -> dict[str, str]:
    outcome = change.outcome.outcome
    bid, ask = best_of(books.of(outcome))
    return {
        "asset_id": outcome,
        "price": text(change.price),
        "size": text(change.size),
        "side": side_text(change.side),
        "hash": book_object(books, outcome)["hash"],
        "best_bid": text(bid),
        "best_ask": text(ask),
    }


def side_text(side: Side) -> str:
    return "BUY" if side is Side.BUY else "SELL"


def trade_event(market: Market, trade: PublicTrade, now_ms: int) -> dict[str, Any]:
    return {
        "event_type": "last_trade_price",
        "market": market.key.market,
        "asset_id": trade.outcome.outcome,
        "price": text(trade.price),
        "size": text(trade.size),
        "side": side_text(trade.side),
        "fee_rate_bps": "0",
        "timestamp": str(now_ms),
    }


def best_bid_ask_event(books: MarketBooks, outcome: OutcomeId, now_ms: int) -> dict[str, Any]:
    """For sockets that asked for the custom features."""
    bid, ask = best_of(books.of(outcome))
    return {
        "event_type": "best_bid_ask",
        "market": books.market.key.market,
        "asset_id": outcome,
        "best_bid": text(bid),
        "best_ask": text(ask),
        "spread": text(ask - bid),
        "timestamp": str(now_ms),
    }


def tick_size_event(market: Market, asset: str, old: int, new: int, now_ms: int) -> dict[str, Any]:
    return {
        "event_type": "tick_size_change",
        "market": market.key.market,
        "asset_id": asset,
        "old_tick_size": text(old),
        "new_tick_size": text(new),
        "timestamp": str(now_ms),
    }


def new_market_event(books: MarketBooks, market_id: str, fees: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """A market appeared. For sockets that asked for the custom features, whatever they follow."""
    market = books.market
    ids = [market.yes.id, market.no.id]
    return {
        "event_type": "new_market",
        "id": market_id,
        "question": market.title,
        "market": market.key.market,
        "slug": slug_of(books),
        "description": market.rules,
        "assets_ids": ids,
        "outcomes": [market.yes.label, market.no.label],
        "event_message": {"id": market.event, "ticker": market.event, "slug": market.event, "title": market.title},
        "condition_id": market.key.market,
        "clob_token_ids": ids,
        "active": True,
        "order_price_min_tick_size": text(tick_of(market)),
        "group_item_title": books.details.group,
        "tags": list(tags_of(books)),
        "fee_schedule": fees,
        "timestamp": str(now_ms),
    }


def resolved_event(books: MarketBooks, market_id: str, now_ms: int) -> dict[str, Any]:
    """A market is decided. A split one has no winner."""
    market, final = books.market, final_prices(books)
    winner = next((o for o, price in zip((market.yes, market.no), final, strict=False) if price == market.payout), None)
    return {
        "event_type": "market_resolved",
        "id": market_id,
        "market": market.key.market,
        "assets_ids": [market.yes.id, market.no.id],
        "winning_asset_id": winner.id if winner else "",
        "winning_outcome": winner.label if winner else "",
        "timestamp": str(now_ms),
    }


# -- what several interfaces say of a market --


def final_prices(books: MarketBooks) -> tuple[int, ...]:
    """What YES and NO pay, once that is final; empty before."""
    if books.stage is not Stage.SETTLED or books.yes_pays is None:
        return ()
    return books.yes_pays, books.market.payout - books.yes_pays


def slug_of(books: MarketBooks) -> str:
    """A market's own slug: its event's, with what tells it apart inside."""
    group = books.details.group.lower().replace(" ", "-")
    return f"{books.market.event}-{group}" if group else books.market.event


def tags_of(books: MarketBooks) -> tuple[str, ...]:
    """The category is a tag too."""
    return tuple(dict.fromkeys(tag for tag in (books.market.category, *books.details.tags) if tag))


def question_id(books: MarketBooks) -> str:
    return made_hash("question", books.market.key.market)


def request_id(books: MarketBooks) -> str:
    """`negRiskRequestID`."""
    return made_hash("neg-risk request", books.market.key.market)


def made_hash(*parts: str) -> str:
    """32 bytes that follow from the parts, as 0x hex."""
    return "0x" + hashlib.sha256(":".join(parts).encode()).hexdigest()
