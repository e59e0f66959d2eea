"""Polymarket's market data over its real protocols: pages of Gamma, and market sockets sharded by token."""

from collections.abc import Sequence
from typing import NoReturn

import msgspec
import structlog
import trio

from arbiter.domain.book import BooksInvalid, BookSnapshot, ProofOfLife, TickSizeChanged
from arbiter.domain.ids import POLYMARKET, OutcomeKey
from arbiter.domain.market import Market
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Capabilities, Emit, Network, Surroundings
from arbiter.venues.once_a_minute import OnceAMinute
from arbiter.venues.polymarket.metadata import MarketsPage, to_market
from arbiter.venues.polymarket.wire import PONG, FrameDecoder
from arbiter.venues.rest import RestClient
from arbiter.venues.websocket import WebSocket, connected
from arbiter.venues.wire_numbers import MalformedFrame

PAGE = 100
TOKENS_PER_SOCKET = 400
"""Silent stalls are reported above 200 to 500 tokens a connection (A7.1)."""
PING_SECONDS = 10.0
PONG_SECONDS = 30.0
FIRST_BOOK_SECONDS = 30.0
QUIET_SECONDS = 5.0
"""A socket that told nothing for this long is compared with REST: a PONG alone proves nothing (A12, silent freeze)."""
COMPARED_TOKENS = 50
RECHECK_SECONDS = 1.0


class PolymarketHosts(msgspec.Struct, frozen=True):
    """Where the venue is. The defaults are production."""

    gamma_url: str = "https://gamma-api.polymarket.com"
    clob_url: str = "https://clob.polymarket.com"
    ws_url: str = "wss://ws-subscriptions-clob.polymarket.com"


class _BookHash(msgspec.Struct):
    asset_id: str
    hash: str = ""


class Polymarket:
    """`Venue`, market data. See `venues/base.py` for the contract of each method."""

    name = POLYMARKET
    capabilities = Capabilities(nets_outcomes=False, sequenced=False)

    def __init__(self, hosts: PolymarketHosts, network: Network, surroundings: Surroundings) -> None:
        self._hosts = hosts
        self._network = network
        self._surroundings = surroundings
        self._gamma = RestClient(self.name, hosts.gamma_url, network, surroundings.random)
        self._clob = RestClient(self.name, hosts.clob_url, network, surroundings.random)
        self._counts = {"frames": 0, "unknown_events": 0, "malformed_frames": 0, "gaps": 0, "connections": 0}
        self._malformed_log = OnceAMinute(surroundings)
        self._log = structlog.get_logger(venue=self.name)

    def statistics(self) -> dict[str, int]:
        return dict(self._counts)

    async def catalogue(self) -> list[Market]:
        found: list[Market] = []
        cursor: str | None = None
        while True:
            params = [("limit", str(PAGE)), ("closed", "false"), *([("after_cursor", cursor)] if cursor else [])]
            page = await self._gamma.get("/markets/keyset", MarketsPage, params)
            found += [market for raw in page.markets if (market := to_market(raw)) is not None]
            if not page.next_cursor or not page.markets:
                return found
            if page.next_cursor == cursor:
                raise VenueRejected(self.name, "the catalogue's cursor does not move on")
            cursor = page.next_cursor

    async def stream_books(self, markets: Sequence[Market], emit: Emit) -> NoReturn:
        outcomes: dict[str, OutcomeKey] = {key.outcome: key for market in markets for key in (market.yes_key, market.no_key)}
        tokens = list(outcomes)
        shards = [tokens[i : i + TOKENS_PER_SOCKET] for i in range(0, len(tokens), TOKENS_PER_SOCKET)]
        try:
            async with trio.open_nursery() as nursery:
                for shard in shards:
                    connection = _Connection(self, {token: outcomes[token] for token in shard}, emit)
                    nursery.start_soon(connection.run)
        except* VenueUnavailable as group:
            raise _first(group) from None
        raise VenueUnavailable(self.name, "there is nothing to follow")


