"""The WebSocket: its subscriptions, what its frames lead to, and what watches over it. Runs until the connection is lost."""

from collections.abc import Callable, Iterable
from typing import NoReturn

import trio

from arbiter.domain.ids import KALSHI, OutcomeKey
from arbiter.domain.market_events import BooksInvalid, Connected
from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Followed, FollowList, Listener, Surroundings
from arbiter.venues.heartbeat import Heartbeat
from arbiter.venues.kalshi import wire
from arbiter.venues.kalshi.frames import BadBook, FrameReader, SubscriptionFailed
from arbiter.venues.kalshi.hosts import KalshiPace
from arbiter.venues.kalshi.subscriptions import SequenceGap, Subscriptions
from arbiter.venues.one_error import one_error
from arbiter.venues.reconnecting import Backoff
from arbiter.venues.tally import Tally
from arbiter.venues.websocket import WebSocket
from arbiter.venues.wire_numbers import MalformedFrame

SOCKET_PATH = "/trade-api/ws/v2"
LINE = 0
WATCH_SECONDS = 1.0
AUTH_REQUIRED = 9
UNANSWERED = 4_096
"""Commands and repairs that may wait to be sent; beyond it the connection makes no headway and is made anew."""


class Connection:
    """One open WebSocket and the markets that are followed on it."""

    def __init__(
        self,
        socket: WebSocket,
        follow: FollowList,
        listener: Listener,
        surroundings: Surroundings,
        pace: KalshiPace,
        tally: Tally,
        fees_changed: Callable[[wire.FeeBody], None],
        mute: set[str],
    ) -> None:
        """`mute`: markets whose book did not come though a connection was made anew for it. It outlives the connection."""
        self._socket = socket
        self._follow = follow
        self._listener = listener
        self._monotonic = surroundings.monotonic
        self._pace = pace
        self._tally = tally
        self._subscriptions = Subscriptions(pace.tickers_per_command)
        self._reader = FrameReader(self._subscriptions, listener, tally, fees_changed)
        self._heartbeat = Heartbeat(KALSHI, self._monotonic, socket.ping, every=pace.ping, dead=pace.dead, name="sign of life")
        self._commands, self._to_send = trio.open_memory_channel[bytes](UNANSWERED)
        self._resync = trio.Event()
        self._backoff = Backoff(surroundings.random)
        self._awaited: dict[str, float] = {}
        """Markets whose book is to come, and since when."""
        self._asked: set[str] = set()
        """Those of them that were asked for again."""
        self._crossed: dict[str, float] = {}
        """Markets with a crossed book, and since when."""
        self._mute = mute

    async def run(self) -> NoReturn:
        """Until the connection ends; always with VenueUnavailable."""
        self._adopt()
        with one_error():
            async with trio.open_nursery() as nursery:
                for task in (self._send_commands, self._follow_changes, self._resync_for_ever, self._watch, self._heartbeat.watch):
                    nursery.start_soon(task)
                await self._socket.listen(self._on_message, self._on_alive)
        raise VenueUnavailable(KALSHI, "the stream ended")

    # -- what is followed --

    def _adopt(self) -> None:
        """Subscribe to everything that is wanted now."""
        self._listener.tell(Connected(KALSHI, LINE, ()))
        if wire.LIFE in self._pace.channels:
            self._send(self._subscriptions.subscribe(wire.LIFE))
        self._take_on(self._wanted())

    def _wanted(self) -> dict[str, Followed]:
        return {key.market: followed for key, followed in self._follow.markets.items()}

    def _take_on(self, more: dict[str, Followed]) -> None:
        if not more:
            return
        self._reader.follow(more)
        self._listener.tell(Connected(KALSHI, LINE, _outcomes(more.values())))
        for channel in self._pace.channels:
            if channel != wire.LIFE:
                self._send(self._subscriptions.subscribe(channel, more))
        self._await(more)

    def _let_go(self, gone: Iterable[str]) -> None:
        dropped = list(gone)
        for ticker in dropped:
            self._reader.drop(ticker)
            self._awaited.pop(ticker, None)
            self._crossed.pop(ticker, None)
            self._asked.discard(ticker)
            self._mute.discard(ticker)
        for channel in self._pace.channels:
            if channel != wire.LIFE:
                self._send(self._subscriptions.delete(channel, dropped))

    async def _follow_changes(self) -> None:
        """Looks before it waits: the list may have changed since it was adopted."""
        while True:
            self._catch_up()
            await self._follow.changed()

    def _catch_up(self) -> None:
        """From what is followed to what is wanted."""
        wanted = self._wanted()
        self._let_go([ticker for ticker in self._markets if ticker not in wanted])
        rebooked = {ticker: wanted[ticker] for ticker, each in self._markets.items() if not _same_books(each, wanted[ticker])}
        self._reader.follow({ticker: wanted[ticker] for ticker in self._markets})  # the market itself may be another one now
        self._fill(rebooked)
        self._take_on({ticker: each for ticker, each in wanted.items() if ticker not in self._markets})

    def _fill(self, rebooked: dict[str, Followed]) -> None:
        """Markets that are wanted with other books than before: the subscription goes on, their books are asked for."""
        if rebooked:
            self._listener.tell(Connected(KALSHI, LINE, _outcomes(rebooked.values())))
            self._send(self._subscriptions.ask_again(tuple(rebooked)))
            self._await(rebooked)

    @property
    def _markets(self) -> dict[str, Followed]:
        return self._reader.markets

    def _await(self, tickers: Iterable[str]) -> None:
        now = self._monotonic()
        for ticker in tickers:
            self._awaited[ticker] = now
            self._asked.discard(ticker)

    # -- commands: written where they are decided, sent by one task --

    def _send(self, commands: Iterable[bytes]) -> None:
        try:
            for command in commands:
                self._commands.send_nowait(command)
        except trio.WouldBlock:
            raise VenueUnavailable(KALSHI, "the venue takes no more commands") from None

    async def _send_commands(self) -> None:
        async for command in self._to_send:
            await self._socket.send_text(command)

    # -- what arrives --

    def _on_alive(self) -> None:
        self._heartbeat.beat()
        self._listener.alive(LINE)

    def _on_message(self, frame: bytes) -> None:
        self._tally.frames += 1
        try:
            told = self._reader.read(frame)
        except SequenceGap as gap:
            self._tally.gaps += 1
            self._gap(gap)
        except MalformedFrame as error:
            self._tally.malformed(frame, str(error))
            self._doubt_all("a malformed frame")
        except BadBook as error:
            self._tally.malformed(frame, str(error))
            self._doubt(error.ticker, str(error))
        except SubscriptionFailed as error:
            self._failed(error)
        else:
            if told:
                self._heartbeat.beat()
                return
        self._on_alive()

    def _gap(self, gap: SequenceGap) -> None:
        """A lost change of a book is never made good. A lost trade is lost, and a market's change shows in the next catalogue."""
        if self._subscriptions.channel_of(gap.sid) in (None, wire.BOOKS):
            self._doubt_all(str(gap))
        else:
            self._subscriptions.go_on(gap.sid, gap.seq)

    def _doubt_all(self, reason: str) -> None:
        """Every book of the subscription is invalid until it is made anew."""
        self._listener.tell(BooksInvalid(reason, _outcomes(self._markets.values())))
        self._send(self._subscriptions.retire(wire.BOOKS))
        self._resync.set()

    def _doubt(self, ticker: str, reason: str) -> None:
        """One book is invalid, and asked for once more."""
        followed = self._markets.get(ticker)
        if followed is not None and followed.yes.trusted:
            self._listener.tell(BooksInvalid(reason, _outcomes((followed,))))
            self._await((ticker,))
            self._send(self._subscriptions.ask_again((ticker,)))

    def _failed(self, error: SubscriptionFailed) -> None:
        """A refused portion is asked for in halves, so that one bad market does not cost the others; what ended is made anew (B8)."""
        if error.code == AUTH_REQUIRED:
            raise VenueUnavailable(KALSHI, f"the key was refused ({error})") from None
        if not error.number:
            self._ended(self._subscriptions.channel_of(error.sid), str(error))
            return
        refused = self._subscriptions.refused(error.number)
        if refused is None:  # it did not give up, or repeat, what it does not know; what is missing for it is looked after
            self._tally.unknown(f"refusal {error.code}")
            return
        channel, tickers = refused
        self._tally.refused(f"{channel} of {len(tickers)} markets: {error}")
        half = len(tickers) // 2
        if half:
            for portion in (tickers[:half], tickers[half:]):
                self._send(self._subscriptions.subscribe(channel, portion))
        elif channel == wire.BOOKS and tickers:
            self._awaited.pop(tickers[0], None)  # there is no such book; it stays untrusted

    def _ended(self, channel: str | None, reason: str) -> None:
        """Error 10 or 25: what ended is made anew; where the venue does not say what did, everything (B8)."""
        if channel is not None:
            self._subscriptions.lost(channel)
        if channel == wire.BOOKS:
            self._tally.gaps += 1
            self._doubt_all(reason)
        elif channel is not None:
            self._send(self._subscriptions.subscribe(channel, () if channel == wire.LIFE else self._markets))
        else:
            raise VenueUnavailable(KALSHI, reason)

    # -- what watches --

    async def _resync_for_ever(self) -> None:
        """Subscribe anew to all books: at once, and with growing pauses where that does not last."""
        resynced_at = float("-inf")
        while True:
            await self._resync.wait()
            wait = self._backoff.after(self._monotonic() - resynced_at)
            if self._backoff.failures > 1:
                await trio.sleep(wait)
            self._resync = trio.Event()
            resynced_at = self._monotonic()
            self._send(self._subscriptions.retire(wire.BOOKS))
            self._send(self._subscriptions.subscribe(wire.BOOKS, self._markets))
            self._await(self._markets)

    async def _watch(self) -> None:
        while True:
            await trio.sleep(WATCH_SECONDS)
            self._look_for_missing()
            self._look_for_crossed()

    def _look_for_missing(self) -> None:
        """Books that do not come are asked for once more, and then by a new connection. One that does not come over that one
        either is asked for now and then, and costs the others no more."""
        now, reader = self._monotonic(), self._reader
        for ticker in reader.arrived:
            self._awaited.pop(ticker, None)
            self._asked.discard(ticker)
            self._mute.discard(ticker)
        reader.arrived.clear()
        if self._resync.is_set():
            return
        overdue = [ticker for ticker, since in self._awaited.items() if now - since > self._pace.first_book]
        if not overdue:
            return
        asked_in_vain = self._asked.intersection(overdue)
        if not asked_in_vain <= self._mute or len(overdue) == len(self._markets):
            self._mute |= asked_in_vain
            raise VenueUnavailable(KALSHI, f"no book within {self._pace.first_book:g} s")
        self._tally.resubscribed += len(overdue)
        self._await(overdue)
        self._asked.update(overdue)
        for ticker in self._mute.intersection(overdue):
            self._awaited[ticker] = now + self._pace.mute - self._pace.first_book
            self._send(self._subscriptions.ask_again((ticker,)))  # by itself, so that its refusal is no other's
        self._send(self._subscriptions.ask_again([ticker for ticker in overdue if ticker not in self._mute]))

    def _look_for_crossed(self) -> None:
        """A book that stays crossed is wrong: at the venue such orders would have met."""
        now, touched = self._monotonic(), self._reader.touched
        for ticker in {*touched, *self._crossed}:
            followed = self._markets.get(ticker)
            if followed is None or not followed.yes.crossed:
                self._crossed.pop(ticker, None)
            elif now - self._crossed.setdefault(ticker, now) >= self._pace.crossed:
                del self._crossed[ticker]
                self._tally.crossed_books += 1
                self._doubt(ticker, "a crossed book")
        touched.clear()


def _same_books(one: Followed, other: Followed) -> bool:
    return one.yes is other.yes and one.no is other.no


def _outcomes(followed: Iterable[Followed]) -> tuple[OutcomeKey, ...]:
    return tuple(key for each in followed for key in (each.market.yes_key, each.market.no_key))
