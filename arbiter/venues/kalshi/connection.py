"""The WebSocket: its subscriptions, what its frames lead to, and what watches over it. Runs until the connection is lost."""

from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

import trio

from arbiter.domain.ids import KALSHI, OutcomeKey
from arbiter.domain.market_events import BooksInvalid, Connected
from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Followed, FollowList, FollowMark, Listener, Surroundings
from arbiter.venues.heartbeat import Heartbeat
from arbiter.venues.kalshi import wire
from arbiter.venues.kalshi.awaited import AwaitedBooks
from arbiter.venues.kalshi.frames import BadBook, FrameReader, StaleBook, SubscriptionFailed
from arbiter.venues.kalshi.hosts import KalshiPace
from arbiter.venues.kalshi.probes import Probes
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
LARGEST_MESSAGE = 4 * 1024 * 1024
"""The list of 50,000 markets that confirms a subscription is half of it; a book at every price of the finest grid an eighth."""
MOST_MALFORMED = 200
"""Frames without sense within a second; beyond it the connection is given up, and tried again ever more seldom."""
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
        probes: Probes,
    ) -> None:
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
        self._awaited = AwaitedBooks(pace.first_book, pace.longest_again)
        self._crossed: dict[str, float] = {}
        """Markets with a crossed book, and since when."""
        self._mark: FollowMark | None = None
        self._malformed = 0
        """Frames without sense since the last look."""
        self._doubted_at = -1
        """How many books had come when all were doubted last."""
        self._next_seq: int | None = None
        """Of the books' subscription, at the last look."""
        self._told_at = self._monotonic()
        """When it was another one last."""
        self._probes = probes
        self._probe = 0
        """The number of the command that is to be answered; 0: none."""
        self._to_probe: Iterator[str] = iter(())

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
        self._mark, _ = self._follow.since(None)
        self._take_on({key.market: followed for key, followed in self._follow.markets.items()})

    def _take_on(self, more: dict[str, Followed]) -> None:
        if not more:
            return
        self._reader.follow(more)
        self._listener.tell(Connected(KALSHI, LINE, _outcomes(more.values())))
        for channel in self._pace.channels:
            if channel != wire.LIFE:
                self._send(self._subscriptions.subscribe(channel, more))
        self._awaited.expect(more, self._monotonic())

    def _let_go(self, gone: Iterable[str]) -> None:
        dropped = list(gone)
        for ticker in dropped:
            self._reader.drop(ticker)
            self._crossed.pop(ticker, None)
            self._awaited.forget(ticker)
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
        wanted = self._follow.markets
        self._mark, keys = self._follow.since(self._mark)
        if keys is None:
            keys = [*(followed.market.key for followed in self._markets.values()), *wanted]
        self._let_go([key.market for key in keys if key not in wanted and key.market in self._markets])
        self._renew({key.market: wanted[key] for key in keys if key in wanted and key.market in self._markets})
        self._take_on({key.market: wanted[key] for key in keys if key in wanted and key.market not in self._markets})

    @property
    def _markets(self) -> dict[str, Followed]:
        return self._reader.markets

    def _renew(self, known: dict[str, Followed]) -> None:
        """The market itself may be another one now; where its books are, they are to be filled."""
        others = [ticker for ticker, followed in known.items() if followed.yes is not self._markets[ticker].yes]
        self._reader.follow(known)
        if others:
            self._listener.tell(Connected(KALSHI, LINE, _outcomes(known[ticker] for ticker in others)))
            self._awaited.expect(others, self._monotonic())
            self._send(self._subscriptions.ask_again(others))

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
        except StaleBook as error:
            self._tally.gaps += 1
            self._doubt_all(str(error))
        except MalformedFrame as error:
            self._tally.malformed(frame, str(error))
            self._malformed += 1
            if self._malformed > MOST_MALFORMED:
                raise VenueUnavailable(KALSHI, "nothing but malformed frames") from None
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
        """Every book of the subscription is invalid until it is made anew. Said once: there may be many reasons, and many books."""
        if self._doubted_at == self._reader.snapshots:
            return
        self._doubted_at = self._reader.snapshots
        self._listener.tell(BooksInvalid(reason, _outcomes(self._markets.values())))
        self._send(self._subscriptions.retire(wire.BOOKS))
        self._resync.set()

    def _doubt(self, ticker: str, reason: str) -> None:
        """One book is invalid, and asked for once more."""
        followed = self._markets.get(ticker)
        if followed is not None and followed.yes.trusted:
            self._listener.tell(BooksInvalid(reason, _outcomes((followed,))))
            now = self._monotonic()
            self._note_arrivals(now)
            if self._awaited.doubt(ticker, now):
                self._send(self._subscriptions.ask_again((ticker,)))

    def _failed(self, error: SubscriptionFailed) -> None:
        """A refused portion is asked for in halves, so that one bad market does not cost the others; what ended is made anew (B8)."""
        if error.code == AUTH_REQUIRED:
            raise VenueUnavailable(KALSHI, f"the key was refused ({error})") from None
        if not error.number:
            self._ended(self._subscriptions.channel_of(error.sid), str(error))
            return
        if error.number == self._probe:  # that market's book cannot be had; the next probe is of another
            self._probe, self._reader.probed, self._told_at = 0, "", self._monotonic()
            self._tally.unknown(f"refusal {error.code}")
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
            self._awaited.forget(tickers[0])  # there is no such book; it stays untrusted

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
            self._awaited.expect(self._markets, self._monotonic())

    async def _watch(self) -> None:
        while True:
            await trio.sleep(WATCH_SECONDS)
            now = self._monotonic()
            self._malformed = 0
            self._look_for_missing(now)
            self._look_for_crossed(now)
            self._look_for_silence(now)

    def _note_arrivals(self, now: float) -> None:
        for ticker in self._reader.arrived:
            self._awaited.came(ticker, now)
        self._reader.arrived.clear()

    def _look_for_missing(self, now: float) -> None:
        """Books that do not come are asked for ever more seldom, in case they are subscribed and in case they are not: the others
        are none the worse for them. None at all: the connection is dead."""
        self._note_arrivals(now)
        if self._resync.is_set():
            return
        overdue = self._awaited.overdue(now)
        if not overdue:
            return
        if len(overdue) == len(self._markets):
            raise VenueUnavailable(KALSHI, f"no book within {self._pace.first_book:g} s")
        self._tally.resubscribed += len(overdue)
        self._send(self._subscriptions.subscribe(wire.BOOKS, overdue))
        self._send(self._subscriptions.ask_again(overdue))

    def _look_for_silence(self, now: float) -> None:
        """A socket that answers pings may tell nothing more all the same; what takes a number of the sequence shows it."""
        next_seq, pace = self._subscriptions.next_of(wire.BOOKS), self._pace.probe
        silent = now - self._told_at
        if next_seq != self._next_seq:
            if self._probe:
                self._probes.answered()
            self._next_seq, self._told_at, self._probe = next_seq, now, 0
        elif next_seq is None or not (pace and self._markets and self._probes.sensible) or self._resync.is_set() or silent < pace:
            return
        elif not self._probe:
            self._ask_of_silence()
        elif silent >= 2 * pace:
            self._probes.in_vain()
            raise VenueUnavailable(KALSHI, f"no answer within {pace:g} s")

    def _ask_of_silence(self) -> None:
        """For the book of one market, each in its turn."""
        ticker = next(self._to_probe, "")
        if ticker not in self._markets:
            self._to_probe = iter(tuple(self._markets))
            ticker = next(self._to_probe)
        self._reader.probed = ticker
        self._probe, commands = self._subscriptions.probe(ticker)
        self._send(commands)

    def _look_for_crossed(self, now: float) -> None:
        """A book that stays crossed is wrong: at the venue such orders would have met."""
        touched = self._reader.touched
        for ticker in {*touched, *self._crossed}:
            followed = self._markets.get(ticker)
            if followed is None or not followed.yes.crossed:
                self._crossed.pop(ticker, None)
            elif now - self._crossed.setdefault(ticker, now) >= self._pace.crossed:
                del self._crossed[ticker]
                self._tally.crossed_books += 1
                self._doubt(ticker, "a crossed book")
        touched.clear()


def _outcomes(followed: Iterable[Followed]) -> tuple[OutcomeKey, ...]:
    return tuple(key for each in followed for key in (each.market.yes_key, each.market.no_key))
