"""The WebSocket's frames, bytes -> domain events. Pure; holds the last sequence number of each subscription.

`seq` runs per `sid` over everything that carries one, `ok` frames included, so it is checked before anything else is
looked at. A YES bid at p is a NO ask at 1 - p: each change is told for both outcomes.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from arbiter.domain.book import BookDelta, BookSnapshot, Level, LevelChange, MarketEvent, Side
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import Market
from arbiter.domain.money import ONE, Micros
from arbiter.venues.wire_numbers import UNDECODABLE, MalformedFrame, change_micros, numbers_as_text, price_micros, size_micros


class SequenceGap(Exception):
    """A frame is missing, repeated or out of order: every book of the subscription is invalid."""


class _SnapshotBody(msgspec.Struct, gc=False):
    market_ticker: str
    yes_dollars_fp: list[tuple[str, str]] | None = None
    no_dollars_fp: list[tuple[str, str]] | None = None


class _DeltaBody(msgspec.Struct, gc=False):
    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: str
    ts_ms: int = 0


class _ErrorBody(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Snapshot(msgspec.Struct, gc=False, tag_field="type", tag="orderbook_snapshot"):
    sid: int
    seq: int
    msg: _SnapshotBody


class _Delta(msgspec.Struct, gc=False, tag_field="type", tag="orderbook_delta"):
    sid: int
    seq: int
    msg: _DeltaBody


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    msg: _ErrorBody
    id: int = 0


class _Subscribed(msgspec.Struct, tag_field="type", tag="subscribed"):
    id: int = 0


class _Ok(msgspec.Struct, tag_field="type", tag="ok"):
    sid: int = 0
    seq: int = 0


class _Unsubscribed(msgspec.Struct, tag_field="type", tag="unsubscribed"):
    sid: int = 0
    seq: int = 0


class _Unknown(msgspec.Struct):
    """Any frame at all: what is needed to keep the sequence."""

    type: str
    sid: int = 0
    seq: int = 0


_Known = _Delta | _Snapshot | _Error | _Subscribed | _Ok | _Unsubscribed
_decode = msgspec.json.Decoder(_Known).decode
_decode_loosely = msgspec.json.Decoder(float_hook=str).decode
_KNOWN_TYPES = frozenset({"orderbook_delta", "orderbook_snapshot", "error", "subscribed", "ok", "unsubscribed"})


class SubscriptionFailed(Exception):
    """The venue ended or refused a subscription; `code` is its own (25: buffer overflow)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"error {code}: {text}")
        self.code = code


class FrameDecoder:
    """Decodes the frames of one connection whose markets are known by ticker."""

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._keys: dict[str, tuple[OutcomeKey, OutcomeKey]] = {t: (m.yes_key, m.no_key) for t, m in markets.items()}
        self._sequences: dict[int, int] = {}
        self.unknown_events = 0

    def decode(self, frame: bytes) -> list[MarketEvent]:
        """The events of one frame. Raises MalformedFrame, SequenceGap, SubscriptionFailed."""
        try:
            decoded: Any = _decode(frame)
        except msgspec.ValidationError:
            decoded = self._decode_unusual(frame)
        except UNDECODABLE as error:
            raise MalformedFrame(str(error)) from None
        if isinstance(decoded, _Delta):
            self._require_next(decoded.sid, decoded.seq)
            return self._delta(decoded.msg)
        if isinstance(decoded, _Snapshot):
            self._require_next(decoded.sid, decoded.seq)
            return self._snapshot(decoded.msg)
        if isinstance(decoded, _Error):
            raise SubscriptionFailed(decoded.msg.code, decoded.msg.msg)
        if not isinstance(decoded, _Subscribed) and decoded.seq:
            self._require_next(decoded.sid, decoded.seq)
        return []

    def _decode_unusual(self, frame: bytes) -> Any:
        """A frame of a type we do not know, or numbers where text is usual: take what can be taken."""
        try:
            loose = _decode_loosely(frame)
            if not isinstance(loose, dict) or not isinstance(loose.get("type"), str):
                raise MalformedFrame("a frame without type")
            if loose["type"] in _KNOWN_TYPES:
                return msgspec.convert(numbers_as_text(loose), _Known, strict=False)
        except UNDECODABLE as error:
            raise MalformedFrame(str(error)) from None
        self.unknown_events += 1
        sid, seq = (number if isinstance(number := loose.get(name), int) else 0 for name in ("sid", "seq"))
        return _Unknown(loose["type"], sid, seq)

    def _require_next(self, sid: int, seq: int) -> None:
        expected = self._sequences.get(sid, 0) + 1
        if seq != expected:
            raise SequenceGap(f"sequence {seq} of subscription {sid}, expected {expected}")
        self._sequences[sid] = seq

    def _delta(self, body: _DeltaBody) -> list[MarketEvent]:
        keys = self._keys.get(body.market_ticker)
        if keys is None:
            self.unknown_events += 1
            return []
        try:
            price, size = price_micros(body.price_dollars), change_micros(body.delta_fp)
        except ValueError as error:
            raise MalformedFrame(str(error)) from None
        if body.side not in ("yes", "no"):
            raise MalformedFrame(f"side {body.side[:20]!r}")
        own, other = keys if body.side == "yes" else (keys[1], keys[0])
        bid = LevelChange(own, Side.BUY, price, size, True)
        ask = LevelChange(other, Side.SELL, Micros(ONE - price), size, True)
        return [BookDelta((bid, ask), body.ts_ms)]

    def _snapshot(self, body: _SnapshotBody) -> list[MarketEvent]:
        keys = self._keys.get(body.market_ticker)
        if keys is None:
            self.unknown_events += 1
            return []
        yes, no = _levels(body.yes_dollars_fp), _levels(body.no_dollars_fp)
        return [BookSnapshot(keys[0], yes, _complement(no)), BookSnapshot(keys[1], no, _complement(yes))]


def _levels(rows: list[tuple[str, str]] | None) -> tuple[Level, ...]:
    try:
        return tuple([Level(price_micros(price), size_micros(size)) for price, size in rows or ()])
    except ValueError as error:
        raise MalformedFrame(str(error)) from None


def _complement(bids: tuple[Level, ...]) -> tuple[Level, ...]:
    return tuple([Level(Micros(ONE - price), size) for price, size in bids])
