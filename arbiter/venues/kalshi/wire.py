"""The WebSocket's frames as the venue writes them, and the commands that it takes (B8). Pure: bytes <-> structs."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from arbiter.venues.kalshi.metadata import PriceRange
from arbiter.venues.wire_numbers import UNDECODABLE, MalformedFrame, numbers_as_text

BOOKS, TRADES, TICKERS, LIFE = "orderbook_delta", "trade", "ticker", "market_lifecycle_v2"
"""The public channels. `LIFE` takes no markets: it tells of all."""
CHANNELS = (BOOKS, TRADES, TICKERS, LIFE)


class DeltaBody(msgspec.Struct, gc=False):
    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: str
    ts_ms: int = 0


class Delta(msgspec.Struct, gc=False, tag_field="type", tag="orderbook_delta"):
    sid: int
    seq: int
    msg: DeltaBody


class SnapshotBody(msgspec.Struct, gc=False):
    market_ticker: str
    yes_dollars_fp: list[tuple[str, str]] | msgspec.UnsetType | None = msgspec.UNSET
    no_dollars_fp: list[tuple[str, str]] | msgspec.UnsetType | None = msgspec.UNSET


class Snapshot(msgspec.Struct, gc=False, tag_field="type", tag="orderbook_snapshot"):
    sid: int
    seq: int
    msg: SnapshotBody


class TradeBody(msgspec.Struct, gc=False):
    market_ticker: str
    yes_price_dollars: str
    no_price_dollars: str
    count_fp: str
    trade_id: str = ""
    taker_outcome_side: str = ""
    taker_side: str = ""
    is_block_trade: bool = False
    ts_ms: int = 0


class Trade(msgspec.Struct, gc=False, tag_field="type", tag="trade"):
    msg: TradeBody
    sid: int = 0
    seq: int = 0


class TickerBody(msgspec.Struct, gc=False):
    market_ticker: str
    price_dollars: str | None = None
    yes_bid_dollars: str | None = None
    yes_ask_dollars: str | None = None
    volume_fp: str | None = None
    open_interest_fp: str | None = None
    ts_ms: int = 0


class TickerFrame(msgspec.Struct, gc=False, tag_field="type", tag="ticker"):
    """Carries no `seq`."""

    msg: TickerBody
    sid: int = 0
    seq: int = 0


class LifeBody(msgspec.Struct):
    market_ticker: str
    event_type: str = ""
    close_ts: int | None = None
    determination_ts: int | None = None
    settled_ts: int | None = None
    result: str | None = None
    settlement_value: Decimal | None = None
    price_ranges: list[PriceRange] | None = None


class LifeFrame(msgspec.Struct, tag_field="type", tag="market_lifecycle_v2"):
    msg: LifeBody
    sid: int = 0
    seq: int = 0


class EventLifeBody(msgspec.Struct):
    event_ticker: str
    series_ticker: str = ""


class EventLifeFrame(msgspec.Struct, tag_field="type", tag="event_lifecycle"):
    msg: EventLifeBody
    sid: int = 0
    seq: int = 0


class FeeBody(msgspec.Struct):
    """Both null: the override was lifted."""

    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None


class FeeFrame(msgspec.Struct, tag_field="type", tag="event_fee_update"):
    msg: FeeBody
    sid: int = 0
    seq: int = 0


class SubscribedBody(msgspec.Struct):
    channel: str = ""
    sid: int = 0


class Subscribed(msgspec.Struct, tag_field="type", tag="subscribed"):
    msg: SubscribedBody
    id: int = 0


class Ok(msgspec.Struct, tag_field="type", tag="ok"):
    id: int = 0
    sid: int = 0
    seq: int = 0


class Unsubscribed(msgspec.Struct, tag_field="type", tag="unsubscribed"):
    id: int = 0
    sid: int = 0
    seq: int = 0


class ErrorBody(msgspec.Struct):
    code: int = 0
    msg: str = ""


class Error(msgspec.Struct, tag_field="type", tag="error"):
    msg: ErrorBody
    id: int = 0
    sid: int = 0


class Unknown(msgspec.Struct):
    """A frame of a type we do not know: what is needed to keep the sequence."""

    type: str
    sid: int = 0
    seq: int = 0


Known = Delta | Snapshot | Trade | TickerFrame | LifeFrame | EventLifeFrame | FeeFrame | Subscribed | Ok | Unsubscribed | Error
Frame = Known | Unknown
LARGEST_ODD_FRAME = 64 * 1024
"""What the typed decoder refused is looked at closer only up to this size: 64 KB of empty lists take 20 ms."""
LARGEST_USUAL_FRAME = 512 * 1024
"""What is larger can only be an answer to a command, which names all markets of a subscription: a level at every price of the
finest grid, YES and NO together, is half of it, and takes 20 ms."""
_KNOWN_TYPES = frozenset(each.__struct_config__.tag for each in Known.__args__)
decode_known = msgspec.json.Decoder(Known).decode
"""A frame as the venue documents it. For who is in a hurry: `decode` takes what this refuses."""
_decode_answer = msgspec.json.Decoder(Subscribed | Ok | Unsubscribed).decode
_decode_loosely = msgspec.json.Decoder(float_hook=str).decode


def decode(frame: bytes) -> Frame:
    """One frame. Raises MalformedFrame."""
    if len(frame) > LARGEST_USUAL_FRAME:
        return _decode_large(frame)
    try:
        known: Known = decode_known(frame)
    except msgspec.ValidationError as error:
        return _decode_unusual(frame, error)
    except UNDECODABLE as error:
        raise MalformedFrame(str(error)) from None
    return known


def _decode_large(frame: bytes) -> Frame:
    try:
        answer: Subscribed | Ok | Unsubscribed = _decode_answer(frame)
    except UNDECODABLE:
        raise MalformedFrame(f"{len(frame)} bytes that are no answer to a command") from None
    return answer


def _decode_unusual(frame: bytes, problem: msgspec.ValidationError) -> Frame:
    """A frame of a type we do not know, or numbers where text is usual: take what can be taken."""
    if len(frame) > LARGEST_ODD_FRAME:
        raise MalformedFrame(f"{len(frame)} bytes that are not as usual: {problem}") from None
    try:
        loose: Any = _decode_loosely(frame)
        if not isinstance(loose, dict) or not isinstance(loose.get("type"), str):
            raise MalformedFrame("a frame without type")
        if loose["type"] in _KNOWN_TYPES:
            known: Known = msgspec.convert(numbers_as_text(loose), Known, strict=False)
            return known
    except UNDECODABLE:
        raise MalformedFrame(str(problem)) from None
    sid, seq = (number if isinstance(number := loose.get(name), int) else 0 for name in ("sid", "seq"))
    return Unknown(loose["type"], sid, seq)


# -- commands --


def subscribe(number: int, channel: str, tickers: Sequence[str]) -> bytes:
    """To these markets; without any, to all where the channel tells of all. A second one merges into the first one's `sid`."""
    params: dict[str, object] = {"channels": [channel]}
    if tickers:
        params["market_tickers"] = list(tickers)
    if channel == BOOKS:
        params["use_yes_price"] = False  # the default is announced to flip, so it is always said
    return msgspec.json.encode({"id": number, "cmd": "subscribe", "params": params})


def unsubscribe(number: int, sids: Iterable[int]) -> bytes:
    return msgspec.json.encode({"id": number, "cmd": "unsubscribe", "params": {"sids": list(sids)}})


def delete_markets(number: int, sid: int, tickers: Sequence[str]) -> bytes:
    return _update(number, sid, "delete_markets", tickers)


def get_snapshot(number: int, sid: int, tickers: Sequence[str]) -> bytes:
    """Their books once more, within the sequence."""
    return _update(number, sid, "get_snapshot", tickers)


def _update(number: int, sid: int, action: str, tickers: Sequence[str]) -> bytes:
    params = {"sids": [sid], "action": action, "market_tickers": list(tickers)}
    return msgspec.json.encode({"id": number, "cmd": "update_subscription", "params": params})
