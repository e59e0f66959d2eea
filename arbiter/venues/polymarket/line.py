"""One market socket: its tokens, its subscription, and what keeps it alive. It connects again by itself, and no other notices."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

import msgspec
import trio

from arbiter.domain.ids import POLYMARKET
from arbiter.domain.market_events import Connected, Disconnected
from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Listener, Network, Surroundings
from arbiter.venues.heartbeat import Heartbeat
from arbiter.venues.one_error import one_error
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.frames import FrameReader
from arbiter.venues.polymarket.hosts import PolymarketPace
from arbiter.venues.polymarket.repairs import Repairs
from arbiter.venues.polymarket.tokens import Token
from arbiter.venues.polymarket.wire import BookEvent
from arbiter.venues.reconnecting import keep_connected
from arbiter.venues.websocket import WebSocket, connected

LOOK_SECONDS = 0.5
LARGEST_MESSAGE = 3 * 1024 * 1024
"""The first books of so many tokens as one message names are about a sixth of it. At its worst (60,000 empty books) it holds up the
loop for 45 ms; 16 MB would for 400."""
PING = b"PING"
MOST_TOKENS_A_MESSAGE = 100
"""Of a subscription, since the venue may answer with all their books in one message, which is decoded without a pause."""


@dataclass(frozen=True)
class Shared:
    """What the lines of one stream have in common."""

    ws_url: str
    network: Network
    surroundings: Surroundings
    pace: PolymarketPace
    counters: Counters
    listener: Listener
    on_wrong_hash: Callable[[Token, BookEvent], None]
    listed: dict[str, None] = field(default_factory=dict)
    """New markets that were told, by whichever line heard of them first."""


class Line:
    """Lives until cancelled; its tokens may change at any time."""

    def __init__(self, shared: Shared, number: int) -> None:
        self.number = number
        self.tokens: dict[str, Token] = {}
        self.scope = trio.CancelScope()
        self._shared = shared
        self._pace = shared.pace
        self._monotonic = shared.surroundings.monotonic
        self._repairs = Repairs(shared.listener, shared.pace, shared.counters)
        self.reader = FrameReader(
            *(self.tokens, shared.listener, self._repairs, shared.counters, shared.listed, self._on_pong, shared.on_wrong_hash)
        )
        self._subscribed: dict[str, None] = {}
        """What the venue was asked for on this connection."""
        self._up = False
        self._to_say = trio.Event()
        """There is something to subscribe to, or to drop."""
        self._again: list[Token] = []
        self._failed = trio.Event()
        self._failure = ""
        self._began = 0.0
        self._beat: Callable[[], None] = _ignore

    # -- what is followed --

    @property
    def told_at(self) -> float:
        """When a frame came last, to half a second."""
        return self.reader.told_at

    def add(self, tokens: Iterable[Token]) -> None:
        """Follow these, too. Call `changed` after the last."""
        for token in tokens:
            token.line = self
            self.tokens[token.id] = token
            if token.id in self._subscribed:  # dropped just now, and wanted again with another book
                self._again.append(token)
            if self._up:
                self._repairs.wait_for((token,), self._monotonic() + self._pace.first_book)

    def drop(self, tokens: Iterable[Token]) -> None:
        """Follow these no longer. Call `changed` after the last."""
        for token in tokens:
            del self.tokens[token.id]
            self._repairs.forget(token)
            token.line = None
            token.book.trusted = False

    def changed(self, *, more: bool) -> None:
        """The tokens are others now; `more`: there are new ones among them."""
        if self._up and more:
            self._tell_connected()
        self._to_say.set()

    # -- what others see of it --

    def distrust(self, token: Token, reason: str, seconds: float | None = None) -> None:
        """Its book is wrong: it is subscribed anew, as soon as its patience allows or after so many seconds."""
        if self._up:
            self._repairs.distrust((token,), reason, self._monotonic(), seconds)

    def accept(self, token: Token, venue_ms: int) -> None:
        """Its book has just been replaced by one to be trusted, from elsewhere."""
        self.reader.accept(token, venue_ms)

    def fail(self, reason: str) -> None:
        """The connection is no good: make another."""
        self._failure = reason
        self._failed.set()

    # -- its life --

    async def run(self) -> None:
        """Connect, and connect again, until cancelled by `scope`."""
        with self.scope:
            await keep_connected(self._connect_once, self._lose, self._shared.surroundings, venue=POLYMARKET, line=self.number)
        self._lose("nothing is followed over it any more")

    def _lose(self, reason: str) -> None:
        """What came over this connection is worth nothing from now on."""
        self._up = False
        self.reader.look(self._monotonic())
        self._repairs.clear()
        self._shared.listener.tell(Disconnected(POLYMARKET, self.number, reason))
        for token in self.tokens.values():
            token.book.invalidate()
            token.patience = 0.0

    async def _connect_once(self) -> NoReturn:
        """Until the connection ends; always with VenueUnavailable."""
        shared = self._shared
        url = f"{shared.ws_url}/ws/market"
        async with connected(POLYMARKET, shared.network, url, tally=shared.counters, largest=LARGEST_MESSAGE) as socket:
            self._begin()
            heartbeat = Heartbeat(
                POLYMARKET, self._monotonic, partial(socket.send_text, PING), every=self._pace.ping, dead=self._pace.pong, name="PONG"
            )
            self._beat = heartbeat.beat
            with one_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._subscribe, socket)
                    nursery.start_soon(self._watch, socket)
                    nursery.start_soon(heartbeat.watch)
                    nursery.start_soon(self._end_when_failed)
                    try:
                        await socket.listen(self.reader.read, _ignore)
                    finally:
                        self.reader.count_frames()
        raise VenueUnavailable(POLYMARKET, "the connection ended")

    def _begin(self) -> None:
        now = self._monotonic()
        self._shared.counters.connections += 1
        self._up = True
        self._began = now
        self.reader.books = 0
        self.reader.look(now)
        self._failed, self._again, self._subscribed = trio.Event(), [], {}
        self._repairs.wait_for(self.tokens.values(), now + self._pace.first_book)
        self._tell_connected()

    def _tell_connected(self) -> None:
        self._shared.listener.tell(Connected(POLYMARKET, self.number, tuple(token.key for token in self.tokens.values())))

    # -- what is said --

    async def _subscribe(self, socket: WebSocket) -> None:
        """The first messages name all tokens; later ones what is new, what is gone, and what is wanted anew."""
        self._subscribed = dict.fromkeys(self.tokens)
        tokens = list(self._subscribed)
        await _send(socket, {"type": "market", "assets_ids": tokens[:MOST_TOKENS_A_MESSAGE]})
        await _send_all(socket, "subscribe", tokens[MOST_TOKENS_A_MESSAGE:])
        while True:
            await self._to_say.wait()
            self._to_say = trio.Event()
            again = [token.id for token in self._again if token.id in self.tokens]
            gone = [token for token in self._subscribed if token not in self.tokens]
            new = [token for token in self.tokens if token not in self._subscribed]
            self._again, self._subscribed = [], dict.fromkeys(self.tokens)
            await _send_all(socket, "unsubscribe", gone + again)
            await _send_all(socket, "subscribe", new + again)

    def _on_pong(self) -> None:
        """Text PINGs and PONGs: protocol-level ones are no substitute (A7.1)."""
        self._beat()
        self._shared.listener.alive(self.number)

    # -- what watches --

    async def _watch(self, socket: WebSocket) -> None:
        """No book at all: the connection is dead. One that is missing or wrong: subscribe to it anew, others are none the worse for it."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            now = self._monotonic()
            self.reader.look(now)
            if not self.reader.books and self.tokens and now - self._began > self._pace.first_book:
                raise VenueUnavailable(POLYMARKET, f"no book within {self._pace.first_book:g} s")
            due = self._repairs.due(now) if len(self._repairs) else []
            if due:
                self._again += due
                self._to_say.set()

    async def _end_when_failed(self) -> None:
        await self._failed.wait()
        raise VenueUnavailable(POLYMARKET, self._failure)


async def _send_all(socket: WebSocket, operation: str, tokens: list[str]) -> None:
    for start in range(0, len(tokens), MOST_TOKENS_A_MESSAGE):
        await _send(socket, {"operation": operation, "assets_ids": tokens[start : start + MOST_TOKENS_A_MESSAGE]})


async def _send(socket: WebSocket, message: dict[str, object]) -> None:
    await socket.send_text(msgspec.json.encode({**message, "custom_feature_enabled": True}))


def _ignore() -> None:
    """Protocol pings and pongs prove nothing here."""
