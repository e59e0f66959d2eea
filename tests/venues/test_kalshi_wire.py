import gzip
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.book import Book, BookDelta, BookSnapshot, Level, MarketEvent, Side
from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey
from arbiter.domain.market import Market, Outcome
from arbiter.domain.money import Micros, parse_micros
from arbiter.venues.kalshi.wire import FrameDecoder, SequenceGap, SubscriptionFailed
from arbiter.venues.wire_numbers import MalformedFrame

TICKER = "KXTEST-26NOV23-A"
OTHER = "KXTEST-26NOV23-B"
YES = OutcomeKey(KALSHI, MarketId(TICKER), OutcomeId("yes"))
NO = OutcomeKey(KALSHI, MarketId(TICKER), OutcomeId("no"))


def market(ticker: str) -> Market:
    key = MarketKey(KALSHI, MarketId(ticker))
    return Market(key, EventId("e"), "t", Outcome(OutcomeId("yes"), "Yes"), Outcome(OutcomeId("no"), "No"), (), Micros(10_000))


def decoder(*tickers: str) -> FrameDecoder:
    return FrameDecoder({ticker: market(ticker) for ticker in tickers or (TICKER,)})


def snapshot_frame(seq: int, sid: int = 1, ticker: str = TICKER, **sides: Any) -> bytes:
    body = {"market_ticker": ticker, "market_id": "m1", **sides}
    return json.dumps({"type": "orderbook_snapshot", "sid": sid, "seq": seq, "msg": body}).encode()


def delta_frame(seq: int, sid: int = 1, ticker: str = TICKER, **fields: Any) -> bytes:
    body = {"market_ticker": ticker, "price_dollars": "0.4200", "delta_fp": "3.25", "side": "yes", "ts_ms": 7, **fields}
    return json.dumps({"type": "orderbook_delta", "sid": sid, "seq": seq, "msg": body}).encode()


def fold(books: dict[OutcomeKey, Book], events: list[MarketEvent]) -> None:
    for event in events:
        if isinstance(event, BookSnapshot):
            books.setdefault(event.outcome, Book(event.outcome)).apply_snapshot(event)
        elif isinstance(event, BookDelta):
            for change in event.changes:
                books[change.outcome].apply_change(change)


def rows(levels: list[list[str]]) -> set[Level]:
    return {Level(parse_micros(price), parse_micros(size)) for price, size in levels}


# -- books --


def test_the_golden_frames_fold_into_the_golden_result(vectors: dict[str, Any]) -> None:
    golden = vectors["kalshi"]["ws_book_apply"]
    wire, books = decoder(), {}
    for each in golden["frames"]:
        fold(books, wire.decode(json.dumps(each).encode()))
    result = golden["result"]
    assert set(books[YES].bids()) == rows(result["yes_bids"])
    assert set(books[NO].bids()) == rows(result["no_bids"])
    assert books[YES].best_bid is not None
    assert books[YES].best_bid.price == parse_micros(result["best_yes_bid"])
    assert books[YES].best_ask == Level(parse_micros(result["best_yes_ask"]), parse_micros(result["best_yes_ask_size"]))
    with pytest.raises(SequenceGap):
        wire.decode(delta_frame(6))


def test_a_snapshot_gives_both_outcomes_each_the_mirror_of_the_other() -> None:
    yes, no = decoder().decode(snapshot_frame(1, yes_dollars_fp=[["0.4200", "25.50"]], no_dollars_fp=[["0.5500", "7.00"]]))
    assert yes == BookSnapshot(YES, (Level(Micros(420_000), Micros(25_500_000)),), (Level(Micros(450_000), Micros(7_000_000)),))
    assert no == BookSnapshot(NO, (Level(Micros(550_000), Micros(7_000_000)),), (Level(Micros(580_000), Micros(25_500_000)),))


def test_an_absent_or_null_side_is_an_empty_side() -> None:
    yes, no = decoder().decode(snapshot_frame(1, no_dollars_fp=None))
    assert (yes, no) == (BookSnapshot(YES, (), ()), BookSnapshot(NO, (), ()))


def test_a_no_delta_is_a_no_bid_and_a_yes_ask_and_signed() -> None:
    (delta,) = decoder().decode(delta_frame(1, side="no", price_dollars="0.5600", delta_fp="-3.25"))
    assert isinstance(delta, BookDelta)
    assert delta.venue_ms == 7
    assert [(c.outcome, c.side, c.price, c.size, c.signed) for c in delta.changes] == [
        (NO, Side.BUY, 560_000, -3_250_000, True),
        (YES, Side.SELL, 440_000, -3_250_000, True),
    ]


