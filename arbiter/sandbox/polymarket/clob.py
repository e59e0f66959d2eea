"""The CLOB's public reads (sheet, A4.1): books, prices, and a market's trading parameters."""

from typing import Any

import msgspec

from arbiter.domain.ids import MarketId, OutcomeId
from arbiter.domain.market import Market, MarketStatus, PolymarketFees
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response, last_segment
from arbiter.sandbox.polymarket import wire

MOST_BOOKS = 500
LEGACY_BPS = 1000
_TOKEN_READS = ("/book", "/price", "/midpoint", "/spread", "/tick-size", "/neg-risk", "/fee-rate")


class _Wanted(msgspec.Struct):
    token_id: str


_decode_wanted = msgspec.json.Decoder(list[_Wanted]).decode


class ClobReads:
    """Answers from the books as they are."""

    def __init__(self, by_asset: dict[OutcomeId, MarketBooks]) -> None:
        self._by_asset = by_asset
        self._by_condition = {books.market.key.market: books for books in by_asset.values()}

    def knows(self, condition: str) -> bool:
        return condition in self._by_condition

    def answer(self, request: Request, now_ms: int) -> Response:
        """Any path of the CLOB; 404 for what it does not know."""
        path = request.path
        if path == "/books" and request.method == "POST":
            return self._books(request)
        if request.method not in ("GET", "HEAD"):
            return error("method not allowed", 405)
        if path in _TOKEN_READS:
            return self._token_read(path, request)
        if path.startswith(("/markets/", "/clob-markets/")):
            return self._market(path)
        fixed: dict[str, object] = {"/time": now_ms // 1000, "/ok": "OK", "/version": {"version": 2}}
        return json_response(fixed[path]) if path in fixed else error("not found", 404)

    def _books(self, request: Request) -> Response:
        """Unknown tokens are left out of the answer."""
        try:
            wanted = _decode_wanted(request.body)
        except (msgspec.DecodeError, RecursionError):
            return error("Invalid payload", 400)
        if len(wanted) > MOST_BOOKS:
            return error("Payload exceeds the limit", 400)
        assets = [OutcomeId(each.token_id) for each in wanted]
        return json_response([wire.book_object(self._by_asset[a], a) for a in assets if a in self._by_asset])

    def _token_read(self, path: str, request: Request) -> Response:
        asset = OutcomeId(request.first("token_id"))
        books = self._by_asset.get(asset)
        if books is None:
            return error("No orderbook exists for the requested token id", 404)
        bid, ask = wire.best_of(books.of(asset))
        match path:
            case "/book":
                return json_response(wire.book_object(books, asset))
            case "/price":
                return _price(request.first("side"), bid, ask)
            case "/midpoint":
                return json_response({"mid": wire.text((bid + ask) // 2)})
            case "/spread":
                return json_response({"spread": wire.text(ask - bid)})
            case "/tick-size":
                return json_response({"minimum_tick_size": wire.number(wire.tick_of(books.market))})
            case "/neg-risk":
                return json_response({"neg_risk": False})
            case _:
                return json_response({"base_fee": _legacy_fee(books.market)})

    def _market(self, path: str) -> Response:
        books = self._by_condition.get(MarketId(last_segment(path)))
        if books is None:
            return error("market not found", 404)
        return json_response(_market_object(books) if path.startswith("/markets/") else _parameters(books.market))


def _price(side: str, bid: int, ask: int) -> Response:
    """The best price of that side of the book: BUY the bid, SELL the ask."""
    if side.upper() not in ("BUY", "SELL"):
        return error("Invalid side", 400)
    return json_response({"price": wire.text(bid if side.upper() == "BUY" else ask)})


def _market_object(books: MarketBooks) -> dict[str, Any]:
    market = books.market
    closed = market.status in (MarketStatus.CLOSED, MarketStatus.RESOLVED)
    return {
        "condition_id": market.key.market,
        "question": market.title,
        "market_slug": market.event,
        "active": True,
        "closed": closed,
        "archived": False,
        "accepting_orders": market.status is MarketStatus.OPEN,
        "enable_order_book": True,
        "minimum_order_size": wire.number(market.min_size),
        "minimum_tick_size": wire.number(wire.tick_of(market)),
        "neg_risk": False,
        "end_date_iso": market.closes_at.strftime("%Y-%m-%dT%H:%M:%SZ") if market.closes_at else None,
        "tokens": [
            {"token_id": o.id, "outcome": o.label, "price": wire.number(wire.best_of(books.of(o.id))[0]), "winner": False}
            for o in (market.yes, market.no)
        ],
    }


def _parameters(market: Market) -> dict[str, Any]:
    """The compact form of `/clob-markets`. `fd` is left out where the fees are not known."""
    body: dict[str, Any] = {
        "t": [{"t": o.id, "o": o.label} for o in (market.yes, market.no)],
        "mts": wire.number(wire.tick_of(market)),
        "mos": wire.number(market.min_size),
        "nr": False,
        "mbf": _legacy_fee(market),
        "tbf": _legacy_fee(market),
        "gst": None,
        "r": None,
        "rfqe": False,
        "ibce": False,
        "oas": 0,
    }
    if isinstance(market.fees, PolymarketFees):
        body["fd"] = {"r": wire.number(market.fees.rate), "e": market.fees.exponent, "to": True}
    return body


def _legacy_fee(market: Market) -> int:
    """Basis points that are not the fee to charge; 0 where there is none."""
    return LEGACY_BPS if isinstance(market.fees, PolymarketFees) and market.fees.rate else 0


def error(message: str, status: int) -> Response:
    """An error as the CLOB words it."""
    return json_response({"error": message}, status)
