"""The CLOB's own listing of markets (sheet, A4.1): whole, simplified, by token, and a market's trading parameters."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from arbiter.domain.market import PolymarketFees
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response, whole_number
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.world import Stage

PAGE = 50
"""Markets a page. The venue's pages are larger; with this the sandbox has several."""
START, END = "MA==", "LTE="
LEGACY_BPS = 1000


def page(listed: list[MarketBooks], request: Request, render: Callable[[MarketBooks], dict[str, Any]]) -> Response:
    """`next_cursor` is base64 of where to go on; `LTE=` (-1) says that this was the end, and asking for it is an error."""
    start = _read_cursor(request.first("next_cursor") or START)
    if start is None:
        return json_response({"error": "Next item should be greater than or equal to 0"}, 400)
    found = listed[start : start + PAGE]
    end = start + PAGE
    cursor = base64.b64encode(str(end).encode()).decode() if end < len(listed) else END
    return json_response({"data": [render(books) for books in found], "next_cursor": cursor, "limit": PAGE, "count": len(found)})


def _read_cursor(cursor: str) -> int | None:
    try:
        return whole_number(base64.b64decode(cursor.encode(), validate=True).decode())
    except (binascii.Error, ValueError):
        return None


def market_object(books: MarketBooks) -> dict[str, Any]:
    market, details = books.market, books.details
    return {
        "condition_id": market.key.market,
        "question_id": wire.question_id(books),
        "question": market.title,
        "market_slug": wire.slug_of(books),
        "active": True,
        "closed": books.over,
        "archived": False,
        "accepting_orders": books.stage is Stage.ACTIVE,
        "enable_order_book": True,
        "minimum_order_size": wire.number(market.min_size),
        "minimum_tick_size": wire.number(wire.tick_of(market)),
        "neg_risk": details.exclusive,
        "neg_risk_request_id": wire.request_id(books) if details.exclusive else "",
        "end_date_iso": market.closes_at.strftime("%Y-%m-%dT%H:%M:%SZ") if market.closes_at else None,
        "tags": list(wire.tags_of(books)),
        "tokens": tokens(books),
    }


def simplified_object(books: MarketBooks) -> dict[str, Any]:
    """The same in fewer fields."""
    whole = market_object(books)
    names = ("condition_id", "tokens", "active", "closed", "archived", "accepting_orders")
    return {name: whole[name] for name in names} | {"rewards": {"rates": None, "min_size": 0, "max_spread": 0}}


def tokens(books: MarketBooks) -> list[dict[str, Any]]:
    """Outcomes with their price and, once it is final, which one won: neither where it was split."""
    final = wire.final_prices(books)
    return [
        {
            "token_id": outcome.id,
            "outcome": outcome.label,
            "price": wire.number(final[index] if final else wire.best_of(books.of(outcome.id))[0]),
            "winner": bool(final) and final[index] == books.market.payout,
        }
        for index, outcome in enumerate((books.market.yes, books.market.no))
    ]


def parameters(books: MarketBooks) -> dict[str, Any]:
    """The compact form of `/clob-markets`. `fd` is left out where the fees are not known."""
    market = books.market
    body: dict[str, Any] = {
        "t": [{"t": o.id, "o": o.label} for o in (market.yes, market.no)],
        "mts": wire.number(wire.tick_of(market)),
        "mos": wire.number(market.min_size),
        "nr": books.details.exclusive,
        "mbf": legacy_fee(books),
        "tbf": legacy_fee(books),
        "gst": None,
        "r": None,
        "rfqe": False,
        "ibce": False,
        "oas": 0,
    }
    if isinstance(market.fees, PolymarketFees):
        body["fd"] = {"r": wire.number(market.fees.rate), "e": market.fees.exponent, "to": True}
    return body


def legacy_fee(books: MarketBooks) -> int:
    """Basis points that are not the fee to charge; 0 where there is none."""
    fees = books.market.fees
    return LEGACY_BPS if isinstance(fees, PolymarketFees) and fees.rate else 0