@given(st.lists(st.tuples(st.sampled_from(["yes", "no"]), st.integers(1, 99), st.integers(1, 10_000)), min_size=1, max_size=30))
def test_after_any_deltas_the_two_books_mirror_each_other(changes: list[tuple[str, int, int]]) -> None:
    wire, books = decoder(), {}
    fold(books, wire.decode(snapshot_frame(1)))
    for seq, (side, cents, count) in enumerate(changes, 2):
        fold(books, wire.decode(delta_frame(seq, side=side, price_dollars=f"0.{cents:02d}00", delta_fp=f"{count}.00")))
    assert [(1_000_000 - p, s) for p, s in books[YES].bids()] == list(books[NO].asks())
    assert [(1_000_000 - p, s) for p, s in books[NO].bids()] == list(books[YES].asks())
    assert sum(s for _, s in books[YES].bids() + books[NO].bids()) == sum(count for _, _, count in changes) * 1_000_000


# -- the sequence --


@pytest.mark.parametrize("seq", [1, 2, 4, 5, 0, -1])
def test_a_skip_a_repeat_or_a_decrease_is_a_gap(seq: int) -> None:
    wire = decoder()
    wire.decode(snapshot_frame(1))
    wire.decode(delta_frame(2))
    with pytest.raises(SequenceGap):
        wire.decode(delta_frame(seq))


def test_a_subscription_starts_at_one() -> None:
    with pytest.raises(SequenceGap):
        decoder().decode(snapshot_frame(2))


def test_the_sequence_counts_a_whole_subscription_over_all_its_markets() -> None:
    wire = decoder(TICKER, OTHER)
    wire.decode(snapshot_frame(1))
    wire.decode(snapshot_frame(2, ticker=OTHER))
    with pytest.raises(SequenceGap):
        wire.decode(delta_frame(2, ticker=OTHER))


def test_each_subscription_counts_for_itself() -> None:
    wire = decoder()
    wire.decode(snapshot_frame(1, sid=1))
    wire.decode(snapshot_frame(1, sid=2))
    assert len(wire.decode(delta_frame(2, sid=1))) == 1


@pytest.mark.parametrize("type_", ["ok", "unsubscribed", "trade", "something_new"])
def test_frames_that_change_no_book_consume_a_number_too(type_: str) -> None:
    wire = decoder()
    wire.decode(snapshot_frame(1))
    assert wire.decode(json.dumps({"type": type_, "id": 9, "sid": 1, "seq": 2, "msg": {}}).encode()) == []
    assert len(wire.decode(delta_frame(3))) == 1


def test_frames_without_a_number_consume_none() -> None:
    wire = decoder()
    wire.decode(snapshot_frame(1))
    for text in (b'{"id":1,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}', b'{"type":"ticker","sid":3,"msg":{}}'):
        assert wire.decode(text) == []
    assert len(wire.decode(delta_frame(2))) == 1
    assert wire.unknown_events == 1


def test_a_frame_of_a_market_we_do_not_follow_is_counted_and_keeps_the_sequence() -> None:
    wire = decoder()
    assert wire.decode(snapshot_frame(1, ticker=OTHER)) == []
    assert wire.decode(delta_frame(2, ticker=OTHER)) == []
    assert wire.unknown_events == 2
    assert len(wire.decode(snapshot_frame(3))) == 2


# -- what is odd --


def test_an_error_frame_ends_the_subscription_with_the_venues_code() -> None:
    with pytest.raises(SubscriptionFailed) as caught:
        decoder().decode(b'{"type":"error","id":4,"msg":{"code":25,"msg":"Subscription buffer overflow"}}')
    assert caught.value.code == 25


