"""The Kalshi engine: requests in, responses out; world events in, socket messages out. No I/O, no clock."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from arbiter.domain.book import BookSnapshot, LevelChange, PublicTrade, Side
from arbiter.domain.ids import MarketId, MarketKey
from arbiter.domain.market import Market
from arbiter.domain.money import MICRO, ZERO, Micros
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.faults import Fault, Faults, Special
from arbiter.sandbox.http import Deferred, Request, Response, Socket, json_response
from arbiter.sandbox.kalshi import lifecycle, wire
from arbiter.sandbox.kalshi.auth import KEY_HEADER, Authenticator
from arbiter.sandbox.kalshi.cache import EdgeCache
from arbiter.sandbox.kalshi.listing import Listing
from arbiter.sandbox.kalshi.paging import error
from arbiter.sandbox.kalshi.rest import BASE, KalshiReads
from arbiter.sandbox.kalshi.session import KalshiSession
from arbiter.sandbox.world import PLAIN, BookEvent, Details, FeesChanged, LifeEvent, Listed, StageChanged, TicksChanged, WorldEvent

SOCKET_PATH = "/trade-api/ws/v2"
KEPT_TRADES = 1000
BUFFER_OVERFLOW = 25
ARCHIVED_MS = 10 * 60_000
"""A market that settled so long ago is historical. The venue's own is about two to three months."""
NO_DETAILS: Mapping[MarketKey, Details] = {}


