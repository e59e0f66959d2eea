"""The market socket's frames, bytes -> domain events. Pure; holds only what identifies outcomes and their last hash."""

from collections.abc import Mapping
from typing import Any

import msgspec

from arbiter.domain.book import BookDelta, BookSnapshot, Level, LevelChange, MarketEvent, PublicTrade, Side, TickSizeChanged
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.money import Micros, parse_micros
from arbiter.venues.wire_numbers import MalformedFrame, price_micros

PONG = b"PONG"
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}


class _Level(msgspec.Struct):
    price: str
    size: str


class _Book(msgspec.Struct, tag_field="event_type", tag="book"):
    asset_id: str
    bids: list[_Level] | None = None
    asks: list[_Level] | None = None
    hash: str = ""
    timestamp: str = "0"


class _Change(msgspec.Struct):
    asset_id: str
    price: str
    size: str
    side: str
    hash: str = ""


class _PriceChange(msgspec.Struct, tag_field="event_type", tag="price_change"):
    price_changes: list[_Change]
    timestamp: str = "0"


class _LastTrade(msgspec.Struct, tag_field="event_type", tag="last_trade_price"):
    asset_id: str
    price: str
    size: str
    side: str
    timestamp: str = "0"


class _TickSize(msgspec.Struct, tag_field="event_type", tag="tick_size_change"):
    asset_id: str
    new_tick_size: str


_Event = _Book | _PriceChange | _LastTrade | _TickSize
_decode = msgspec.json.Decoder(_Event | list[_Event]).decode
_decode_loosely = msgspec.json.Decoder(float_hook=str).decode


class FrameDecoder:
    """Decodes the frames of one connection, whose assets are known. Counts what it does not know."""

    def __init__(self, outcomes: Mapping[str, OutcomeKey]) -> None:
        self._outcomes = outcomes
        self.hashes: dict[str, str] = {}
        """The newest book hash of each asset, as the socket told it."""
        self.unknown_events = 0

    def decode(self, frame: bytes) -> list[MarketEvent]:
        """The events of one frame (an object or an array of objects). Raises MalformedFrame."""
        try:
            decoded = _decode(frame)
        except msgspec.ValidationError:
            decoded = self._decode_unusual(frame)
        except msgspec.DecodeError as error:
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
        loose = _decode_loosely(frame)
        found: list[_Event] = []
        for each in loose if isinstance(loose, list) else [loose]:
            if not isinstance(each, dict) or not isinstance(each.get("event_type"), str):
                raise MalformedFrame("an event without event_type")
            if each["event_type"] not in ("book", "price_change", "last_trade_price", "tick_size_change"):
                self.unknown_events += 1
                continue
            try:
                found.append(msgspec.convert(_numbers_as_text(each), _Event))
            except msgspec.ValidationError as error:
                raise MalformedFrame(str(error)) from None
        return found

    def _event(self, event: _Event) -> MarketEvent | None:
        if isinstance(event, _PriceChange):
            return self._delta(event)
        outcome = self._outcomes.get(event.asset_id)
        if outcome is None:
            self.unknown_events += 1
            return None
        match event:
            case _Book():
                self.hashes[event.asset_id] = event.hash
                return BookSnapshot(outcome, _levels(event.bids), _levels(event.asks), _ms(event.timestamp))
            case _LastTrade():
                return PublicTrade(outcome, price_micros(event.price), parse_micros(event.size), _SIDES[event.side], _ms(event.timestamp))
            case _TickSize():
                return TickSizeChanged(outcome.market_key, price_micros(event.new_tick_size))

    def _delta(self, event: _PriceChange) -> BookDelta | None:
        changes = []
        for change in event.price_changes:
            outcome = self._outcomes.get(change.asset_id)
            if outcome is None:
                self.unknown_events += 1
                continue
            size = parse_micros(change.size)
            if size < 0:
                raise MalformedFrame("a level of negative size")
            self.hashes[change.asset_id] = change.hash
            changes.append(LevelChange(outcome, _SIDES[change.side], price_micros(change.price), size))
        return BookDelta(tuple(changes), _ms(event.timestamp)) if changes else None


def _levels(levels: list[_Level] | None) -> tuple[Level, ...]:
    return tuple([Level(price_micros(level.price), _size(level.size)) for level in levels or ()])


def _size(text: str) -> Micros:
    size = parse_micros(text)
    if size < 0:
        raise MalformedFrame("a level of negative size")
    return size


def _ms(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 16 else 0


def _numbers_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers_as_text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_numbers_as_text(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value
