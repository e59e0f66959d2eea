import csv
import gzip
import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arbiter.domain.book import Book, BookDelta, BookSnapshot, Level, PublicTrade, Side, TickSizeChanged
from arbiter.domain.ids import POLYMARKET, MarketId, OutcomeId, OutcomeKey
from arbiter.domain.market import Market
from arbiter.domain.money import parse_micros
from arbiter.venues.polymarket.wire import FrameDecoder, RestBook, _Level
from arbiter.venues.wire_numbers import MalformedFrame

UP = OutcomeKey(POLYMARKET, MarketId("0xaa"), OutcomeId("123"))
DOWN = OutcomeKey(POLYMARKET, MarketId("0xaa"), OutcomeId("456"))


def decoder() -> FrameDecoder:
    return FrameDecoder({"123": UP, "456": DOWN})


def frame(*events: dict[str, Any]) -> bytes:
    return json.dumps(events[0] if len(events) == 1 else events).encode()


def book_event(**fields: Any) -> dict[str, Any]:
    return {"event_type": "book", "market": "0xaa", "asset_id": "123", "hash": "h1", "timestamp": "1767225600123", **fields}


def change_event(*changes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"event_type": "price_change", "market": "0xaa", "timestamp": "1767225600200", "price_changes": list(changes), **fields}


def change(asset: str = "123", price: str = "0.49", size: str = "10", side: str = "BUY", **fields: Any) -> dict[str, Any]:
    return {"asset_id": asset, "price": price, "size": size, "side": side, "hash": "h2", **fields}


def levels(rows: list[dict[str, str]]) -> tuple[Level, ...]:
    return tuple(Level(parse_micros(row["price"]), parse_micros(row["size"])) for row in rows)


# -- the golden example --


