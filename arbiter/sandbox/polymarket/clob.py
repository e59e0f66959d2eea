"""The CLOB's public reads (sheet, A4.1): books, prices, and what a token trades by."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from arbiter.domain.ids import MarketId, OutcomeId
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, Response, json_response, last_segment
from arbiter.sandbox.polymarket import clob_markets, wire
from arbiter.sandbox.polymarket.history import history_of
from arbiter.sandbox.world import Stage

MOST_BOOKS = 500


class _Wanted(msgspec.Struct):
    token_id: str
    side: str = ""


_decode_wanted = msgspec.json.Decoder(list[_Wanted]).decode
Body = dict[str, Any]


class ClobReads:
    """Answers from the books as they are. A market that was listed less than `lag_ms` ago is not here yet, though Gamma has it."""

    def __init__(self, by_asset: Mapping[OutcomeId, MarketBooks], lag_ms: int) -> None:
        self._by_asset = by_asset
        self._lag_ms = lag_ms

    def answer(self, request: Request, now_ms: int) -> Response:
        """Any path of the CLOB; 404 for what it does not know."""
        path = request.path
        if request.method == "POST":
            return self._several(path, request, now_ms) if path in _SEVERAL else error("method not allowed", 405)
        if request.method not in ("GET", "HEAD"):
            return error("method not allowed", 405)
        if path in _TOKEN_READS:
            return self._token_read(path, request, now_ms)
        if path == "/prices-history":
            return self._history(request, now_ms)
        if path in _LISTINGS:
            chosen = [b for b in self._listed(now_ms) if not path.startswith("/sampling") or b.stage is Stage.ACTIVE]
            return clob_markets.page(chosen, request, _LISTINGS[path])
        if path.startswith(("/markets/", "/clob-markets/", "/markets-by-token/")):
            return self._market(path, now_ms)
        fixed: dict[str, object] = {"/time": now_ms // 1000, "/ok": "OK", "/version": {"version": 2}}
        return json_response(fixed[path]) if path in fixed else error("not found", 404)

    def has(self, books: MarketBooks, now_ms: int) -> bool:
        """Whether this market is here already."""
        return now_ms >= books.listed_ms + self._lag_ms or not books.listed_ms

    def _listed(self, now_ms: int) -> list[MarketBooks]:
        return [books for books in dict.fromkeys(self._by_asset.values()) if self.has(books, now_ms)]

    def _of(self, asset: OutcomeId, now_ms: int) -> MarketBooks | None:
        books = self._by_asset.get(asset)
        return books if books is not None and self.has(books, now_ms) else None

    def _several(self, path: str, request: Request, now_ms: int) -> Response:
        """A read for many tokens. Unknown tokens are left out of the answer."""
        try:
            wanted = _decode_wanted(request.body)
        except (msgspec.DecodeError, RecursionError):
            return error("Invalid payload", 400)
        if len(wanted) > MOST_BOOKS:
            return error("Payload exceeds the limit", 400)
        known = [(OutcomeId(w.token_id), w.side, books) for w in wanted if (books := self._of(OutcomeId(w.token_id), now_ms))]
        match path:
            case "/books":
                return json_response([wire.book_object(books, asset) for asset, _, books in known])
            case "/prices":
                return self._prices(known)
            case "/last-trades-prices":
                return json_response([{"token_id": asset, **_last_trade(books, asset)} for asset, _, books in known])
            case _:
                read = _midpoint if path == "/midpoints" else _spread
                return json_response({asset: next(iter(read(books, asset).values())) for asset, _, books in known})

    def _prices(self, known: list[tuple[OutcomeId, str, MarketBooks]]) -> Response:
        """Token to side to price."""
        found: dict[str, dict[str, str]] = {}
        for asset, side, books in known:
            price = _price(books, asset, side)
            if price is None:
                return error("Invalid side", 400)
            found.setdefault(asset, {})[side.upper()] = price
        return json_response(found)

    def _token_read(self, path: str, request: Request, now_ms: int) -> Response:
        asset = OutcomeId(request.first("token_id"))
        books = self._of(asset, now_ms)
        if books is None:
            return error("No orderbook exists for the requested token id", 404)
        if path == "/price":
            price = _price(books, asset, request.first("side"))
            return json_response({"price": price}) if price is not None else error("Invalid side", 400)
        return json_response(_TOKEN_READS[path](books, asset))

    def _history(self, request: Request, now_ms: int) -> Response:
        asset = OutcomeId(request.first("market"))
        books = self._of(asset, now_ms)
        points = None if books is None else history_of(books, asset, request, now_ms)
        return error("Invalid query", 400) if points is None else json_response({"history": points})

    def _market(self, path: str, now_ms: int) -> Response:
        name = last_segment(path)
        if path.startswith("/markets-by-token/"):
            books = self._of(OutcomeId(name), now_ms)
        else:
            books = next((b for b in self._listed(now_ms) if b.market.key.market == MarketId(name)), None)
        if books is None:
            return error("market not found", 404)
        if path.startswith("/markets-by-token/"):
            market = books.market
            ids = {"condition_id": market.key.market, "primary_token_id": market.yes.id, "secondary_token_id": market.no.id}
            return json_response(ids)
        return json_response(clob_markets.market_object(books) if path.startswith("/markets/") else clob_markets.parameters(books))


def _price(books: MarketBooks, asset: OutcomeId, side: str) -> str | None:
    """The best price of that side of the book: BUY the bid, SELL the ask. None for no side."""
    bid, ask = wire.best_of(books.of(asset))
    return {"BUY": wire.text(bid), "SELL": wire.text(ask)}.get(side.upper())


def _midpoint(books: MarketBooks, asset: OutcomeId) -> Body:
    bid, ask = wire.best_of(books.of(asset))
    return {"mid": wire.text((bid + ask) // 2)}


def _spread(books: MarketBooks, asset: OutcomeId) -> Body:
    bid, ask = wire.best_of(books.of(asset))
    return {"spread": wire.text(ask - bid)}


def _last_trade(books: MarketBooks, asset: OutcomeId) -> Body:
    """Only YES trades in a world, so only YES has a last trade; the others' side is empty."""
    if asset != books.market.yes.id or books.last_side is None:
        return {"price": "0.5", "side": ""}
    return {"price": wire.text(books.last_price), "side": wire.side_text(books.last_side)}


_TOKEN_READS: dict[str, Callable[[MarketBooks, OutcomeId], Body]] = {
    "/book": wire.book_object,
    "/price": lambda _, __: {},
    "/midpoint": _midpoint,
    "/spread": _spread,
    "/last-trade-price": _last_trade,
    "/tick-size": lambda books, _: {"minimum_tick_size": wire.number(wire.tick_of(books.market))},
    "/neg-risk": lambda books, _: {"neg_risk": books.details.exclusive},
    "/fee-rate": lambda books, _: {"base_fee": clob_markets.legacy_fee(books)},
}
_SEVERAL = ("/books", "/prices", "/midpoints", "/spreads", "/last-trades-prices")
_LISTINGS: dict[str, Callable[[MarketBooks], Body]] = {
    "/markets": clob_markets.market_object,
    "/sampling-markets": clob_markets.market_object,
    "/simplified-markets": clob_markets.simplified_object,
    "/sampling-simplified-markets": clob_markets.simplified_object,
}


def error(message: str, status: int) -> Response:
    """An error as the CLOB words it."""
    return json_response({"error": message}, status)
