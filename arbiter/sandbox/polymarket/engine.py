"""The Polymarket engine: requests in, responses out; world events in, socket messages out. No I/O, no clock."""

from collections.abc import Iterable
from typing import Any

import msgspec

from arbiter.domain.book import Book, LevelChange, PublicTrade
from arbiter.domain.ids import MarketId, OutcomeId
from arbiter.domain.market import Market, TickRange
from arbiter.domain.money import ONE, Micros
from arbiter.sandbox.books import MarketBooks, mirrored
from arbiter.sandbox.http import Request, Response, Socket, json_response, last_segment
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.world import WorldEvent

PAGE_LIMIT = 100
SOCKET_PATH = "/ws/market"


class _Subscription(msgspec.Struct):
    """A subscription frame, first or later."""

    type: str = ""
    operation: str = ""
    assets_ids: list[str] = []
    custom_feature_enabled: bool = False
    initial_dump: bool = True


class MarketSession:
    """One market socket."""

    def __init__(self, engine: "PolymarketEngine", socket: Socket) -> None:
        self._engine = engine
        self.socket = socket
        self.assets: set[str] = set()
        self.custom = False
        self.silent = False

    def receive(self, text: str, now_ms: int) -> None:
        if text == "PING":
            self.socket.send(b"PONG")
            return
        try:
            wanted = msgspec.json.decode(text.encode(), type=_Subscription)
        except msgspec.DecodeError:
            self.socket.send(b"INVALID MESSAGE")
            return
        if wanted.operation == "unsubscribe":
            self.assets.difference_update(wanted.assets_ids)
            return
        self.custom = wanted.custom_feature_enabled or self.custom
        known = [asset for asset in wanted.assets_ids if self._engine.by_asset.get(asset)]
        self.assets.update(known)
        if wanted.initial_dump and known and not self.silent:
            self.socket.send(msgspec.json.encode(self._engine.book_events(known)))

    def push(self, frame: bytes) -> None:
        if not self.silent:
            self.socket.send(frame)

    def closed(self) -> None:
        self._engine.sessions.discard(self)


