"""What each frame does: writes levels into books, tells the listener the rest. Pure but for that; no socket, no clock.

A YES bid at p is a NO ask at 1 - p (B5): both outcomes' books are one, seen from two sides, and only bids are written.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from arbiter.domain.book import Book, Level, PublicTrade, Side, make_one
from arbiter.domain.ids import KALSHI, MarketId, MarketKey
from arbiter.domain.ladder import Ladder
from arbiter.domain.market import Market, MarketStatus
from arbiter.domain.market_events import GridChanged, MarketListed, MarketResolved, StatusChanged, Ticker
from arbiter.domain.money import ONE, Micros
from arbiter.venues.base import Followed, Listener
from arbiter.venues.kalshi import wire
from arbiter.venues.kalshi.metadata import read_grid, resolution_of
from arbiter.venues.kalshi.subscriptions import Subscriptions
from arbiter.venues.tally import Tally
from arbiter.venues.wire_numbers import UNDECODABLE, MalformedFrame, change_micros, price_micros, size_micros

_decode, _Delta, _USUAL = wire.decode_known, wire.Delta, wire.LARGEST_USUAL_FRAME
_REMEMBERED = 65_536
_prices: dict[str, Micros] = {}
_changes: dict[str, Micros] = {}
"""What texts mean that came before."""


MOST_LEVELS = 10_000
"""Of one side: the finest grid has fewer."""


class StaleBook(Exception):
    """A whole book, asked for while the sequence was unbroken, is not the one that was kept: the stream has told less than happened."""


class BadBook(Exception):
    """One market's book cannot be believed any more, while the sequence is whole."""

    def __init__(self, ticker: str, problem: str) -> None:
        super().__init__(problem)
        self.ticker = ticker


class SubscriptionFailed(Exception):
    """The venue ended or refused a subscription; `code` is its own (25: buffer overflow), `number` that of the command, if any."""

    def __init__(self, frame: wire.Error) -> None:
        super().__init__(f"error {frame.msg.code}: {frame.msg.msg[:200]}")
        self.code = frame.msg.code
        self.number = frame.id
        self.sid = frame.sid


_Place = tuple[Book, Book, Ladder, Ladder]
"""Where a market's deltas go, laid out so that a frame need not ask its way: the books of YES and NO, and the bids of each. A plain
tuple, since one with names takes ten times as long to take apart."""


def _place(followed: Followed) -> _Place:
    make_one(followed.yes, followed.no)
    return followed.yes, followed.no, followed.yes.bid_side, followed.no.bid_side


