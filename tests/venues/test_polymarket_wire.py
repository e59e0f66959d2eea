"""Polymarket's frames -> books: golden vectors, recorded production frames against a naive fold, and fuzz."""

import csv
import gzip
import json
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arbiter.domain.book import Book, Level
from arbiter.domain.market_events import MarketEvent
from arbiter.domain.money import parse_micros
from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Followed
from arbiter.venues.polymarket import wire
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.frames import FrameReader
from arbiter.venues.polymarket.hosts import PolymarketPace
from arbiter.venues.polymarket.repairs import Repairs
from arbiter.venues.polymarket.tokens import FollowedMarket
from arbiter.venues.wire_numbers import size_micros
from tests.polyvenue import book_hash, poly_market


class Desk:
    """One reader on two followed markets, and what it told."""

    def __init__(self, *tokens: str) -> None:
        names = tokens or ("1001", "1002", "2001", "2002")
        pairs = list(zip(names[::2], names[1::2], strict=True))
        markets = [self._followed(number, *pair) for number, pair in enumerate(pairs, 1)]
        self.books: dict[str, Book] = {token.id: token.book for market in markets for token in market.tokens}
        self.told: list[MarketEvent] = []
        self.changes: list[tuple[str, int]] = []
        surroundings: Any = SimpleNamespace(monotonic=lambda: 0.0, unix_ms=lambda: 0, random=random.Random(1))
        self.counters = Counters("polymarket", surroundings)
        self.repairs = Repairs(self, PolymarketPace(), self.counters)
        self.alarms: list[str] = []
        tokens_by_id = {token.id: token for market in markets for token in market.tokens}
        self.reader = FrameReader(
            *(tokens_by_id, self, self.repairs, self.counters, {}, lambda: None, lambda token, _: self.alarms.append(token.id))
        )

    def _followed(self, number: int, yes: str, no: str) -> FollowedMarket:
        base = poly_market(number)
        market = msgspec.structs.replace(base, yes=msgspec.structs.replace(base.yes, id=yes), no=msgspec.structs.replace(base.no, id=no))
        return FollowedMarket(Followed(market, Book(market.yes_key), Book(market.no_key)))

    def read(self, *events: dict[str, Any]) -> None:
        self.reader.read(json.dumps(events[0] if len(events) == 1 else events).encode())

    def changed(self, book: Book, venue_ms: int) -> None:
        self.changes.append((book.outcome.outcome, venue_ms))

    def proved(self, outcomes: Any, at: float) -> None:
        raise AssertionError("a reader proves nothing by REST")

    def alive(self, line: int) -> None:
        raise AssertionError("a reader knows no line")

    def tell(self, event: MarketEvent) -> None:
        self.told.append(event)


def book_event(asset: str = "1001", **fields: Any) -> dict[str, Any]:
    return {"event_type": "book", "market": "0xaa", "asset_id": asset, "hash": "h1", "timestamp": "1767225600123", **fields}


def change_event(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"event_type": "price_change", "market": "0xaa", "timestamp": "1767225600200", "price_changes": list(changes)}


def levels(rows: list[dict[str, str]]) -> tuple[Level, ...]:
    return tuple(Level(parse_micros(row["price"]), parse_micros(row["size"])) for row in rows)


# -- the golden examples --


