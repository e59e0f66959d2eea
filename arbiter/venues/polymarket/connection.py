"""One market socket: its subscription, what arrives on it, and what watches that it tells the truth."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec
import trio

from arbiter.domain.book import BooksInvalid, BookSnapshot, Connected, ProofOfLife, TickSizeChanged
from arbiter.domain.ids import POLYMARKET, OutcomeKey
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Emit, Network, Surroundings
from arbiter.venues.heartbeat import Heartbeat
from arbiter.venues.one_error import one_error
from arbiter.venues.polymarket.hosts import PolymarketPace
from arbiter.venues.polymarket.wire import PONG, FrameDecoder, RestBook
from arbiter.venues.rest import RestClient
from arbiter.venues.tally import Tally
from arbiter.venues.websocket import WebSocket, connected
from arbiter.venues.wire_numbers import MalformedFrame

WATCH_SECONDS = 1.0
COMPARED_TOKENS = 50
"""Tokens of one REST comparison, drawn at random each time."""


@dataclass(frozen=True)
class Shared:
    """What the sockets of one stream have in common."""

    ws_url: str
    network: Network
    surroundings: Surroundings
    pace: PolymarketPace
    tally: Tally
    clob: RestClient
    emit: Emit


class Connection:
    """One market socket and what watches over it."""

    def __init__(self, shared: Shared, line: int, outcomes: Mapping[str, OutcomeKey]) -> None:
        self._shared = shared
        self._tally = shared.tally
        self._emit = shared.emit
        self._monotonic = shared.surroundings.monotonic
        self._outcomes = outcomes
        self._decoder = FrameDecoder(outcomes)
        self._line = line
        self._life = ProofOfLife(POLYMARKET, line)
        self._due: dict[str, float] = {}
        """Tokens whose book is awaited, and the monotonic second at which they are subscribed anew."""
        self._any_book = False
        self._heartbeat: Heartbeat
        self._began = self._frame_at = 0.0

    async def run(self) -> None:
        """Until the connection ends; always with VenueUnavailable."""
        pace, url = self._shared.pace, f"{self._shared.ws_url}/ws/market"
        async with connected(POLYMARKET, self._shared.network, url, tally=self._tally) as socket:
            self._tally.connections += 1
            self._emit(Connected(POLYMARKET, self._line, tuple(self._outcomes.values())))
            self._began = self._frame_at = self._monotonic()
            # protocol-level pings are no substitute (A7.1)
            self._heartbeat = Heartbeat(
                POLYMARKET, self._monotonic, lambda: socket.send_text(b"PING"), every=pace.ping, dead=pace.pong, name="PONG"
            )
            with one_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._subscribe, socket)
                    nursery.start_soon(self._heartbeat.watch)
                    nursery.start_soon(self._await_books, socket)
                    nursery.start_soon(self._compare_with_rest)
                    await socket.listen(self._on_message, _ignore)

    async def _subscribe(self, socket: WebSocket) -> None:
        self._await_again(self._outcomes, self._shared.pace.first_book)
        await _send(socket, {"type": "market", "assets_ids": list(self._outcomes)})

    def _await_again(self, tokens: Collection[str], seconds: float) -> None:
        self._due.update(dict.fromkeys(tokens, self._monotonic() + seconds))

    # -- what arrives --

    def _on_message(self, frame: bytes) -> None:
        if frame == PONG:
            self._heartbeat.beat()
            return
        self._tally.frames += 1
        self._frame_at = self._monotonic()
        unknown = self._decoder.unknown_events
        try:
            events = self._decoder.decode(frame)
        except MalformedFrame as error:
            self._tally.malformed(frame, str(error))
            self._emit(BooksInvalid("a malformed frame", tuple(self._outcomes.values())))
            raise VenueUnavailable(POLYMARKET, "a malformed frame") from error
        self._tally.unknown_events += self._decoder.unknown_events - unknown
        if not events:
            self._emit(self._life)
        for event in events:  # each is proof of life in itself
            self._emit(event)
            if isinstance(event, BookSnapshot):
                self._any_book = True
                self._due.pop(event.outcome.outcome, None)
            elif isinstance(event, TickSizeChanged):
                self._drop_old_grid(event)

    def _drop_old_grid(self, event: TickSizeChanged) -> None:
        """Books of the old grid are invalid until the next `book` (A7.2)."""
        keys = {token: key for token, key in self._outcomes.items() if key.market_key == event.market}
        self._emit(BooksInvalid("the tick size changed", tuple(keys.values())))
        self._decoder.forget(keys)
        self._await_again(keys, self._shared.pace.after_tick_change)

    # -- what watches --

    async def _await_books(self, socket: WebSocket) -> None:
        """No book at all: the connection is dead. One missing: subscribe to it anew, as other tokens are none the worse for it."""
        first_book = self._shared.pace.first_book
        while True:
            await trio.sleep(WATCH_SECONDS)
            now = self._monotonic()
            if not self._any_book and now - self._began > first_book:
                raise VenueUnavailable(POLYMARKET, f"no book within {first_book:g} s")
            overdue = [token for token, due in self._due.items() if now >= due] if self._any_book else []
            if overdue:
                self._tally.resubscribed += len(overdue)
                self._await_again(overdue, first_book)
                await _send(socket, {"operation": "unsubscribe", "assets_ids": overdue})
                await _send(socket, {"operation": "subscribe", "assets_ids": overdue})

    async def _compare_with_rest(self) -> None:
        """A PONG proves nothing (A12, silent freeze): the books that the socket told last must be those that REST has.

        Asked when the socket is quiet, since silence is proof of life only then, and now and then when it is not.
        """
        pace, compared_at = self._shared.pace, self._monotonic()
        while True:
            await trio.sleep(WATCH_SECONDS)
            quiet_since, now = max(self._frame_at, compared_at), self._monotonic()
            if now - quiet_since < pace.quiet and now - compared_at < pace.audit:
                continue
            frame_at = self._frame_at
            doubtful = await self._contradicted(self._sample())
            if doubtful:
                await trio.sleep(pace.recheck)
                if await self._contradicted(doubtful):
                    raise VenueUnavailable(POLYMARKET, "the socket is silent while the books move on")
            elif doubtful is not None and self._frame_at == frame_at:
                self._emit(self._life)
            compared_at = self._monotonic()

    def _sample(self) -> list[str]:
        told = sorted(self._decoder.told)
        return self._shared.surroundings.random.sample(told, min(COMPARED_TOKENS, len(told)))

    async def _contradicted(self, tokens: list[str]) -> list[str] | None:
        """Those of the tokens of which REST has a newer book. None where REST told nothing: neither proof of life nor of death."""
        if not tokens:
            return None
        try:
            books = await self._shared.clob.post("/books", [{"token_id": token} for token in tokens], list[RestBook])
            return [book.asset_id for book in books if self._decoder.contradicts(book)] if books else None
        except (VenueUnavailable, VenueRejected, MalformedFrame):
            return None


async def _send(socket: WebSocket, message: dict[str, object]) -> None:
    await socket.send_text(msgspec.json.encode({**message, "custom_feature_enabled": False}))


def _ignore() -> None:
    """Protocol pings and pongs prove nothing here."""
