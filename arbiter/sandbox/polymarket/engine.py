"""The Polymarket engine: requests in, responses out; world events in, socket messages out. No I/O, no clock."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from arbiter.domain.book import LevelChange, PublicTrade, Side
from arbiter.domain.ids import MarketId, OutcomeId
from arbiter.domain.market import Market, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.sandbox.books import MarketBooks, mirrored
from arbiter.sandbox.faults import Fault, Faults, Special
from arbiter.sandbox.http import Deferred, Request, Response, Socket, json_response
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.polymarket.clob import ClobReads, error
from arbiter.sandbox.polymarket.gamma import GammaReads
from arbiter.sandbox.polymarket.session import MarketSession
from arbiter.sandbox.world import WorldEvent

SOCKET_PATH = "/ws/market"


class PolymarketEngine:
    """All of the venue: markets, books, sessions. The `fault_*` methods do what the real one sometimes does."""

    def __init__(self, markets: Iterable[Market]) -> None:
        listed = [MarketBooks(market) for market in markets]
        self.by_asset: dict[OutcomeId, MarketBooks] = {o.id: b for b in listed for o in (b.market.yes, b.market.no)}
        self.sessions: dict[MarketSession, None] = {}
        """In the order in which they came, so that a run can be repeated."""
        self._by_condition = {b.market.key.market: b for b in listed}
        self._clob = ClobReads(self.by_asset)
        self._gamma = GammaReads(listed)
        self.faults = Faults(_refused, self._special_faults())

    # -- the world --

    def apply(self, event: WorldEvent, now_ms: int) -> None:
        """Fold in what happened and tell who subscribed."""
        books = self.by_asset[event.outcome.outcome]
        before = books.touch
        books.apply(event, now_ms)
        if isinstance(event, LevelChange):
            self._push_changes(books, [event, mirrored(event, books.market.no_key, books.market.payout)], now_ms)
        else:
            if isinstance(event, PublicTrade):
                self._push(books.market.yes.id, wire.trade_event(books.market, event, now_ms))
            self._push_books(books)
        if books.touch != before:
            self._push_best(books, now_ms)

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
        """Gamma and CLOB share a port here; `/markets/{x}` is the CLOB's where x is a condition."""
        _, first, *rest = (request.path + "/").split("/")
        is_gamma = first in ("markets", "events") and not (rest and (rest[0].startswith("0x") or self._clob.knows(rest[0])))
        return (self._gamma if is_gamma else self._clob).answer(request, now_ms)

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
        books = self._by_condition[condition]
        old = wire.tick_of(books.market)
        books.market = msgspec.structs.replace(books.market, ticks=(TickRange(tick, Micros(ONE - tick), tick),))
        for outcome in (books.market.yes.id, books.market.no.id):
            self._push(outcome, wire.tick_size_event(books.market, outcome, old, tick, now_ms))
        self._push_books(books)


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
