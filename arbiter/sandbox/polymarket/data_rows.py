"""Rows of the Data API (sheet, A9.1): v2 in snake_case, v1 in camelCase, amounts as JSON numbers, times as Unix seconds."""

from datetime import UTC, datetime
from typing import Any

from arbiter.domain.book import Side
from arbiter.domain.money import MICRO
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.polymarket.ledger import Entry, Position
from arbiter.sandbox.polymarket.people import Wallet
from arbiter.sandbox.world import Stage

UNKNOWN_INDEX = 999
_RESOLUTION = {
    Stage.UPCOMING: "initialized",
    Stage.ACTIVE: "active",
    Stage.PAUSED: "active",
    Stage.CLOSED: "posed",
    Stage.DETERMINED: "proposed",
    Stage.DISPUTED: "disputed",
    Stage.SETTLED: "resolved",
}
number = wire.number


def side_text(side: Side) -> str:
    return "BUY" if side is Side.BUY else "SELL"


def trade_v2(entry: Entry, unknown: bool) -> dict[str, Any]:
    """`unknown`: the outcome's index is not told."""
    return {
        "proxy_wallet": entry.wallet.address,
        "token_id": entry.token,
        "condition_id": entry.books.market.key.market,
        "side": side_text(entry.side) if entry.side else "",
        "size": number(entry.size),
        "price": number(entry.price),
        "timestamp": entry.at_ms // 1000,
        "transaction_hash": entry.tx,
        "title": entry.books.market.title,
        "slug": wire.slug_of(entry.books),
        "event_slug": entry.books.market.event,
        "icon": "",
        "outcome": "" if unknown else _outcome(entry.books, entry.index),
        "outcome_index": UNKNOWN_INDEX if unknown else entry.index,
        **entry.wallet.public,
    }


def activity_v2(entry: Entry) -> dict[str, Any]:
    """A redemption and its like name no outcome's index."""
    row = trade_v2(entry, entry.kind != "TRADE")
    return {**row, "type": entry.kind, "usdc_size": number(entry.usdc), "is_combo": False}


def trade_v1(entry: Entry, unknown: bool) -> dict[str, Any]:
    return _v1(trade_v2(entry, unknown))


def activity_v1(entry: Entry) -> dict[str, Any]:
    row = activity_v2(entry)
    del row["is_combo"]
    return _v1(row)


def status_of(position: Position) -> str:
    """OPEN, REDEEMABLE, REDEEMABLE_LOST, MERGEABLE or CLOSED."""
    if not position.size:
        return "CLOSED"
    if position.books.stage is Stage.SETTLED:
        return "REDEEMABLE" if position.price else "REDEEMABLE_LOST"
    return "OPEN"


def position_v2(position: Position) -> dict[str, Any]:
    market = position.books.market
    average = position.cost * MICRO // position.size if position.size else 0
    unrealized = position.value - position.cost
    closes = market.closes_at
    return {
        "proxy_wallet": position.wallet.address,
        "token_id": token_of(position),
        "condition_id": market.key.market,
        "current_size": number(position.size),
        "avg_price": number(average),
        "entry_cost_usdc": number(position.cost),
        "entry_fees_usdc": number(0),
        "total_cost_usdc": number(position.cost),
        "current_price": number(position.price),
        "current_value": number(position.value),
        "realized_pnl": number(position.realized),
        "unrealized_pnl": number(unrealized),
        "total_pnl": number(position.profit),
        "percent_pnl": number(100 * MICRO * unrealized // position.cost if position.cost else 0),
        "status": status_of(position),
        "redeemable": position.books.stage is Stage.SETTLED and position.size > 0,
        "mergeable": False,
        "negative_risk": position.books.details.exclusive,
        "title": market.title,
        "slug": wire.slug_of(position.books),
        "event_slug": market.event,
        "outcome": _outcome(position.books, position.index),
        "outcome_index": position.index,
        "opposite_token_id": (market.no, market.yes)[position.index].id,
        "end_date": closes.strftime("%Y-%m-%d") if closes else None,
        "first_entry_at": iso(position.first_ms),
        "last_event_at": iso(position.last_ms),
    }


_V1_NAMES = {
    "token_id": "asset",
    "current_size": "size",
    "entry_cost_usdc": "initialValue",
    "current_price": "curPrice",
    "unrealized_pnl": "cashPnl",
    "opposite_token_id": "oppositeAsset",
}


def position_v1(position: Position) -> dict[str, Any]:
    kept = position_v2(position)
    for name in ("entry_fees_usdc", "total_cost_usdc", "total_pnl", "status", "first_entry_at", "last_event_at"):
        del kept[name]
    return _v1(kept)


def holder_v2(position: Position) -> dict[str, Any]:
    who = position.wallet
    return {"token_id": token_of(position), "proxy_wallet": who.address, "amount": number(position.size), **who.public}


def holder_v1(position: Position) -> dict[str, Any]:
    """Inside the group of its token."""
    row = _v1(holder_v2(position))
    return row | {"outcomeIndex": position.index}


def leader_v2(rank: int, wallet: Wallet, profit: int, volume: int) -> dict[str, Any]:
    return {
        "rank": rank,
        "user_id": wallet.address,
        "pnl": number(profit),
        "volume": number(volume),
        "user_name": wallet.name,
        "verified": wallet.leader,
    }


def resolution_v2(books: MarketBooks) -> dict[str, Any]:
    """Payouts are scaled by a million; null until they are final."""
    final = wire.final_prices(books)
    return {
        "condition_id": books.market.key.market,
        "question_id": wire.question_id(books),
        "status": _RESOLUTION[books.stage],
        "payouts": list(final) if final else None,
        "resolved_at": iso(books.since_ms.get(Stage.SETTLED, 0)) if final else None,
    }


def token_v2(token: str, books: MarketBooks) -> dict[str, Any]:
    index = 0 if token == books.market.yes.id else 1
    return {"token_id": token, "condition_id": books.market.key.market, "outcome": _outcome(books, index), "outcome_index": index}


def token_of(position: Position) -> str:
    return (position.books.market.yes, position.books.market.no)[position.index].id


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _outcome(books: MarketBooks, index: int) -> str:
    return (books.market.yes, books.market.no)[index].label


def _v1(row: dict[str, Any]) -> dict[str, Any]:
    return {_V1_NAMES.get(name) or _camel(name): value for name, value in row.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)
