"""The market socket's frames and the CLOB's books, bytes -> typed events. Pure.

A7.1, A7.2: a frame is an object or an array of objects, there are no sequence numbers, sizes are absolute. What the typed
decoder refuses is read once more, loosely: events that nobody knows, numbers where text is usual, and what makes no sense.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha1
from typing import Annotated, Any, NamedTuple

import msgspec

from arbiter.domain.ladder import Level
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.venues.wire_numbers import UNDECODABLE, numbers_as_text, price_micros, size_micros

PONG = b"PONG"
MOST_LEVELS = 10_000
"""Of one side: the finest grid has fewer."""
MOST_EVENTS = 5_000
"""In one frame, and changes in one event: far more than there are tokens on a line. Each takes some microseconds."""
LARGEST_ODD_FRAME = 128 * 1024
"""What the typed decoder refused is looked at closer only up to this size: 128 KB of empty lists take 30 ms."""
_UNITS = (1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)
"""What the last digit of a number with so many decimals is worth."""
_TIME_DIGITS = 16
_SHORT = 12
"""Digits of a size that is surely in range."""


Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=10**16)]
"""Decimal text on the wire."""


class WireLevel(msgspec.Struct, gc=False):
    price: str
    size: str


class BookObject(msgspec.Struct, gc=False, kw_only=True):
    """A whole book (A4.1). The order of the fields is that of the venue's hash."""

    market: str = ""
    asset_id: str
    timestamp: str = ""
    hash: str | None = ""
    bids: list[WireLevel] | None = None
    asks: list[WireLevel] | None = None
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None


class BookEvent(BookObject, gc=False, tag_field="event_type", tag="book"):
    pass


class Change(msgspec.Struct, gc=False):
    asset_id: str
    price: str
    size: str
    side: str
    best_bid: str | None = ""
    best_ask: str | None = ""


class PriceChange(msgspec.Struct, gc=False, tag_field="event_type", tag="price_change"):
    price_changes: list[Change] | None = None
    timestamp: Milliseconds = 0


class LastTrade(msgspec.Struct, gc=False, tag_field="event_type", tag="last_trade_price"):
    asset_id: str
    price: str
    size: str
    side: str = ""
    timestamp: Milliseconds = 0


class TickSizeChange(msgspec.Struct, gc=False, tag_field="event_type", tag="tick_size_change"):
    asset_id: str
    new_tick_size: str


class BestBidAsk(msgspec.Struct, gc=False, tag_field="event_type", tag="best_bid_ask"):
    asset_id: str
    best_bid: str | None = ""
    best_ask: str | None = ""
    timestamp: Milliseconds = 0


class NewMarket(msgspec.Struct, tag_field="event_type", tag="new_market"):
    market: str | None = ""
    condition_id: str | None = ""


class Resolved(msgspec.Struct, tag_field="event_type", tag="market_resolved"):
    winning_asset_id: str | None = ""
    assets_ids: list[str] | None = None
    timestamp: Milliseconds = 0


SocketEvent = BookEvent | PriceChange | LastTrade | TickSizeChange | BestBidAsk | NewMarket | Resolved
KNOWN_EVENTS = frozenset(
    ("book", "price_change", "last_trade_price", "tick_size_change", "best_bid_ask", "new_market", "market_resolved"),
)


class UnknownEvent(NamedTuple):
    """An event of a name that nobody knows. The name is the peer's word."""

    name: str


class Oddity(NamedTuple):
    """What makes no sense: `kind` is one of a few words of ours, `assets` the tokens that it names."""

    kind: str
    problem: str
    assets: tuple[str, ...] = ()


decode = msgspec.json.Decoder(SocketEvent | list[SocketEvent], strict=False).decode
"""Raises what UNDECODABLE lists. Not strict, so that it makes integers of the times, which are text."""
_decode_loosely = msgspec.json.Decoder(float_hook=str).decode
_decode_book = msgspec.json.Decoder(BookObject).decode
_encode = msgspec.json.encode
_BOOK_TAG = b'"event_type":"book",'


def read_unusual(frame: bytes) -> Iterator[SocketEvent | UnknownEvent | Oddity]:
    """Whatever is in a frame that `decode` refused."""
    if len(frame) > LARGEST_ODD_FRAME:
        yield Oddity("too_large", f"{len(frame)} bytes")
        return
    try:
        loose = _decode_loosely(frame)
    except UNDECODABLE as error:
        yield Oddity("not_json", str(error))
        return
    if isinstance(loose, list) and len(loose) > MOST_EVENTS:
        yield Oddity("too_large", f"{len(loose)} events")
        return
    for each in loose if isinstance(loose, list) else [loose]:
        yield _converted(each)


