"""The WebSocket: its subscription, what arrives on it, and what watches over it."""

from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec
import trio

from arbiter.domain.book import BooksInvalid, ProofOfLife
from arbiter.domain.ids import KALSHI
from arbiter.domain.market import Market
from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Emit
from arbiter.venues.heartbeat import Heartbeat
from arbiter.venues.kalshi.hosts import KalshiPace
from arbiter.venues.kalshi.wire import FrameDecoder, SequenceGap, SubscriptionFailed
from arbiter.venues.one_error import one_error
from arbiter.venues.tally import Tally
from arbiter.venues.websocket import WebSocket
from arbiter.venues.wire_numbers import MalformedFrame

SOCKET_PATH = "/trade-api/ws/v2"


class Connection:
    """One open WebSocket and the markets that are followed on it."""

    def __init__(
        self,
        socket: WebSocket,
        markets: Mapping[str, Market],
        emit: Emit,
        monotonic: Callable[[], float],
        pace: KalshiPace,
        tally: Tally,
    ) -> None:
        self._socket = socket
        self._tickers = list(markets)
        self._decoder = FrameDecoder(markets)
        self._emit = emit
        self._pace = pace
        self._tally = tally
        self._life = ProofOfLife(KALSHI)
        self._heartbeat = Heartbeat(KALSHI, monotonic, socket.ping, every=pace.ping, dead=pace.dead, name="sign of life")
        self._any_book = False

    async def run(self) -> NoReturn:
        """Until the connection ends; always with VenueUnavailable."""
        with one_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._subscribe)
                nursery.start_soon(self._heartbeat.watch)
                nursery.start_soon(self._await_book)
                await self._socket.listen(self._on_message, self._on_alive)
        raise VenueUnavailable(KALSHI, "the stream ended")

    async def _subscribe(self) -> None:
        """In portions; later ones merge into the first one's subscription (B8)."""
        size = self._pace.tickers_per_command
        for number, start in enumerate(range(0, len(self._tickers), size), 1):
            params = {
                "channels": ["orderbook_delta"],
                "market_tickers": self._tickers[start : start + size],
                "use_yes_price": False,  # the default is announced to flip, so it is always said
            }
            await self._socket.send_text(msgspec.json.encode({"id": number, "cmd": "subscribe", "params": params}))

    # -- what arrives --

    def _on_alive(self) -> None:
        self._heartbeat.beat()
        self._emit(self._life)

    def _on_message(self, frame: bytes) -> None:
        self._tally.frames += 1
        unknown = self._decoder.unknown_events
        try:
            events = self._decoder.decode(frame)
        except SequenceGap as gap:
            self._tally.gaps += 1
            self._give_up(str(gap))
        except SubscriptionFailed as error:
            self._give_up(str(error))
        except MalformedFrame as error:
            self._tally.malformed(frame, str(error))
            self._give_up("a malformed frame")
        self._tally.unknown_events += self._decoder.unknown_events - unknown
        if not events:
            self._on_alive()
            return
        self._any_book = True
        self._heartbeat.beat()
        for event in events:  # each is proof of life in itself
            self._emit(event)

    def _give_up(self, reason: str) -> NoReturn:
        """Every book of the connection is invalid, and only a new connection is sure to heal them (B8)."""
        self._emit(BooksInvalid(reason))
        raise VenueUnavailable(KALSHI, reason) from None

    # -- what watches --

    async def _await_book(self) -> None:
        """A quiet market sends nothing for minutes, but its book comes first."""
        first_book = self._pace.first_book
        await trio.sleep(first_book)
        if not self._any_book:
            raise VenueUnavailable(KALSHI, f"no book within {first_book:g} s")