class FrameReader:
    """The frames of one connection."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        listener: Listener,
        tally: Tally,
        fees_changed: Callable[[wire.FeeBody], None],
    ) -> None:
        self.markets: dict[str, Followed] = {}
        """What is followed now, by ticker. For reading alone."""
        self._places: dict[str, _Place] = {}
        self._subscriptions = subscriptions
        self._expected = subscriptions.expected
        self._listener = listener
        self._tally = tally
        self._fees_changed = fees_changed
        self.touched: set[str] = set()
        """Markets whose book changed since somebody last looked."""
        self.arrived: set[str] = set()
        """Markets whose book came since somebody last looked."""
        self.snapshots = 0
        """Books that came: as long as it stays, no book can have become a trusted one."""
        self.probed = ""
        """The market whose book was asked for although it is trusted."""

    def follow(self, markets: Mapping[str, Followed]) -> None:
        """Their frames count from now on."""
        self.markets.update(markets)
        self._places.update((ticker, _place(each)) for ticker, each in markets.items())

    def drop(self, ticker: str) -> None:
        """Its frames mean nothing any more."""
        self.markets.pop(ticker, None)
        self._places.pop(ticker, None)

    def read(self, frame: bytes) -> bool:
        """Take in one frame; True where it told the listener of a book or something else, which proves life by itself.

        Raises MalformedFrame, SequenceGap and StaleBook (all books are in doubt), BadBook (one is), SubscriptionFailed.
        """
        try:
            message = _decode(frame) if len(frame) <= _USUAL else wire.decode(frame)
        except UNDECODABLE:
            message = wire.decode(frame)  # it knows what can be made of it
        if type(message) is not _Delta:
            return self._other(message)
        # nearly all frames come here, so what else would be a function of its own stands in line
        sid, seq, body = message.sid, message.seq, message.msg
        expected = self._expected
        if expected.get(sid) == seq:
            expected[sid] = seq + 1
        elif not self._subscriptions.counts(sid, seq):
            return False
        ticker = body.market_ticker
        place = self._places.get(ticker)
        if place is None:
            return False
        yes, no, yes_bids, no_bids = place
        if not yes.trusted:
            return False
        try:
            price = _prices.get(body.price_dollars)
            if price is None:
                price = _price(body.price_dollars)
            change = _changes.get(body.delta_fp)
            if change is None:
                change = _change(body.delta_fp)
            side = body.side
            if side == "yes":
                yes_bids.add(price, change)
            elif side == "no":
                no_bids.add(price, change)
            else:
                raise ValueError(f"side {side[:20]!r}")
        except ValueError as error:  # BrokenBook is one
            raise BadBook(ticker, str(error)) from None
        self.touched.add(ticker)
        changed, ms = self._listener.changed, body.ts_ms
        changed(yes, ms)
        changed(no, ms)
        return True

    def _other(self, message: wire.Frame) -> bool:
        match message:
            case wire.Error():
                raise SubscriptionFailed(message)
            case wire.Subscribed():
                self._subscriptions.confirmed(message)
                return False
        if (message.seq or isinstance(message, wire.Snapshot)) and not self._subscriptions.counts(message.sid, message.seq):
            if isinstance(message, wire.Unsubscribed):
                self._subscriptions.ended(message)
            return False
        match message:
            case wire.Snapshot():
                return self._snapshot(message.msg)
            case wire.Trade():
                return self._trade(message.msg)
            case wire.TickerFrame():
                return self._ticker(message.msg)
            case wire.LifeFrame():
                return self._life(message.msg)
            case wire.FeeFrame():
                self._fees_changed(message.msg)
            case wire.Ok():
                self._subscriptions.ok(message)
            case wire.Unknown():
                self._tally.unknown(message.type)
        return False

    # -- books --

    def _snapshot(self, body: wire.SnapshotBody) -> bool:
        ticker = body.market_ticker
        followed = self.markets.get(ticker)
        if followed is None:
            return False
        try:
            yes, no = _levels(body.yes_dollars_fp), _levels(body.no_dollars_fp)
            if not yes and not no and None in (body.yes_dollars_fp, body.no_dollars_fp):
                raise ValueError("null where levels belong")  # a side without levels is left out (B8)
        except ValueError as error:
            raise BadBook(ticker, str(error)) from None
        kept = followed.yes.packed() if ticker == self.probed and followed.yes.trusted else None
        followed.yes.replace(yes, _complement(no))
        followed.no.trusted = True  # it is the same book
        self.touched.add(ticker)
        self.arrived.add(ticker)
        self.snapshots += 1
        self._listener.changed(followed.yes, 0)
        self._listener.changed(followed.no, 0)
        if ticker == self.probed:
            self.probed = ""
            if kept is not None and kept != followed.yes.packed():
                raise StaleBook(f"{ticker[:80]} has another book than the stream told")
        return True

    # -- everything else --

    def _trade(self, body: wire.TradeBody) -> bool:
        """Block trades are made elsewhere and say nothing of the book."""
        followed = self.markets.get(body.market_ticker)
        if followed is None or body.is_block_trade:
            return False
        try:
            trade = read_trade(body, followed.market)
        except ValueError as error:
            raise MalformedFrame(str(error)) from None
        if trade is None:
            self._tally.unknown("trade without a side")
            return False
        self._listener.tell(trade)
        return True

    def _ticker(self, body: wire.TickerBody) -> bool:
        followed = self.markets.get(body.market_ticker)
        if followed is None:
            return False
        try:
            ticker = Ticker(
                followed.market.key,
                _optional(body.yes_bid_dollars, price_micros),
                _optional(body.yes_ask_dollars, price_micros),
                _optional(body.price_dollars, price_micros),
                _optional(body.volume_fp, size_micros),
                _optional(body.open_interest_fp, size_micros),
                body.ts_ms,
            )
        except ValueError as error:
            raise MalformedFrame(str(error)) from None
        self._listener.tell(ticker)
        return True

    def _life(self, body: wire.LifeBody) -> bool:
        """Of markets that are not followed only the birth matters."""
        key = MarketKey(KALSHI, MarketId(body.market_ticker))
        followed = body.market_ticker in self.markets
        tell = self._listener.tell
        match body.event_type:
            case "created":
                tell(MarketListed(KALSHI, key.market))
            case _ if not followed:
                return False
            case "activated":
                tell(StatusChanged(key, MarketStatus.OPEN))
            case "deactivated":
                tell(StatusChanged(key, MarketStatus.PAUSED))
            case "close_date_updated":
                tell(StatusChanged(key, None, _from_seconds(body.close_ts)))
            case "determined" | "settled":
                self._resolved(key, body)
            case "price_level_structure_updated" if body.price_ranges:
                try:
                    tell(GridChanged(key, read_grid(body.price_ranges)))
                except ValueError as error:
                    raise MalformedFrame(str(error)) from None
            case "metadata_updated" | "price_level_structure_updated":
                tell(MarketListed(KALSHI, key.market))
            case other:
                self._tally.unknown(f"{wire.LIFE} {other}")
                return False
        return True

    def _resolved(self, key: MarketKey, body: wire.LifeBody) -> None:
        """`settled` need not repeat what was determined; it is read then."""
        final = body.event_type == "settled"
        at = _from_seconds(body.settled_ts or body.determination_ts)
        try:
            resolution = resolution_of(body.result or "", body.settlement_value, final=final, at=at)
        except ValueError as error:
            raise MalformedFrame(str(error)) from None
        if resolution is None:
            self._listener.tell(StatusChanged(key, MarketStatus.CLOSED))
            self._listener.tell(MarketListed(KALSHI, key.market))
        else:
            self._listener.tell(MarketResolved(key, resolution))


def read_trade(body: wire.TradeBody, market: Market) -> PublicTrade | None:
    """What the taker bought: YES or NO, at that outcome's own price. None without a side. ValueError for numbers that are none."""
    side = body.taker_outcome_side or body.taker_side
    if side not in ("yes", "no"):
        return None
    outcome, price = (market.yes_key, body.yes_price_dollars) if side == "yes" else (market.no_key, body.no_price_dollars)
    return PublicTrade(outcome, price_micros(price), size_micros(body.count_fp), Side.BUY, body.ts_ms, body.trade_id)


def _price(text: str) -> Micros:
    price = price_micros(text)
    if len(_prices) >= _REMEMBERED:
        _prices.clear()
    _prices[text] = price
    return price


def _change(text: str) -> Micros:
    change = change_micros(text)
    if len(_changes) >= _REMEMBERED:
        _changes.clear()
    _changes[text] = change
    return change


def _levels(rows: list[tuple[str, str]] | msgspec.UnsetType | None) -> list[Level]:
    if not rows:
        return []
    if len(rows) > MOST_LEVELS:
        raise ValueError(f"{len(rows)} levels")
    return [Level(price_micros(price), size_micros(size)) for price, size in rows]


def _complement(bids: list[Level]) -> list[Level]:
    return [Level(Micros(ONE - price), size) for price, size in bids]


def _optional(text: str | None, read: Callable[[str], Micros]) -> Micros | None:
    return read(text) if text else None


def _from_seconds(seconds: int | None) -> datetime | None:
    return None if not seconds or not 0 < seconds < 1 << 40 else datetime.fromtimestamp(seconds, UTC)