def test_the_golden_book_and_changes_fold_into_the_golden_result(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["ws_book_apply"]
    desk = Desk()
    desk.read(book_event(**golden["snapshot"]))
    desk.read(change_event(*[{"asset_id": "1001", "hash": "", **each} for each in golden["price_changes"]]))
    assert desk.books["1001"].bids() == levels(golden["result"]["bids"])
    assert desk.books["1001"].asks() == levels(golden["result"]["asks"])
    assert desk.changes == [("1001", 1767225600123), ("1001", 1767225600200)]


def test_the_hash_covers_the_whole_book_as_the_vectors_and_a_recorded_book_say(
    vectors: dict[str, Any], recording: Callable[[str], Path]
) -> None:
    golden = vectors["polymarket"]["book_hash"]
    recorded = json.loads(recording("polymarket-rest/book.json").read_text())
    for book, right in ((golden["book"], golden["sha1"]), (recorded, recorded["hash"])):
        assert wire.hash_of(msgspec.convert({**book, "hash": "whatever"}, wire.BookObject)) == right
        event = msgspec.convert({"event_type": "book", **book}, wire.BookEvent)
        event.hash = "kept"
        assert wire.hash_of(event) == right == book_hash(book)
        assert event.hash == "kept"


def test_a_book_whose_hash_is_right_is_taken_and_one_whose_hash_is_wrong_raises_the_alarm(vectors: dict[str, Any]) -> None:
    golden = vectors["polymarket"]["book_hash"]
    desk = Desk(golden["book"]["asset_id"], "2")
    desk.read({"event_type": "book", **golden["book"], "hash": golden["sha1"]})
    book = desk.books[golden["book"]["asset_id"]]
    assert (book.trusted, desk.alarms) == (True, [])
    desk.read({"event_type": "book", **golden["book"], "bids": [], "hash": golden["sha1"]})
    assert desk.alarms == [golden["book"]["asset_id"]]
    assert book.bids(), "nothing of it was written"
    assert desk.counters.hash_mismatches == 1


def test_a_recorded_one_sided_book_is_read_whole_with_its_best_ask_first(recording: Callable[[str], Path]) -> None:
    recorded = json.loads(recording("polymarket-rest/book.json").read_text())
    desk = Desk(recorded["asset_id"], "other")
    desk.read({"event_type": "book", **recorded})
    book = desk.books[recorded["asset_id"]]
    assert book.best_bid is None
    assert len(book.asks()) == len(recorded["asks"])
    assert book.best_ask == Level(parse_micros("0.001"), parse_micros("385409.39"))
    assert sum(level.size for level in book.asks()) == sum(Decimal(row["size"]) for row in recorded["asks"]) * 1_000_000


# -- recorded production frames --


@pytest.mark.parametrize("name", ["20250619_mlb-kc-tex-2025-06-19", "20250624_mlb-tex-bal-2025-06-24", "20250701_mlb-det-wsh-2025-07-01"])
def test_recorded_frames_fold_like_a_naive_fold_at_every_message(recording: Callable[[str], Path], name: str) -> None:
    """The recording is flattened, so it is put back into frames: the `book` rows of one hash, one frame a `price_change` row."""
    with gzip.open(recording(f"polymarket-ws/{name}_events.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    assets = sorted({row["asset_id"] for row in rows})
    desk = Desk(*assets, *(["odd"] if len(assets) % 2 else []))
    naive: dict[str, dict[str, dict[Decimal, Decimal]]] = {}
    frames = 0
    for event in _frames(rows):
        desk.read(event)
        frames += 1
        for asset in _fold(naive, event):
            book = desk.books[asset]
            for side, found in (("BUY", book.bids()), ("SELL", book.asks())):
                assert {level.price: level.size for level in found} == {
                    int(p * 10**6): int(s * 10**6) for p, s in naive[asset][side].items()
                }
                prices = [level.price for level in found]
                assert prices == sorted(prices, reverse=side == "BUY")
    assert frames > 30
    assert desk.counters.statistics()["malformed_frames"] == desk.counters.unknown_events == 0


def _frames(rows: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    pending: list[dict[str, str]] = []
    sides = {"bid": "BUY", "ask": "SELL", "BUY": "BUY", "SELL": "SELL"}

    def whole() -> dict[str, Any]:
        found: dict[str, list[dict[str, str]]] = {"BUY": [], "SELL": []}
        for row in pending:
            found[sides[row["side"]]].append({"price": row["price"], "size": row["size"]})
        return book_event(pending[0]["asset_id"], hash=pending[0]["hash"], bids=found["BUY"], asks=found["SELL"])

    for row in rows:
        if pending and (row["event_type"], row["asset_id"], row["hash"]) != ("book", pending[0]["asset_id"], pending[0]["hash"]):
            yield whole()
            pending.clear()
        if row["event_type"] == "book":
            pending.append(row)
        else:
            change = {
                "asset_id": row["asset_id"],
                "price": row["price"],
                "size": row["size"],
                "side": sides[row["side"]],
                "hash": row["hash"],
            }
            yield change_event(change)
    if pending:
        yield whole()


def _fold(books: dict[str, dict[str, dict[Decimal, Decimal]]], event: dict[str, Any]) -> Iterator[str]:
    """As simple as can be: dictionaries of decimals. A change before the first book changes nothing."""
    if event["event_type"] == "book":
        sides = {"BUY": event["bids"], "SELL": event["asks"]}
        books[event["asset_id"]] = {
            side: {Decimal(row["price"]): Decimal(row["size"]) for row in rows if Decimal(row["size"])} for side, rows in sides.items()
        }
        yield event["asset_id"]
        return
    for change in event["price_changes"]:
        if change["asset_id"] not in books:
            continue
        side = books[change["asset_id"]][change["side"]]
        side[Decimal(change["price"])] = Decimal(change["size"])
        if not Decimal(change["size"]):
            del side[Decimal(change["price"])]
        yield change["asset_id"]


# -- values --


@pytest.mark.parametrize("text", ["0", "10", "1.5", "0.000001", "12345678901.5", "999999999999", "007", "5.", "120.5000000000"])
def test_sizes_are_read_quickly_as_they_are_read_slowly(text: str) -> None:
    assert wire.fast_size(text) == size_micros(text)


@given(st.one_of(st.text(alphabet="0123456789.-+eE _", max_size=16), st.decimals(0, 10**9, places=6).map(str)))
@example("٣.²")
@example(".5")
def test_what_is_read_quickly_is_never_another_size(text: str) -> None:
    try:
        right = size_micros(text)
    except ValueError:
        with pytest.raises(ValueError, match=r".+"):
            wire.fast_size(text)
    else:
        assert wire.fast_size(text) == right


def test_an_empty_side_has_no_best_price() -> None:
    assert [wire.best_price(text) for text in (None, "", "0", "0.00", "1", "1.000")] == [None] * 6
    assert wire.best_price("0.999") == 999_000


# -- fuzz --

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["0.5", "1001", "BUY", "book"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_one = {"asset_id": "1001", "price": "0.49", "size": "10", "side": "BUY"}
_names = ("asset_id", "bids", "asks", "price", "size", "side", "timestamp", "price_changes", "new_tick_size", "hash")
_more = ("best_bid", "best_ask", "market", "condition_id", "winning_asset_id", "assets_ids", "tick_size", "neg_risk", "last_trade_price")
_likely = st.fixed_dictionaries(
    {"event_type": st.sampled_from([*sorted(wire.KNOWN_EVENTS), "x"]) | _values},
    optional={
        name: _values | st.sampled_from(["1001", "0.5", "BUY", [_one], [_one | {"side": "no"}], [{"price": "0.4", "size": "1"}]])
        for name in (*_names, *_more)
    },
)


def survives(frame: bytes) -> None:
    """A frame changes books that are trusted, makes some untrusted, or is malformed: nothing else comes of it."""
    desk = Desk()
    desk.read(*[book_event(token, bids=[{"price": "0.4", "size": "5"}], asks=[{"price": "0.6", "size": "5"}]) for token in desk.books])
    try:
        desk.reader.read(frame)
    except VenueUnavailable:
        return
    desk.reader.look(1.0)
    for book in desk.books.values():
        assert all(0 <= level.price <= 10**6 and level.size > 0 for level in book.bids() + book.asks())
        assert book.trusted or not book.bids()
    assert all(0 <= ms < 10**16 for _, ms in desk.changes)


@given(st.one_of(_likely, st.lists(_likely, max_size=3), _values))
def test_random_json_makes_books_or_trouble_and_nothing_else(value: Any) -> None:
    survives(json.dumps(value).encode())


@given(st.binary(max_size=200))
@example(b"\x00")
def test_random_bytes_make_trouble_and_nothing_else(data: bytes) -> None:
    survives(data)


def test_the_reader_remembers_only_so_many_new_markets() -> None:
    desk = Desk()
    for number in range(3000):
        desk.read({"event_type": "new_market", "market": f"0x{number}", "id": str(number)})
    assert len(desk.told) == 3000
    assert len(desk.reader._listed) == 1000