def _converted(event: Any) -> SocketEvent | UnknownEvent | Oddity:
    if not isinstance(event, dict) or not isinstance(event.get("event_type"), str):
        return Oddity("no_event", f"an event without event_type: {type(event).__name__}", tuple(_named_assets(event)))
    if event["event_type"] not in KNOWN_EVENTS:
        return UnknownEvent(event["event_type"])
    if not str(event.get("timestamp")).isdecimal():
        event.pop("timestamp", None)  # no reason to do without the rest
    try:
        known: SocketEvent = msgspec.convert(numbers_as_text(event), SocketEvent, strict=False)
    except UNDECODABLE as error:
        return Oddity("bad_field", str(error), tuple(_named_assets(event)))
    if isinstance(known, BookEvent):
        known.hash = ""  # what was written as a number is hashed in a form that is not known
    return known


def _named_assets(event: Any) -> Iterator[str]:
    """The tokens that an event names, in the places where events name them."""
    if not isinstance(event, dict):
        return
    changes = event.get("price_changes")
    for each in (event, *(changes if isinstance(changes, list) else ())):
        asset = each.get("asset_id") if isinstance(each, dict) else None
        if isinstance(asset, str | int):
            yield str(asset)


def market_without_changes(frame: bytes) -> str:
    """The market that a `price_change` names whose changes are null; empty where it names none."""
    try:
        loose = _decode_loosely(frame) if len(frame) <= LARGEST_ODD_FRAME else None
    except UNDECODABLE:
        return ""
    for event in loose if isinstance(loose, list) else [loose]:
        if isinstance(event, dict) and event.get("event_type") == "price_change" and event.get("price_changes") is None:
            market = event.get("market")
            return market if isinstance(market, str) else ""
    return ""


def read_book(raw: bytes | msgspec.Raw) -> BookObject:
    """A book of REST, its numbers as text or not. Raises what UNDECODABLE lists."""
    try:
        return _decode_book(raw)
    except msgspec.ValidationError:
        return msgspec.convert(numbers_as_text(_decode_loosely(raw)), BookObject)


# -- values --

PRICES: dict[str, Micros] = {}
"""What `price_micros` said: one look-up instead of a call. There are no more than the finest grid has, in a few spellings."""
_MOST_PRICES = 40_000
SIZES: dict[str, Micros] = {}
"""What `fast_size` said: of the sizes in recorded changes 87 % had been there before."""
_MOST_SIZES = 16_384


def fast_size(text: str) -> Micros:
    """`size_micros`, quicker for what nearly all sizes look like. Raises ValueError."""
    dot = text.find(".")
    digits = text if dot < 0 else text.replace(".", "", 1)
    decimals = 0 if dot < 0 else len(text) - dot - 1
    if dot and len(digits) <= _SHORT and decimals < 7 and digits.isdecimal():
        return int(digits) * _UNITS[decimals]  # type: ignore[return-value]  # calling a NewType takes longer than the rest
    return size_micros(text)


def learn_price(text: str) -> Micros:
    """A price that is not in PRICES yet. Raises ValueError."""
    price = price_micros(text)
    if len(PRICES) < _MOST_PRICES:
        PRICES[text] = price
    return price


def learn_size(text: str) -> Micros:
    """A size that is not in SIZES yet. Raises ValueError."""
    size = fast_size(text)
    if len(SIZES) >= _MOST_SIZES:
        SIZES.clear()
    SIZES[text] = size
    return size


def levels_of(levels: list[WireLevel] | None) -> list[Level]:
    """Raises ValueError. Sizes are looked up, but not learnt: first books would drive out what changes bring again and again."""
    if levels is None:
        return []
    if len(levels) > MOST_LEVELS:
        raise ValueError(f"{len(levels)} levels")
    known, sizes = PRICES.get, SIZES.get
    make = tuple.__new__  # a NamedTuple's own constructor takes twice as long, and a book has forty levels
    return [
        make(
            Level,
            (
                learn_price(level.price) if (price := known(level.price)) is None else price,
                fast_size(level.size) if (size := sizes(level.size)) is None else size,
            ),
        )
        for level in levels
    ]


def milliseconds(text: str) -> int:
    """A book's time; 0 where it says nothing that could be one."""
    return int(text) if text.isdecimal() and len(text) <= _TIME_DIGITS else 0


def best_price(text: str | None) -> Micros | None:
    """A best bid or ask; None for an empty side, which the venue writes as nothing, 0, or 1 for an ask. Raises ValueError."""
    if not text:
        return None
    price = price_micros(text)
    return None if price in (ZERO, ONE) else price


def hash_of(book: BookObject) -> str | None:
    """The hash that the venue should have given this book (A4.1): SHA-1 of compact JSON. None where a field that it covers is missing.

    A side that is null counts as empty, as it is read: the hash says whether it is.
    """
    fields: Iterable[object] = (book.min_order_size, book.tick_size, book.neg_risk, book.last_trade_price)
    if not book.market or not book.timestamp or any(field is None for field in fields):
        return None
    told, bids, asks = book.hash, book.bids, book.asks
    book.hash, book.bids, book.asks = "", bids or [], asks or []
    text = _encode(book)
    book.hash, book.bids, book.asks = told, bids, asks
    return sha1(text.replace(_BOOK_TAG, b"", 1), usedforsecurity=False).hexdigest()
