"""The market socket's frames, bytes -> domain events. Pure; remembers only what the socket told last of each asset.

A7.1, A7.2: a frame is an object or an array of objects, there are no sequence numbers, sizes are absolute.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from arbiter.domain.book import BookDelta, BookSnapshot, Level, LevelChange, MarketEvent, PublicTrade, Side, TickSizeChanged
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.money import ONE, ZERO, parse_micros
from arbiter.venues.wire_numbers import UNDECODABLE, MalformedFrame, numbers_as_text, price_micros, size_micros

PONG = b"PONG"
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
_KNOWN_EVENTS = frozenset({"book", "price_change", "last_trade_price", "tick_size_change"})


class _Level(msgspec.Struct, gc=False):
    price: str
    size: str


class _Book(msgspec.Struct, gc=False, tag_field="event_type", tag="book"):
    asset_id: str
    bids: list[_Level] | None = None
    asks: list[_Level] | None = None
    hash: str = ""
    timestamp: str = "0"


class _Change(msgspec.Struct, gc=False):
    asset_id: str
    price: str
    size: str
    side: str
    hash: str = ""
    best_bid: str = ""
    best_ask: str = ""


class _PriceChange(msgspec.Struct, gc=False, tag_field="event_type", tag="price_change"):
    price_changes: list[_Change] | None = None
    timestamp: str = "0"


class _LastTrade(msgspec.Struct, gc=False, tag_field="event_type", tag="last_trade_price"):
    asset_id: str
    price: str
    size: str
    side: str
    timestamp: str = "0"


class _TickSize(msgspec.Struct, tag_field="event_type", tag="tick_size_change"):
    asset_id: str
    new_tick_size: str


class RestBook(msgspec.Struct):
    """What `POST /books` says of one asset, as far as it is compared with the socket."""

    asset_id: str
    hash: str = ""
    timestamp: str = ""
    bids: list[_Level] | None = None
    asks: list[_Level] | None = None


_Event = _Book | _PriceChange | _LastTrade | _TickSize
_new = tuple.__new__
_decode = msgspec.json.Decoder(_Event | list[_Event]).decode
_decode_loosely = msgspec.json.Decoder(float_hook=str).decode


class FrameDecoder:
    """Decodes the frames of one connection, whose assets are known. Counts what it does not know."""

    def __init__(self, outcomes: Mapping[str, OutcomeKey]) -> None:
        self._outcomes = outcomes
        self._told: dict[str, _Book | _PriceChange] = {}
        """The event that told of each asset last."""
        self.unknown_events = 0

    def decode(self, frame: bytes) -> list[MarketEvent]:
        """The events of one frame (an object or an array of objects). Raises MalformedFrame."""
        try:
            decoded = _decode(frame)
        except msgspec.ValidationError:
            decoded = self._decode_unusual(frame)
        except UNDECODABLE as error:
            raise MalformedFrame(str(error)) from None
        try:
            if isinstance(decoded, list):
                return [event for each in decoded if (event := self._event(each)) is not None]
            event = self._event(decoded)
        except (ValueError, KeyError) as error:
            raise MalformedFrame(f"{type(error).__name__}: {error}") from None
        return [] if event is None else [event]

    def _decode_unusual(self, frame: bytes) -> list[_Event]:
        """Events of a type we do not know, numbers where text is usual: take what can be taken."""
        try:
            loose = _decode_loosely(frame)
            return [event for each in (loose if isinstance(loose, list) else [loose]) if (event := self._convert(each)) is not None]
        except UNDECODABLE as error:
            raise MalformedFrame(str(error)) from None

    def _convert(self, event: Any) -> _Event | None:
        if not isinstance(event, dict) or not isinstance(event.get("event_type"), str):
            raise MalformedFrame("an event without event_type")
        if event["event_type"] not in _KNOWN_EVENTS:
            self.unknown_events += 1
            return None
        known: _Event = msgspec.convert(numbers_as_text(event), _Event)
        return known

    def _event(self, event: _Event) -> MarketEvent | None:
        if isinstance(event, _PriceChange):
            return self._delta(event)
        outcome = self._outcomes.get(event.asset_id)
        if outcome is None:
            self.unknown_events += 1
            return None
        match event:
            case _Book():
                book = BookSnapshot(outcome, _levels(event.bids), _levels(event.asks), _ms(event.timestamp))
                event.bids = event.asks = None  # of what is remembered only the hash is needed
                self._told[event.asset_id] = event
                return book
            case _LastTrade():
                if event.side not in _SIDES:  # REST says "" where it does not know; a trade without a side moves nothing
                    self.unknown_events += 1
                    return None
                return PublicTrade(outcome, price_micros(event.price), size_micros(event.size), _SIDES[event.side], _ms(event.timestamp))
            case _TickSize():
                tick = price_micros(event.new_tick_size)
                if not 0 < tick < ONE:
                    raise MalformedFrame(f"a tick size of {event.new_tick_size[:20]!r}")
                return TickSizeChanged(outcome.market_key, tick)

    def _delta(self, event: _PriceChange) -> BookDelta | None:
        changes = []
        outcomes, told = self._outcomes, self._told
        for change in event.price_changes or ():
            asset = change.asset_id
            outcome = outcomes.get(asset)
            if outcome is None:
                self.unknown_events += 1
                continue
            changes.append(LevelChange(outcome, _SIDES[change.side], price_micros(change.price), size_micros(change.size)))
            told[asset] = event
        return BookDelta(tuple(changes), _ms(event.timestamp)) if changes else None

    # -- is silence true? --

    @property
    def told(self) -> Iterable[str]:
        """The assets whose book the socket has told, and which can therefore be compared."""
        return self._told

    def forget(self, assets: Iterable[str]) -> None:
        """These assets' books are invalid: nothing that was told of them holds."""
        for asset in assets:
            self._told.pop(asset, None)

    def contradicts(self, book: RestBook) -> bool:
        """Whether REST shows a newer and another book than the one the socket told last. Raises MalformedFrame.

        An equal hash settles it. A hash that differs says something only after a `book`: whether the hash of a
        `price_change` is that of the whole book, the venue's pages do not agree, so there the best prices decide.
        """
        told = self._told.get(book.asset_id)
        if told is None or (book.timestamp and _ms(book.timestamp) <= _ms(told.timestamp)):
            return False
        if isinstance(told, _Book):
            return told.hash not in ("", book.hash)
        last = next(each for each in reversed(told.price_changes or ()) if each.asset_id == book.asset_id)
        if last.hash == book.hash or not (last.best_bid and last.best_ask):
            return False
        try:
            best_bid = max((price_micros(level.price) for level in book.bids or ()), default=ZERO)
            best_ask = min((price_micros(level.price) for level in book.asks or ()), default=ONE)
            return (parse_micros(last.best_bid), parse_micros(last.best_ask) or ONE) != (best_bid, best_ask)
        except ValueError as error:
            raise MalformedFrame(str(error)) from None


def _levels(levels: list[_Level] | None) -> tuple[Level, ...]:
    # a NamedTuple's own constructor takes twice as long, and a book has forty levels
    return tuple([_new(Level, (price_micros(level.price), size_micros(level.size))) for level in levels or ()])


def _ms(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 16 else 0
