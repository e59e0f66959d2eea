"""The Polymarket engine: requests in, responses out; world events in, socket messages out. No I/O, no clock."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from arbiter.domain.book import LevelChange, PublicTrade, Side
from arbiter.domain.ids import POLYMARKET, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Market, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.sandbox.books import MarketBooks, mirrored
from arbiter.sandbox.faults import Fault, Faults, Special
from arbiter.sandbox.http import Deferred, Request, Response, Socket, json_response
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.polymarket.clob import ClobReads, error
from arbiter.sandbox.polymarket.data_api import DataReads, Lags
from arbiter.sandbox.polymarket.gamma import GammaReads
from arbiter.sandbox.polymarket.gamma_shapes import fee_fields
from arbiter.sandbox.polymarket.ledger import Ledger
from arbiter.sandbox.polymarket.people import People
from arbiter.sandbox.polymarket.session import MarketSession
from arbiter.sandbox.world import PLAIN, BookEvent, Details, FeesChanged, LifeEvent, Listed, Stage, StageChanged, TicksChanged, WorldEvent

SOCKET_PATH = "/ws/market"
NO_DETAILS: Mapping[MarketKey, Details] = {}
LAGS = Lags()
PAST_ENTRIES = 400
_SMALL_GAMMA = ("tags", "series", "sports", "teams", "public-search", "public-profile")
_HOSTS = {"gamma": "gamma", "gamma-api": "gamma", "clob": "clob", "data": "data", "data-api": "data"}


class PolymarketEngine:
    """All of the venue: markets, books, sessions. The `fault_*` methods do what the real one sometimes does."""

    def __init__(
        self,
        markets: Iterable[Market],
        details: Mapping[MarketKey, Details] = NO_DETAILS,
        *,
        seed: int = 1,
        lags: Lags = LAGS,
        clob_lag_ms: int = 0,
        lost_resolutions: int = 0,
    ) -> None:
        """`seed`: of who trades. `clob_lag_ms`: how long Gamma has a new market before the CLOB. `lost_resolutions`: each
        so-many-th `market_resolved` is not delivered (0: none)."""
        self.by_asset: dict[OutcomeId, MarketBooks] = {}
        self.sessions: dict[MarketSession, None] = {}
        """In the order in which they came, so that a run can be repeated."""
        self._by_condition: dict[MarketId, MarketBooks] = {}
        self._listed: list[MarketBooks] = []
        self._untold: list[MarketBooks] = []
        self._lost_resolutions, self._resolutions = lost_resolutions, 0
        people = People(seed)
        self.ledger = Ledger(people, seed)
        self._has_past = False
        self._clob = ClobReads(self.by_asset, clob_lag_ms)
        self._gamma = GammaReads(self._clob.has, people.profile)
        self._data = DataReads(self.ledger, lags, self.by_asset.get, self._listed, self._gamma.event_id_of)
        self.faults = Faults(_refused, self._special_faults())
        for market in markets:
            self._list(MarketBooks(market, details.get(market.key, PLAIN)))

    def _list(self, books: MarketBooks) -> None:
        self._listed.append(books)
        self._by_condition[books.market.key.market] = books
        for outcome in (books.market.yes, books.market.no):
            self.by_asset[outcome.id] = books
        self._gamma.add(books)

    # -- the world --

    def apply(self, event: WorldEvent, now_ms: int) -> None:
        """Fold in what happened and tell who subscribed."""
        if isinstance(event, Listed):
            books = MarketBooks(event.listing, event.details, now_ms)
            self._list(books)
            self._untold.append(books)
        elif isinstance(event, LifeEvent):
            self._live(event, now_ms)
        else:
            self._apply_to_book(event, now_ms)

    def _apply_to_book(self, event: BookEvent, now_ms: int) -> None:
        books = self.by_asset[event.outcome.outcome]
        before = books.touch
        books.apply(event, now_ms)
        if isinstance(event, LevelChange):
            self._push_changes(books, [event, mirrored(event, books.market.no_key, books.market.payout)], now_ms)
        else:
            if isinstance(event, PublicTrade):
                self.ledger.trade(books, event, now_ms)
                self._push(books.market.yes.id, wire.trade_event(books.market, event, now_ms))
            self._push_books(books)
        if books.touch != before:
            self._push_best(books, now_ms)

    def _live(self, event: StageChanged | TicksChanged | FeesChanged, now_ms: int) -> None:
        books = self._by_condition[event.market.market]
        old = wire.tick_of(books.market)
        books.live(event, now_ms)
        if isinstance(event, TicksChanged):
            new = wire.tick_of(books.market)
            for outcome in (books.market.yes.id, books.market.no.id):
                self._push(outcome, wire.tick_size_event(books.market, outcome, old, new, now_ms))
            self._push_books(books)
        elif isinstance(event, StageChanged) and event.stage is Stage.SETTLED:
            self._resolve(books, now_ms)

    def _resolve(self, books: MarketBooks, now_ms: int) -> None:
        """Told to who follows the market and asked for the custom features; not always delivered (sheet, A4.2)."""
        self.ledger.resolve(books, now_ms)
        self._resolutions += 1
        if self._lost_resolutions and self._resolutions % self._lost_resolutions == 0:
            return
        event = wire.resolved_event(books, self._gamma.id_of(books.market.key.market), now_ms)
        frame = msgspec.json.encode(event)
        for session in self.sessions:
            if session.custom and not session.assets.isdisjoint((books.market.yes.id, books.market.no.id)):
                session.push(frame)

    def tick(self, now_ms: int) -> None:
        """Tell of new markets once the CLOB has them. The first call makes up the past of who trades."""
        if not self._has_past:
            self._has_past = True
            self.ledger.make_past(self._listed, PAST_ENTRIES, now_ms)
        ready = [books for books in self._untold if self._clob.has(books, now_ms)]
        for books in ready:
            self._untold.remove(books)
            market_id = self._gamma.id_of(books.market.key.market)
            fees = fee_fields(books.market)["feeSchedule"] or {}
            frame = msgspec.json.encode(wire.new_market_event(books, market_id, fees, now_ms))
            for session in self.sessions:
                if session.custom:
                    session.push(frame)

    def _push_changes(self, books: MarketBooks, changes: list[LevelChange], now_ms: int) -> None:
        """One message for both outcomes, less what a session did not subscribe to; encoded once for each such cut."""
        encoded: dict[tuple[bool, ...], bytes] = {}
        for session in self.sessions:
            cut = tuple(change.outcome.outcome in session.assets for change in changes)
            if any(cut):
                if cut not in encoded:
                    kept = [change for change, wanted in zip(changes, cut, strict=True) if wanted]
                    encoded[cut] = msgspec.json.encode(wire.price_change_event(books, kept, now_ms))
                session.push(encoded[cut])

    def _push_books(self, books: MarketBooks) -> None:
        """After a trade, and when the world replaced the whole book."""
        for outcome in (books.market.yes.id, books.market.no.id):
            if hearers := [session for session in self.sessions if outcome in session.assets]:
                frame = msgspec.json.encode(wire.book_event(books, outcome))
                for session in hearers:
                    session.push(frame)

    def _push_best(self, books: MarketBooks, now_ms: int) -> None:
        for outcome in (books.market.yes.id, books.market.no.id):
            if hearers := [session for session in self.sessions if session.custom and outcome in session.assets]:
                frame = msgspec.json.encode(wire.best_bid_ask_event(books, outcome, now_ms))
                for session in hearers:
                    session.push(frame)

    def _push(self, outcome: OutcomeId, event: dict[str, Any]) -> None:
        frame = msgspec.json.encode(event)
        for session in self.sessions:
            if outcome in session.assets:
                session.push(frame)

    def follows(self, asset: str, now_ms: int) -> bool:
        """Whether a socket can subscribe to it."""
        books = self.by_asset.get(OutcomeId(asset))
        return books is not None and self._clob.has(books, now_ms)

    def book_events(self, assets: Iterable[str]) -> list[dict[str, Any]]:
        """A `book` for each of these known assets, for one array frame."""
        return [wire.book_event(self.by_asset[outcome], outcome) for outcome in map(OutcomeId, assets)]

    # -- connections --

    def open_socket(self, request: Request, socket: Socket, now_ms: int) -> MarketSession | Response:
        """Public: the market socket asks for no credentials."""
        if request.path != SOCKET_PATH:
            return error("not found", 404)
        if refused := self.faults.refused_upgrade(request, now_ms):
            return refused
        session = MarketSession(self, self.faults.socket(socket, now_ms))
        self.sessions[session] = None
        return session

    def handle(self, request: Request, now_ms: int) -> Response | Deferred:
        """The answer, or what a fault makes of it."""
        return self.faults.answer(request, now_ms, lambda: self._answer(request, now_ms))

    def _answer(self, request: Request, now_ms: int) -> Response:
        """Three interfaces on one port. A first path segment (`/gamma`, `/clob`, `/data`) or the host's name says which is
        meant; without either the path decides, and `/markets` is Gamma's unless it has the CLOB's `next_cursor`."""
        host, request = _told_host(request)
        _, first, *rest = (request.path + "/").split("/")
        if not host:
            if self._data.knows(request.path):
                host = "data"
            else:
                is_condition = bool(rest) and (rest[0].startswith("0x") or MarketId(rest[0]) in self._by_condition)
                is_gamma = first in ("markets", "events") and not is_condition and "next_cursor" not in request.query
                host = "gamma" if is_gamma or first in _SMALL_GAMMA else "clob"
        reads: dict[str, GammaReads | ClobReads | DataReads] = {"gamma": self._gamma, "clob": self._clob, "data": self._data}
        return reads[host].answer(request, now_ms)

    # -- what the real one sometimes does --

    def _special_faults(self) -> dict[str, Special]:
        return {
            "unknown-event": lambda _, __: self.fault_unknown_event(),
            "negative-level": self._negative_level,
            "crossed-book": self._crossed_book,
        }

    def _negative_level(self, fault: Fault, now_ms: int) -> None:
        """A level below zero, in an event that is good otherwise."""
        for session, books, outcome in self._followed(fault.market):
            event = wire.price_change_event(books, [LevelChange(books.market.yes_key, Side.BUY, Micros(10_000), ZERO)], now_ms)
            (change,) = event["price_changes"]
            change |= {"asset_id": outcome, "size": "-5"}
            session.push(msgspec.json.encode(event))

    def _crossed_book(self, fault: Fault, now_ms: int) -> None:
        """A whole book with a bid at its best ask, and the hash that belongs to it."""
        for session, books, outcome in self._followed(fault.market):
            body = wire.book_object(books, outcome)
            ask = body["asks"][-1]["price"] if body["asks"] else "0.5"
            crossed = body | {
                "hash": "",
                "bids": [*body["bids"], {"price": ask, "size": "10"}],
                "asks": body["asks"] or [{"price": ask, "size": "5"}],
            }
            crossed["hash"] = wire.book_hash(crossed)
            session.push(msgspec.json.encode({"event_type": "book", **crossed}))

    def _followed(self, condition: str) -> Iterator[tuple[MarketSession, MarketBooks, OutcomeId]]:
        """For each session an outcome of this market that it follows; of its first in the listing, where none is named."""
        for session in tuple(self.sessions):
            for outcome, books in self.by_asset.items():
                if outcome in session.assets and condition in ("", books.market.key.market):
                    yield session, books, outcome
                    break

    def fault_stall(self) -> None:
        """Every open session goes on answering PING and tells nothing more."""
        for session in self.sessions:
            session.silent = True

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
            session.push(frame)

    def fault_unknown_event(self) -> None:
        """An event of a type that no sheet lists."""
        self.fault_send(b'{"event_type":"moon_phase","market":"0x0","phase":{"name":"full"},"timestamp":"1"}')

    def fault_unknown_fields(self) -> None:
        """Books with fields that no sheet lists, to everyone who subscribed to them."""
        for outcome, books in self.by_asset.items():
            self._push(outcome, wire.book_event(books, outcome) | {"shape": {"of": ["things"]}, "to_come": 1})

    def fault_malformed(self) -> None:
        """A frame that breaks off."""
        self.fault_send(b'{"event_type":"book","market":"0x')

    def fault_duplicate(self) -> None:
        """Each session hears its last event again."""
        for session in self.sessions:
            if session.last_frame:
                session.push(session.last_frame)

    def change_tick(self, condition: MarketId, tick: Micros, now_ms: int) -> None:
        """A market's price grid changes; a fresh `book` follows at once."""
        ticks = (TickRange(tick, Micros(ONE - tick), tick),)
        self.apply(TicksChanged(MarketKey(POLYMARKET, condition), ticks), now_ms)


def _told_host(request: Request) -> tuple[str, Request]:
    """Which interface a request names, if it does, and the request without that name."""
    _, first, *_ = (request.path + "/").split("/")
    if first in ("gamma", "clob", "data"):
        return first, msgspec.structs.replace(request, path=request.path.removeprefix(f"/{first}") or "/")
    return _HOSTS.get(request.headers.get("host", "").partition(".")[0], ""), request


def _refused(status: int, retry_after_s: int) -> Response:
    """429 and 503 as this venue words them; its limiter tells its tier and what is left (sheet, A10)."""
    headers = (("Retry-After", str(retry_after_s)),) if retry_after_s else ()
    if status == 429:
        limits = (
            ("Poly-RateLimit-Remaining", "0"),
            ("Poly-RateLimit-Reset", str(max(1, retry_after_s))),
            ("Poly-RateLimit-Tier", "standard"),
        )
        return json_response({"error": "Too Many Requests"}, status, headers + limits)
    return json_response({"error": "Service temporarily unavailable"}, status, headers)