class _Connection:
    """One market socket and what watches over it."""

    def __init__(self, venue: Polymarket, outcomes: dict[str, OutcomeKey], emit: Emit) -> None:
        self._venue = venue
        self._outcomes = outcomes
        self._emit = emit
        self._decoder = FrameDecoder(outcomes)
        self._monotonic = venue._surroundings.monotonic
        self._waiting = set(outcomes.values())
        """Outcomes whose first book has not come."""
        self._again: list[str] = []
        """Tokens to subscribe anew, to get a fresh book."""
        self._frame_at = self._pong_at = self._monotonic()
        self._life = ProofOfLife(venue.name)

    async def run(self) -> None:
        url = f"{self._venue._hosts.ws_url}/ws/market"
        async with connected(self._venue.name, self._venue._network, url) as socket:
            self._venue._counts["connections"] += 1
            self._frame_at = self._pong_at = self._monotonic()
            await self._subscribe(socket, list(self._outcomes), first=True)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_alive, socket)
                    nursery.start_soon(self._watch)
                    await socket.listen(self._on_message, lambda: None)
            except* VenueUnavailable as group:
                raise _first(group) from None

    async def _subscribe(self, socket: WebSocket, tokens: list[str], *, first: bool = False) -> None:
        kind = {"type": "market"} if first else {"operation": "subscribe"}
        await socket.send_text(msgspec.json.encode({**kind, "assets_ids": tokens, "custom_feature_enabled": False}))

    # -- what arrives --

    def _on_message(self, frame: bytes) -> None:
        venue = self._venue
        if frame == PONG:
            self._pong_at = self._monotonic()
            return
        venue._counts["frames"] += 1
        self._frame_at = self._monotonic()
        unknown = self._decoder.unknown_events
        try:
            events = self._decoder.decode(frame)
        except MalformedFrame as error:
            venue._counts["malformed_frames"] += 1
            if venue._malformed_log.now():
                venue._log.warning("malformed frame", problem=str(error)[:200], frame=bytes(frame[:200]))
            raise VenueUnavailable(venue.name, "a malformed frame") from error
        venue._counts["unknown_events"] += self._decoder.unknown_events - unknown
        self._emit(self._life)
        for event in events:
            self._emit(event)
            if isinstance(event, BookSnapshot):
                self._waiting.discard(event.outcome)
            elif isinstance(event, TickSizeChanged):
                self._ask_again(event)

    def _ask_again(self, event: TickSizeChanged) -> None:
        """The old grid's books are invalid; a new subscription brings fresh ones."""
        keys = {token: key for token, key in self._outcomes.items() if key.market_key == event.market}
        self._emit(BooksInvalid("the tick size changed", tuple(keys.values())))
        self._waiting.update(keys.values())
        self._again += keys

    # -- what watches --

    async def _keep_alive(self, socket: WebSocket) -> None:
        last_ping = self._monotonic()
        while True:
            await trio.sleep(0.25)
            if self._again:
                tokens, self._again = self._again, []
                unsubscribe = {"operation": "unsubscribe", "assets_ids": tokens}
                await socket.send_text(msgspec.json.encode(unsubscribe))
                await self._subscribe(socket, tokens)
            if self._monotonic() - last_ping >= PING_SECONDS:
                last_ping = self._monotonic()
                await socket.send_text(b"PING")

    async def _watch(self) -> None:
        began = self._monotonic()
        while True:
            await trio.sleep(1.0)
            now = self._monotonic()
            if now - self._pong_at > PONG_SECONDS:
                raise VenueUnavailable(self._venue.name, f"no PONG for {PONG_SECONDS:g} s")
            if not self._waiting:
                began = now
            elif now - began > FIRST_BOOK_SECONDS:
                raise VenueUnavailable(self._venue.name, f"{len(self._waiting)} books did not come within {FIRST_BOOK_SECONDS:g} s")
            if now - self._frame_at > QUIET_SECONDS:
                await self._compare_with_rest()

    async def _compare_with_rest(self) -> None:
        """Silence is proof of life only if REST has the very books that the socket told last."""
        frame_at = self._frame_at
        if await self._differs():
            await trio.sleep(RECHECK_SECONDS)  # a frame may have been on its way
            if self._frame_at == frame_at and await self._differs():
                raise VenueUnavailable(self._venue.name, "the socket is silent while the books move on")
        if self._frame_at == frame_at:
            self._frame_at = self._monotonic()
            self._emit(self._life)

    async def _differs(self) -> bool:
        tokens = self._venue._surroundings.random.sample(sorted(self._decoder.hashes), min(COMPARED_TOKENS, len(self._decoder.hashes)))
        books = await self._venue._clob.post("/books", [{"token_id": token} for token in tokens], list[_BookHash])
        return any(book.hash != self._decoder.hashes.get(book.asset_id) for book in books)


def _first(group: BaseExceptionGroup[VenueUnavailable]) -> VenueUnavailable:
    """One error for all: connections that end together end for one reason."""
    error = group.exceptions[0]
    return error if isinstance(error, VenueUnavailable) else _first(error)