def test_the_golden_book_and_changes_fold_into_the_golden_result(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["ws_book_apply"]
    decode, book = decoder().decode, Book(UP)
    (snapshot,) = decode(frame(book_event(**golden["snapshot"])))
    assert isinstance(snapshot, BookSnapshot)
    book.apply_snapshot(snapshot)
    (delta,) = decode(frame(change_event(*[{"asset_id": "123", "hash": "", **each} for each in golden["price_changes"]])))
    assert isinstance(delta, BookDelta)
    for each in delta.changes:
        book.apply_change(each)
    assert book.bids() == levels(golden["result"]["bids"])
    assert book.asks() == levels(golden["result"]["asks"])


def test_a_change_is_the_new_size_of_a_level_of_its_outcome_and_side() -> None:
    (delta,) = decoder().decode(frame(change_event(change(), change("456", "0.51", "7.5", "SELL"))))
    assert isinstance(delta, BookDelta)
    assert delta.venue_ms == 1767225600200
    assert [(c.outcome, c.side, c.price, c.size, c.signed) for c in delta.changes] == [
        (UP, Side.BUY, 490_000, 10_000_000, False),
        (DOWN, Side.SELL, 510_000, 7_500_000, False),
    ]


def test_an_array_frame_gives_its_events_in_order_and_an_empty_one_none() -> None:
    events = decoder().decode(frame(book_event(), book_event(asset_id="456"), change_event(change())))
    assert [type(event) for event in events] == [BookSnapshot, BookSnapshot, BookDelta]
    assert decoder().decode(b"[]") == []


def test_a_book_may_have_null_or_missing_sides() -> None:
    (snapshot,) = decoder().decode(frame(book_event(bids=None)))
    assert snapshot == BookSnapshot(UP, (), (), 1767225600123)


def test_a_trade_and_a_tick_change_are_told() -> None:
    trade = {"event_type": "last_trade_price", "asset_id": "456", "price": "0.52", "size": "3", "side": "SELL", "timestamp": "5"}
    tick = {"event_type": "tick_size_change", "asset_id": "123", "old_tick_size": "0.01", "new_tick_size": "0.001"}
    events = decoder().decode(frame(trade, tick))
    assert isinstance(events[0], PublicTrade)
    assert (events[0].outcome, events[0].price, events[0].size, events[0].side) == (DOWN, 520_000, 3_000_000, Side.SELL)
    assert events[1] == TickSizeChanged(UP.market_key, events[1].tick)  # type: ignore[union-attr]
    assert events[1].tick == 1_000  # type: ignore[union-attr]


# -- what is unknown, what is malformed --


def test_unknown_fields_are_ignored_and_unknown_events_and_assets_counted() -> None:
    wire = decoder()
    assert len(wire.decode(frame(book_event(brand_new={"deep": [1, 2]})))) == 1
    assert wire.unknown_events == 0
    assert wire.decode(frame({"event_type": "best_bid_ask", "asset_id": "123"})) == []
    assert wire.decode(frame(book_event(asset_id="999"))) == []
    assert wire.decode(frame(change_event(change("999")))) == []
    assert wire.unknown_events == 3


def test_an_unknown_event_among_known_ones_does_not_hide_them() -> None:
    wire = decoder()
    events = wire.decode(frame(book_event(), {"event_type": "new_market", "tags": []}, change_event(change())))
    assert [type(event) for event in events] == [BookSnapshot, BookDelta]
    assert wire.unknown_events == 1


def test_numbers_are_taken_as_json_numbers_too_and_exactly() -> None:
    text = (
        b'{"event_type":"price_change","timestamp":1767225600200,"price_changes":[{"asset_id":"123","price":0.57,"size":10,"side":"BUY"}]}'
    )
    (delta,) = decoder().decode(text)
    assert isinstance(delta, BookDelta)
    assert (delta.changes[0].price, delta.changes[0].size, delta.venue_ms) == (570_000, 10_000_000, 1767225600200)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"PONG ",
        b"{",
        b'{"event_type":"someth',
        b"[" * 100_000,
        b'{"event_type":"new","a":' + b"[" * 100_000,
        b'{"event_type":"\xff"}',
        b'{"event_type":"new","a":' + b"1" * 5_000 + b"}",
        b"1",
        b"null",
        b"[[]]",
        b'{"event_type":7}',
        b'{"event_type":"book"}',
        frame(book_event(bids=[{"price": "1.01", "size": "1"}])),
        frame(book_event(bids=[{"price": "0.5", "size": "-1"}])),
        frame(book_event(bids=[{"price": "0.5"}])),
        frame(change_event(change(side="HOLD"))),
        frame(change_event(change(price="nan"))),
        frame(change_event(change(size="1e3"))),
        frame({"event_type": "tick_size_change", "asset_id": "123", "new_tick_size": "0"}),
    ],
)
def test_a_malformed_frame_is_one_kind_of_error(text: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decoder().decode(text)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["0.5", "123", "BUY", "book"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_likely = st.fixed_dictionaries(
    {"event_type": st.sampled_from(["book", "price_change", "last_trade_price", "tick_size_change", "x"]) | _values},
    optional={
        name: _values | st.sampled_from(["123", "0.5", "BUY", [change()]])
        for name in ("asset_id", "bids", "asks", "price", "size", "side", "timestamp", "price_changes", "new_tick_size", "hash")
    },
)


@given(st.one_of(_likely, st.lists(_likely, max_size=3), _values))
def test_random_json_gives_events_or_a_malformed_frame_and_nothing_else(value: Any) -> None:
    try:
        events = decoder().decode(json.dumps(value).encode())
    except MalformedFrame:
        return
    assert all(isinstance(event, BookSnapshot | BookDelta | PublicTrade | TickSizeChanged) for event in events)


@given(st.binary(max_size=200))
@example(b"\x00")
def test_random_bytes_give_events_or_a_malformed_frame_and_nothing_else(data: bytes) -> None:
    try:
        events = decoder().decode(data)
    except MalformedFrame:
        return
    assert events == []


# -- comparing with REST --


def rest(hash: str, bid: str, ask: str, timestamp: str = "1767225600900") -> RestBook:
    return RestBook("123", hash, timestamp, [_Level("0.01", "5"), _Level(bid, "10")], [_Level("0.99", "5"), _Level(ask, "8")])


def told_by_change() -> FrameDecoder:
    wire = decoder()
    wire.decode(frame(change_event(change(best_bid="0.49", best_ask="0.52"))))
    return wire


def test_after_a_book_another_hash_with_a_later_time_contradicts() -> None:
    wire = decoder()
    wire.decode(frame(book_event()))
    assert not wire.contradicts(rest("h1", "0.48", "0.52"))
    assert wire.contradicts(rest("other", "0.48", "0.52"))
    assert not wire.contradicts(rest("other", "0.48", "0.52", timestamp="1767225600123")), "REST may lag behind the socket"


def test_after_a_change_the_best_prices_decide() -> None:
    assert not told_by_change().contradicts(rest("other", "0.49", "0.52"))
    assert told_by_change().contradicts(rest("other", "0.48", "0.52"))
    assert told_by_change().contradicts(rest("other", "0.49", "0.53"))
    assert not told_by_change().contradicts(rest("h2", "0.40", "0.60")), "an equal hash settles it"


def test_what_was_not_told_or_was_forgotten_contradicts_nothing() -> None:
    assert not decoder().contradicts(rest("x", "0.1", "0.2"))
    wire = told_by_change()
    assert list(wire.told) == ["123"]
    wire.forget(["123", "456"])
    assert list(wire.told) == []
    assert not wire.contradicts(rest("other", "0.48", "0.52"))


def test_an_unreadable_rest_book_is_malformed() -> None:
    with pytest.raises(MalformedFrame):
        told_by_change().contradicts(rest("other", "abc", "0.52"))


# -- recorded data --


def _hash(book: dict[str, Any]) -> str:
    """The venue's own checksum (A4.1): SHA-1 of compact JSON in this order of keys, with an empty hash."""
    keys = ("market", "asset_id", "timestamp", "hash", "bids", "asks", "min_order_size", "tick_size", "neg_risk", "last_trade_price")
    body = {key: "" if key == "hash" else book[key] for key in keys}
    return hashlib.sha1(json.dumps(body, separators=(",", ":")).encode(), usedforsecurity=False).hexdigest()


def test_the_book_hash_covers_the_whole_book_as_the_vectors_and_a_recorded_book_say(
    vectors: dict[str, Any], recording: Callable[[str], Path]
) -> None:
    golden = vectors["polymarket"]["book_hash"]
    assert _hash(golden["book"]) == golden["sha1"]
    recorded = json.loads(recording("polymarket-rest/book.json").read_text())
    assert _hash(recorded) == recorded["hash"]


def test_a_recorded_one_sided_book_is_read_whole_with_its_best_ask_first(
    recording: Callable[[str], Path], polymarket_market: Callable[..., Market]
) -> None:
    recorded = json.loads(recording("polymarket-rest/book.json").read_text())
    market = polymarket_market(recorded["market"], recorded["asset_id"], "other")
    (snapshot,) = FrameDecoder({recorded["asset_id"]: market.yes_key}).decode(frame({"event_type": "book", **recorded}))
    assert isinstance(snapshot, BookSnapshot)
    book = Book(market.yes_key)
    book.apply_snapshot(snapshot)
    assert book.best_bid is None
    assert len(book.asks()) == len(recorded["asks"])
    assert book.best_ask == Level(parse_micros("0.001"), parse_micros("385409.39"))
    assert sum(level.size for level in book.asks()) == sum(Decimal(row["size"]) for row in recorded["asks"]) * 1_000_000


def test_recorded_socket_rows_fold_like_an_independent_fold(recording: Callable[[str], Path]) -> None:
    """The recording is flattened, so it is put back into frames: the `book` rows of one hash, one frame a `price_change` row."""
    with gzip.open(recording("polymarket-ws/20250619_mlb-kc-tex-2025-06-19_events.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    assets = sorted({row["asset_id"] for row in rows})
    keys = {asset: OutcomeKey(POLYMARKET, MarketId("m"), OutcomeId(asset)) for asset in assets}
    wire, books = FrameDecoder(keys), {asset: Book(key) for asset, key in keys.items()}
    expected: dict[tuple[str, str], dict[str, str]] = {}
    for text in _frames(rows, expected):
        for event in wire.decode(text):
            if isinstance(event, BookSnapshot):
                books[event.outcome.outcome].apply_snapshot(event)
            elif isinstance(event, BookDelta):
                for each in event.changes:
                    books[each.outcome.outcome].apply_change(each)
    assert wire.unknown_events == 0
    for asset, book in books.items():
        for side, found in (("bid", book.bids()), ("ask", book.asks())):
            wanted = {parse_micros(p): parse_micros(s) for p, s in expected[asset, side].items() if Decimal(s)}
            assert dict(found) == wanted
    assert any(book.bids() and book.asks() for book in books.values())


def _frames(rows: list[dict[str, str]], expected: dict[tuple[str, str], dict[str, str]]) -> list[bytes]:
    frames: list[bytes] = []
    pending: list[dict[str, str]] = []

    def flush() -> None:
        if pending:
            sides = {side: [{"price": r["price"], "size": r["size"]} for r in pending if r["side"] == side] for side in ("bid", "ask")}
            first = pending[0]
            frames.append(frame(book_event(asset_id=first["asset_id"], hash=first["hash"], bids=sides["bid"], asks=sides["ask"])))
            for side in ("bid", "ask"):
                expected[first["asset_id"], side] = {level["price"]: level["size"] for level in sides[side]}
            pending.clear()

    for row in rows:
        if pending and (row["event_type"], row["asset_id"], row["hash"]) != ("book", pending[0]["asset_id"], pending[0]["hash"]):
            flush()
        if row["event_type"] == "book":
            pending.append(row)
            continue
        side = {"bid": "BUY", "ask": "SELL"}[row["side"]]
        frames.append(frame(change_event(change(row["asset_id"], row["price"], row["size"], side))))
        expected.setdefault((row["asset_id"], row["side"]), {})[row["price"]] = row["size"]
    flush()
    return frames