class PolymarketEngine:
    """All of the venue: markets, books, sessions. The `fault_*` methods do what the real one sometimes does."""

    def __init__(self, markets: Iterable[Market]) -> None:
        self.books = [MarketBooks(market) for market in markets]
        self.by_asset: dict[str, MarketBooks] = {o.id: b for b in self.books for o in (b.market.yes, b.market.no)}
        self._by_condition = {b.market.key.market: b for b in self.books}
        self._last_trade: dict[str, int] = {}
        self._changed_ms: dict[str, int] = {}
        self.sessions: set[MarketSession] = set()

    # -- the world --

    def apply(self, event: WorldEvent, now_ms: int) -> None:
        """Fold in what happened and tell who subscribed."""
        books = self.by_asset[event.outcome.outcome]
        books.apply(event)
        if not isinstance(event, PublicTrade):
            self._changed_ms[books.market.yes.id] = self._changed_ms[books.market.no.id] = now_ms
        if isinstance(event, LevelChange):
            opposite = mirrored(event, books.market.no_key, books.market.payout)
            self._push_changes(books, [(books.yes, event), (books.no, opposite)], now_ms)
        elif isinstance(event, PublicTrade):
            self._last_trade[event.outcome.outcome] = event.price
            self._push(event.outcome.outcome, wire.trade_event(books.market, event, now_ms))
        else:
            for each in (books.yes, books.no):
                self._push(each.outcome.outcome, self._book_event(each.outcome.outcome))

    def _push_changes(self, books: MarketBooks, changes: list[tuple[Book, LevelChange]], now_ms: int) -> None:
        """One message for both outcomes, less what a session did not subscribe to; encoded once for each such cut."""
        encoded: dict[tuple[bool, ...], bytes] = {}
        for session in self.sessions:
            cut = tuple(change.outcome.outcome in session.assets for _, change in changes)
            if any(cut):
                if cut not in encoded:
                    kept = [pair for pair, wanted in zip(changes, cut, strict=True) if wanted]
                    encoded[cut] = msgspec.json.encode(wire.price_change_event(books, kept, self._last_trade, now_ms))
                session.push(encoded[cut])

    def _push(self, asset: str, event: dict[str, Any]) -> None:
        frame = msgspec.json.encode(event)
        for session in self.sessions:
            if asset in session.assets:
                session.push(frame)

    def book_events(self, assets: list[str]) -> list[dict[str, Any]]:
        """The initial dump: one `book` for each asset, in one array frame."""
        return [self._book_event(asset) for asset in assets]

    def _book_event(self, asset: str) -> dict[str, Any]:
        books = self.by_asset[asset]
        return wire.book_event(books.market, books.of(OutcomeId(asset)), self._changed_ms.get(asset, 0), self._last_trade.get(asset, 0))

    # -- HTTP --

    def open_socket(self, request: Request, socket: Socket, now_ms: int) -> MarketSession | Response:
        if request.path != SOCKET_PATH:
            return json_response({"error": "not found"}, 404)
        session = MarketSession(self, socket)
        self.sessions.add(session)
        return session

    def handle(self, request: Request, now_ms: int) -> Response:
        """Gamma's and the CLOB's public reads."""
        path = request.path
        if path in ("/markets/keyset", "/events/keyset"):
            return self._keyset(request, path.split("/")[1], now_ms)
        if path.startswith("/markets/"):
            return self._clob_market(last_segment(path))
        if path == "/books" and request.method == "POST":
            return self._books(request)
        if path in ("/book", "/price", "/midpoint", "/spread", "/tick-size", "/neg-risk", "/fee-rate"):
            return self._token_read(path, request)
        fixed: dict[str, object] = {"/time": now_ms // 1000, "/ok": "OK", "/version": {"version": 2}}
        if path in fixed:
            return json_response(fixed[path])
        return json_response({"error": "not found"}, 404)

    def _keyset(self, request: Request, what: str, now_ms: int) -> Response:
        """`limit` at most 100, `after_cursor` opaque, no `next_cursor` on the last page; `offset` is refused."""
        limit, after = request.first("limit", "20"), request.first("after_cursor", "0")
        if "offset" in request.query:
            return json_response({"error": "offset is not supported with keyset pagination"}, 422)
        if not (limit.isdigit() and 1 <= int(limit) <= PAGE_LIMIT and after.isdigit()):
            return json_response({"error": "invalid limit or cursor"}, 422)
        wanted = set(request.query.get("condition_ids", []))
        listed = [b for b in self.books if not wanted or b.market.key.market in wanted]
        if request.first("closed") == "true":
            listed = []
        page = [wire.gamma_market(b, n, now_ms) for n, b in list(enumerate(listed))[int(after) : int(after) + int(limit)]]
        following = int(after) + int(limit)
        body: dict[str, object] = {what: page if what == "markets" else [_as_event(market) for market in page]}
        if following < len(listed):
            body["next_cursor"] = str(following)
        return json_response(body)

    def _clob_market(self, condition: str) -> Response:
        books = self._by_condition.get(MarketId(condition))
        if books is None:
            return json_response({"error": "market not found"}, 404)
        market = books.market
        tokens = [{"token_id": o.id, "outcome": o.label, "winner": False} for o in (market.yes, market.no)]
        return json_response({"condition_id": condition, "question": market.title, "tokens": tokens, "active": True, "closed": False})

    def _books(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(request.body, type=list[dict[str, str]])
        except msgspec.DecodeError:
            return json_response({"error": "Invalid payload"}, 400)
        assets = [each.get("token_id", "") for each in wanted]
        return json_response([self._book_object(asset) for asset in assets if asset in self.by_asset])

    def _token_read(self, path: str, request: Request) -> Response:
        asset = request.first("token_id")
        books = self.by_asset.get(asset)
        if books is None:
            return json_response({"error": "No orderbook exists for the requested token id"}, 404)
        book = books.of(OutcomeId(asset))
        bid, ask = book.best_bid.price if book.best_bid else 0, book.best_ask.price if book.best_ask else ONE
        match path:
            case "/book":
                return json_response(self._book_object(asset))
            case "/price":
                return json_response({"price": wire.number(bid if request.first("side").upper() == "BUY" else ask)})
            case "/midpoint":
                return json_response({"mid": wire.number((bid + ask) // 2)})
            case "/spread":
                return json_response({"spread": wire.number(ask - bid)})
            case "/tick-size":
                return json_response({"minimum_tick_size": msgspec.Raw(wire.tick_of(books.market).encode())})
            case "/neg-risk":
                return json_response({"neg_risk": False})
            case _:
                return json_response({"base_fee": 1000})

    def _book_object(self, asset: str) -> dict[str, Any]:
        books = self.by_asset[asset]
        return wire.book_object(books.market, books.of(OutcomeId(asset)), self._changed_ms.get(asset, 0), self._last_trade.get(asset, 0))

    # -- what the real one sometimes does --

    def fault_stall(self) -> None:
        """Every session goes on answering PING and tells nothing more."""
        for session in self.sessions:
            session.silent = True

    def fault_send(self, frame: bytes) -> None:
        """Any text, to every session: an unknown event, a malformed frame, a duplicate."""
        for session in tuple(self.sessions):
            session.push(frame)

    def fault_close(self) -> None:
        """Close every session."""
        for session in tuple(self.sessions):
            session.socket.close(1001)

    def change_tick(self, condition: str, tick: Micros, now_ms: int) -> None:
        """A market's price grid changes; a fresh `book` follows at once, as the venue does it."""
        books = next(b for b in self.books if b.market.key.market == condition)
        old = wire.tick_of(books.market)
        books.market = msgspec.structs.replace(books.market, ticks=(TickRange(tick, Micros(ONE - tick), tick),))
        for outcome in (books.market.yes, books.market.no):
            self._push(outcome.id, wire.tick_size_event(books.market, outcome.id, old, wire.number(tick), now_ms))
            self._push(outcome.id, self._book_event(outcome.id))


def _as_event(market: dict[str, Any]) -> dict[str, Any]:
    event = market["events"][0]
    return {"id": event["id"], "slug": event["slug"], "title": event["title"], "markets": [market]}