def test_numbers_are_taken_as_json_numbers_too_and_exactly() -> None:
    body = b'{"market_ticker":"KXTEST-26NOV23-A","price_dollars":0.57,"delta_fp":-2,"side":"yes"}'
    text = b'{"type":"orderbook_delta","sid":1,"seq":1,"msg":' + body + b"}"
    (delta,) = decoder().decode(text)
    assert isinstance(delta, BookDelta)
    assert (delta.changes[0].price, delta.changes[0].size) == (570_000, -2_000_000)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"heartbeat",
        b'{"type":"orderb',
        b"[" * 100_000,
        b'{"type":"new","a":' + b"[" * 100_000,
        b'{"type":"\xff"}',
        b'{"type":"new","seq":' + b"1" * 5_000 + b"}",
        b"[]",
        b"7",
        b'{"type":null}',
        b'{"type":"orderbook_delta","sid":1,"seq":1}',
        b'{"type":"orderbook_delta","sid":"x","seq":1,"msg":{}}',
        delta_frame(1, side="maybe"),
        delta_frame(1, price_dollars="1.0001"),
        delta_frame(1, price_dollars="-0.01"),
        delta_frame(1, delta_fp="three"),
        snapshot_frame(1, yes_dollars_fp=[["0.4000", "-1.00"]]),
        snapshot_frame(1, yes_dollars_fp=[["0.4000"]]),
        snapshot_frame(1, yes_dollars_fp={"0.4": "1"}),
    ],
)
def test_a_malformed_frame_is_one_kind_of_error(text: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decoder().decode(text)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([TICKER, "0.5", "yes"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_bodies = st.fixed_dictionaries(
    {"market_ticker": st.just(TICKER) | _values},
    optional={
        name: st.sampled_from(["0.5", "1", "yes", [["0.5", "1"]]]) | _values
        for name in ("price_dollars", "delta_fp", "side", "ts_ms", "yes_dollars_fp", "no_dollars_fp", "code", "msg")
    },
)
_likely = st.fixed_dictionaries(
    {"type": st.sampled_from(["orderbook_delta", "orderbook_snapshot", "error", "subscribed", "ok", "x"]) | _values},
    optional={"sid": st.just(1) | _values, "seq": st.just(1) | _values, "msg": _bodies | _values, "id": _values},
)


@given(_likely | _values)
def test_random_json_gives_events_or_an_error_that_drops_the_connection(value: Any) -> None:
    try:
        events = decoder().decode(json.dumps(value).encode())
    except (MalformedFrame, SequenceGap, SubscriptionFailed):
        return
    assert all(isinstance(event, BookSnapshot | BookDelta) for event in events)


# -- recorded data --


RECORDED = ["KXGOLD15M-26AUG102200-00/2026-08-11", "KXGOLD15M-26AUG101930-30/2026-08-10"]


def recorded_events(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        for line in file:
            yield json.loads(line)["event"]


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_window_folds_into_the_books_of_an_independent_fold(recording: Callable[[str], Path], name: str) -> None:
    """The files hold one market of a busy subscription, so its frames are renumbered; nothing else is changed."""
    ticker = name.partition("/")[0]
    wire, books = decoder(ticker), {}
    yes, no = (OutcomeKey(KALSHI, MarketId(ticker), OutcomeId(side)) for side in ("yes", "no"))
    expected: dict[str, dict[str, Decimal]] = {"yes": {}, "no": {}}
    last: dict[int, int] = {}
    deltas = 0
    for event in recorded_events(recording(f"kalshi-ws/{name}.ndjson.gz")):
        last[event["sid"]] = event["seq"] = last.get(event["sid"], 0) + 1
        fold(books, wire.decode(json.dumps(event).encode()))
        deltas += event["type"] == "orderbook_delta"
        _fold_plainly(expected, event)
    assert deltas > 27_000
    assert books[yes].bids() == _best_first(expected["yes"])
    assert books[no].bids() == _best_first(expected["no"])
    assert books[yes].asks() == tuple(Level(Micros(1_000_000 - p), s) for p, s in _best_first(expected["no"]))
    assert wire.unknown_events > 700, "the recorded trades are of a channel that we do not follow"


def _fold_plainly(sides: dict[str, dict[str, Decimal]], event: dict[str, Any]) -> None:
    body = event["msg"]
    if event["type"] == "orderbook_snapshot":
        for side, levels in sides.items():
            levels.clear()
            levels.update({price: Decimal(size) for price, size in body.get(f"{side}_dollars_fp") or []})
    elif event["type"] == "orderbook_delta":
        levels = sides[body["side"]]
        levels[body["price_dollars"]] = levels.get(body["price_dollars"], Decimal(0)) + Decimal(body["delta_fp"])


def _best_first(levels: dict[str, Decimal]) -> tuple[Level, ...]:
    kept = [Level(Micros(int(Decimal(price) * 1_000_000)), Micros(int(size * 1_000_000))) for price, size in levels.items() if size]
    return tuple(sorted(kept, reverse=True))


def test_the_recorded_jumps_of_a_filtered_file_would_be_gaps(recording: Callable[[str], Path]) -> None:
    wire = decoder(RECORDED[0].partition("/")[0])
    event = next(recorded_events(recording(f"kalshi-ws/{RECORDED[0]}.ndjson.gz")))
    assert event["seq"] > 1
    with pytest.raises(SequenceGap):
        wire.decode(json.dumps(event).encode())