class KalshiEngine:
    """All of the venue: markets, books, sessions. The `fault_*` methods do what the real one sometimes does."""

    def __init__(
        self,
        markets: Iterable[Market],
        authenticator: Authenticator,
        details: Mapping[MarketKey, Details] = NO_DETAILS,
        *,
        cache_ms: int = 0,
        archived_ms: int = ARCHIVED_MS,
    ) -> None:
        """`cache_ms`: how long REST books are answered from the edge cache; 0: each is fresh."""
        self.listing = Listing(archived_ms)
        self.books: dict[MarketId, MarketBooks] = self.listing.books
        self.sessions: dict[KalshiSession, None] = {}
        """In the order in which they came, so that a run can be repeated."""
        self._ids: dict[MarketId, str] = {}
        self._authenticator = authenticator
        self._trades: deque[wire.Trade] = deque(maxlen=KEPT_TRADES)
        self._trade_count = 0
        self.reads = KalshiReads(self.listing, self._trades, EdgeCache(cache_ms))
        self.faults = Faults(_refused, self._special_faults())
        for market in markets:
            self._list(MarketBooks(market, details.get(market.key, PLAIN)))

    def _list(self, books: MarketBooks) -> bool:
        """Whether its event is new with it."""
        ticker = books.market.key.market
        self._ids[ticker] = hashlib.sha256(ticker.encode()).hexdigest()[:32]
        return self.listing.add(books)

    def snapshot(self, ticker: str, *, yes_prices: bool) -> bytes:
        """The `msg` of a known market's `orderbook_snapshot`."""
        books = self.books[MarketId(ticker)]
        return msgspec.json.encode(wire.snapshot_message(books, self._ids[books.market.key.market], yes_prices=yes_prices))

    def ticker(self, ticker: str, now_ms: int) -> bytes:
        """The `msg` of a known market's `ticker`."""
        books = self.books[MarketId(ticker)]
        return msgspec.json.encode(wire.ticker_message(books, self._ids[books.market.key.market], now_ms))

    # -- the world --

    def apply(self, event: WorldEvent, now_ms: int) -> None:
        """Fold in what happened and tell who subscribed."""
        if isinstance(event, Listed):
            self._begin(event, now_ms)
        elif isinstance(event, LifeEvent):
            self._live(event, now_ms)
        else:
            self._apply_to_book(event, now_ms)

    def _apply_to_book(self, event: BookEvent, now_ms: int) -> None:
        books = self.books[event.outcome.market]
        market, before = books.market, books.touch
        resting = books.yes_size_at(event.side, event.price) if isinstance(event, LevelChange) else 0
        books.apply(event, now_ms)
        if isinstance(event, LevelChange):
            self._push_change(market, event, event.size - resting, now_ms)
        elif isinstance(event, BookSnapshot):
            self._push(market, "orderbook_delta", "orderbook_snapshot", lambda yes: self.snapshot(market.key.market, yes_prices=yes))
        else:
            self._push_trade(market, event, now_ms)
        if isinstance(event, PublicTrade) or books.touch != before:
            self._push(market, "ticker", "ticker", lambda _: self.ticker(market.key.market, now_ms))

    def _begin(self, event: Listed, now_ms: int) -> None:
        """A market appears, and with it perhaps its event."""
        books = MarketBooks(event.listing, event.details, now_ms)
        is_new_event = self._list(books)
        if is_new_event:
            self._push_life(event.listing, "event_lifecycle", lifecycle.event_created(books))
        self._push_life(event.listing, lifecycle.CHANNEL, lifecycle.created(books, now_ms))

    def _live(self, event: StageChanged | TicksChanged | FeesChanged, now_ms: int) -> None:
        books = self.books[event.market.market]
        before = books.stage
        books.live(event, now_ms)
        if isinstance(event, TicksChanged):
            self._push_life(books.market, lifecycle.CHANNEL, lifecycle.grid_changed(books, now_ms))
        elif isinstance(event, StageChanged):
            if told := lifecycle.stage_changed(books, before, now_ms):
                self._push_life(books.market, lifecycle.CHANNEL, told)
        else:
            self._change_fees(books.market, event, now_ms)

    def _change_fees(self, market: Market, event: FeesChanged, now_ms: int) -> None:
        """An override is the whole event's: its other markets have it too."""
        for books in self.books.values():
            if books.market.event == market.event:
                books.live(event, now_ms)
        body = lifecycle.fee_update(market, self.listing.series_market(market))
        number = len(self.reads.event_fee_changes) + 1
        self.reads.event_fee_changes.append({"id": f"event-fee-{number:06d}", **body, "scheduled_ts": wire.rfc3339(now_ms)})
        self._push_life(market, "event_fee_update", body)

    def _push_life(self, market: Market, type_: str, body: dict[str, Any]) -> None:
        self._push(market, lifecycle.CHANNEL, type_, lambda _: msgspec.json.encode(body))

    def _push_change(self, market: Market, change: LevelChange, delta: int, now_ms: int) -> None:
        market_id = self._ids[market.key.market]

        def encoded(yes_prices: bool) -> bytes:
            return msgspec.json.encode(wire.delta_message(market, market_id, change, delta, now_ms, yes_prices=yes_prices))

        if delta:
            self._push(market, "orderbook_delta", "orderbook_delta", encoded)

    def _push_trade(self, market: Market, trade: PublicTrade, now_ms: int) -> None:
        self._trade_count += 1
        told = wire.Trade(self._trade_count, market, trade, now_ms)
        self._trades.append(told)
        self._push(market, "trade", "trade", lambda _: msgspec.json.encode(told.message))

    def _push(self, market: Market, channel: str, type_: str, encode: Callable[[bool], bytes]) -> None:
        """To every subscription that wants it; encoded once for each way of writing NO prices, and only if anyone hears."""
        encoded: dict[bool, bytes] = {}
        for session in self.sessions:
            for subscription in session.wanting(channel, market.key.market):
                yes_prices = subscription.yes_prices
                if yes_prices not in encoded:
                    encoded[yes_prices] = encode(yes_prices)
                session.tell(subscription, type_, encoded[yes_prices])

    def tick(self, now_ms: int) -> None:
        """Send the heartbeats that are due."""
        for session in self.sessions:
            session.heartbeat(now_ms)

    # -- connections --

    def open_socket(self, request: Request, socket: Socket, now_ms: int) -> KalshiSession | Response:
        """Every socket needs a signed upgrade, for public channels too."""
        if request.path != SOCKET_PATH:
            return error("not_found", "not found", 404)
        if not self._authenticator.accepts(request.headers, "GET", request.path, now_ms):
            return error("unauthorized", "Unauthorized", 401)
        if refused := self.faults.refused_upgrade(request, now_ms):
            return refused
        session = KalshiSession(self, self.faults.socket(socket, now_ms), now_ms)
        self.sessions[session] = None
        return session

    def handle(self, request: Request, now_ms: int) -> Response | Deferred:
        """The answer, or what a fault makes of it."""
        return self.faults.answer(request, now_ms, lambda: self._answer(request, now_ms))

    def _answer(self, request: Request, now_ms: int) -> Response:
        """Public reads need no key; who names one all the same must sign for it."""
        if KEY_HEADER in request.headers and not self._authenticator.accepts(request.headers, request.method, request.path, now_ms):
            return error("unauthorized", "Unauthorized", 401)
        if request.path.startswith(f"{BASE}/account/") and KEY_HEADER not in request.headers:
            return error("unauthorized", "Unauthorized", 401)
        return self.reads.answer(request, now_ms)

    # -- what the real one sometimes does --

    def _special_faults(self) -> dict[str, Special]:
        return {
            "unknown-event": lambda _, __: self.fault_unknown_type(),
            "error-25": lambda _, __: self.fault_overflow(),
            "negative-level": lambda fault, now_ms: self._bad_delta(fault, now_ms, negative=True),
            "crossed-book": lambda fault, now_ms: self._bad_delta(fault, now_ms, negative=False),
        }

    def _bad_delta(self, fault: Fault, now_ms: int, *, negative: bool) -> None:
        """A delta in good sequence that takes more than there is, or sets a YES bid at the best ask. The venue's own book stays."""
        for session in tuple(self.sessions):
            for ticker, books in self.books.items():
                if fault.market in ("", ticker) and (subscription := next(session.wanting("orderbook_delta", ticker), None)):
                    bid, ask = books.touch
                    price = bid.price if negative and bid else ask.price if ask else Micros(500_000)
                    size = -(books.yes_size_at(Side.BUY, price) + 5 * MICRO) if negative else 10 * MICRO
                    change = LevelChange(books.market.yes_key, Side.BUY, price, ZERO)
                    yes_prices = subscription.yes_prices
                    body = wire.delta_message(books.market, self._ids[ticker], change, size, now_ms, yes_prices=yes_prices)
                    session.tell(subscription, "orderbook_delta", msgspec.json.encode(body))
                    break

    def fault_gap(self) -> None:
        """A frame is lost in every subscription: the next sequence number skips one."""
        for session in self.sessions:
            session.skip_sequence()

    def fault_overflow(self) -> None:
        """Error 25 ends every subscription; the connections stay."""
        for session in self.sessions:
            session.fail_subscriptions(BUFFER_OVERFLOW)

    def fault_drop(self) -> None:
        """Every session's connection breaks."""
        for session in tuple(self.sessions):
            session.socket.drop()

    def fault_close(self, code: int = 1001) -> None:
        """The venue closes every session."""
        for session in tuple(self.sessions):
            session.socket.close(code)

    def fault_send(self, frame: bytes) -> None:
        """Any text, to every session."""
        for session in tuple(self.sessions):
            session.socket.send(frame)

    def fault_unknown_type(self) -> None:
        """A message of a type that no sheet lists, outside of any sequence."""
        self.fault_send(b'{"type":"moon_phase","msg":{"phase":"full","of":["things"]}}')

    def fault_malformed(self) -> None:
        """A frame that breaks off."""
        self.fault_send(b'{"type":"orderbook_delta","sid":1,"seq":')


def _refused(status: int, retry_after_s: int) -> Response:
    """429 has its own body and tells no time to wait (sheet, B6.3, B10)."""
    if status == 429:
        return json_response({"error": "too many requests"}, status)
    return error("service_unavailable", "service unavailable", status)
