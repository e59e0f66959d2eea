"""What Kalshi's frames do: books in place, the sequence, the other channels, what is odd, and recorded windows."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.book import Book, Level, PublicTrade, Side
from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey
from arbiter.domain.market import Market, MarketStatus, Outcome, Resolution, TickRange
from arbiter.domain.market_events import GridChanged, MarketEvent, MarketListed, MarketResolved, StatusChanged, Ticker
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.runtime import Environment
from arbiter.venues.base import Followed
from arbiter.venues.kalshi import wire
from arbiter.venues.kalshi.frames import BadBook, FrameReader, SubscriptionFailed
from arbiter.venues.kalshi.subscriptions import SequenceGap, Subscriptions
from arbiter.venues.tally import Tally
from arbiter.venues.wire_numbers import MalformedFrame

TICKER = "KXTEST-26NOV23-A"
OTHER = "KXTEST-26NOV23-B"
YES = OutcomeKey(KALSHI, MarketId(TICKER), OutcomeId("yes"))
NO = OutcomeKey(KALSHI, MarketId(TICKER), OutcomeId("no"))
KEY = MarketKey(KALSHI, MarketId(TICKER))


def market(ticker: str) -> Market:
    key = MarketKey(KALSHI, MarketId(ticker))
    return Market(key, EventId("e"), "t", Outcome(OutcomeId("yes"), "Yes"), Outcome(OutcomeId("no"), "No"), (), Micros(10_000))


class Reading:
    """A reader with its books, and what it told."""

    def __init__(self, *tickers: str) -> None:
        markets = {ticker: market(ticker) for ticker in tickers or (TICKER,)}
        self.followed = {ticker: Followed(each, Book(each.yes_key), Book(each.no_key)) for ticker, each in markets.items()}
        self.books = {book.outcome: book for each in self.followed.values() for book in (each.yes, each.no)}
        self.changes: list[tuple[OutcomeKey, int]] = []
        self.told: list[MarketEvent] = []
        self.fees: list[wire.FeeBody] = []
        self.tally = Tally(KALSHI, Environment.simulated(1))
        self.subscriptions = Subscriptions(500)
        self.reader = FrameReader(self.subscriptions, self, self.tally, self.fees.append)
        self.reader.follow(self.followed)

    def read(self, frame: bytes) -> bool:
        return self.reader.read(frame)

    def changed(self, book: Book, venue_ms: int) -> None:
        self.changes.append((book.outcome, venue_ms))

    def proved(self, outcomes: Any, at: float) -> None:
        raise AssertionError("nothing here proves a single book")

    def alive(self, line: int) -> None:
        raise AssertionError("that is said by who owns the connection")

    def tell(self, event: MarketEvent) -> None:
        self.told.append(event)

    def levels(self, outcome: OutcomeKey) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        book = self.books[outcome]
        return list(book.bids()), list(book.asks())


def frame_of(kind: str, body: dict[str, Any], **head: Any) -> bytes:
    return json.dumps({"type": kind, "sid": 1, "seq": 1, **head, "msg": body}).encode()


def snapshot_frame(seq: int, sid: int = 1, ticker: str = TICKER, **sides: Any) -> bytes:
    return frame_of("orderbook_snapshot", {"market_ticker": ticker, "market_id": "m1", **sides}, sid=sid, seq=seq)


def delta_frame(seq: int, sid: int = 1, ticker: str = TICKER, **fields: Any) -> bytes:
    body = {"market_ticker": ticker, "price_dollars": "0.4200", "delta_fp": "3.25", "side": "yes", "ts_ms": 7, **fields}
    return frame_of("orderbook_delta", body, sid=sid, seq=seq)


def life_frame(event_type: str, ticker: str = TICKER, **fields: Any) -> bytes:
    return frame_of("market_lifecycle_v2", {"event_type": event_type, "market_ticker": ticker, **fields}, sid=4)


def rows(levels: list[list[str]]) -> set[Level]:
    return {Level(parse_micros(price), parse_micros(size)) for price, size in levels}


# -- books --


def test_the_golden_frames_fold_into_the_golden_result(vectors: dict[str, Any]) -> None:
    golden = vectors["kalshi"]["ws_book_apply"]
    reading = Reading()
    for each in golden["frames"]:
        reading.read(json.dumps(each).encode())
    result, yes = golden["result"], reading.books[YES]
    assert set(yes.bids()) == rows(result["yes_bids"])
    assert set(reading.books[NO].bids()) == rows(result["no_bids"])
    assert yes.best_bid is not None
    assert yes.best_bid.price == parse_micros(result["best_yes_bid"])
    assert yes.best_ask == Level(parse_micros(result["best_yes_ask"]), parse_micros(result["best_yes_ask_size"]))
    with pytest.raises(SequenceGap):
        reading.read(delta_frame(6))


def test_a_snapshot_gives_both_outcomes_each_the_mirror_of_the_other() -> None:
    reading = Reading()
    assert reading.read(snapshot_frame(1, yes_dollars_fp=[["0.4200", "25.50"]], no_dollars_fp=[["0.5500", "7.00"]]))
    assert reading.levels(YES) == ([(420_000, 25_500_000)], [(450_000, 7_000_000)])
    assert reading.levels(NO) == ([(550_000, 7_000_000)], [(580_000, 25_500_000)])
    assert all(book.trusted for book in reading.books.values())
    assert reading.changes == [(YES, 0), (NO, 0)]
    assert reading.reader.arrived == {TICKER}


def test_an_absent_side_is_an_empty_side_and_so_is_a_null_one_beside_levels() -> None:
    reading = Reading()
    reading.read(snapshot_frame(1))
    assert (reading.levels(YES), reading.levels(NO)) == (([], []), ([], []))
    assert reading.books[YES].trusted
    reading.read(snapshot_frame(2, yes_dollars_fp=[["0.4200", "25.50"]], no_dollars_fp=None))
    assert reading.levels(YES) == ([(420_000, 25_500_000)], [])


@pytest.mark.parametrize("sides", [{"no_dollars_fp": None}, {"yes_dollars_fp": None, "no_dollars_fp": None}])
def test_null_and_no_level_at_all_is_no_book(sides: dict[str, None]) -> None:
    with pytest.raises(BadBook, match="null where levels belong"):
        Reading().read(snapshot_frame(1, **sides))


def test_a_no_delta_is_a_no_bid_and_a_yes_ask_and_signed() -> None:
    reading = Reading()
    reading.read(snapshot_frame(1, no_dollars_fp=[["0.5600", "4.00"]]))
    assert reading.read(delta_frame(2, side="no", price_dollars="0.5600", delta_fp="-3.25"))
    assert reading.levels(NO) == ([(560_000, 750_000)], [])
    assert reading.levels(YES) == ([], [(440_000, 750_000)])
    assert reading.changes[2:] == [(YES, 7), (NO, 7)]


def test_a_delta_before_the_first_snapshot_writes_nothing() -> None:
    reading = Reading()
    assert not reading.read(delta_frame(1))
    assert reading.levels(YES) == ([], [])
    assert reading.changes == []


@given(st.lists(st.tuples(st.sampled_from(["yes", "no"]), st.integers(1, 99), st.integers(1, 10_000)), min_size=1, max_size=30))
def test_after_any_deltas_the_two_books_mirror_each_other(changes: list[tuple[str, int, int]]) -> None:
    reading = Reading()
    reading.read(snapshot_frame(1))
    for seq, (side, cents, count) in enumerate(changes, 2):
        reading.read(delta_frame(seq, side=side, price_dollars=f"0.{cents:02d}00", delta_fp=f"{count}.00"))
    yes, no = reading.books[YES], reading.books[NO]
    assert [(1_000_000 - p, s) for p, s in yes.bids()] == list(no.asks())
    assert [(1_000_000 - p, s) for p, s in no.bids()] == list(yes.asks())
    assert sum(s for _, s in yes.bids() + no.bids()) == sum(count for _, _, count in changes) * 1_000_000


@pytest.mark.parametrize(
    "fields", [{"delta_fp": "-0.01"}, {"side": "maybe"}, {"price_dollars": "1.0001"}, {"price_dollars": "-0.01"}, {"delta_fp": "three"}]
)
def test_a_delta_that_cannot_be_puts_its_own_book_in_doubt_and_no_other(fields: dict[str, Any]) -> None:
    reading = Reading(TICKER, OTHER)
    reading.read(snapshot_frame(1))
    reading.read(snapshot_frame(2, ticker=OTHER))
    with pytest.raises(BadBook) as caught:
        reading.read(delta_frame(3, **fields))
    assert caught.value.ticker == TICKER
    assert reading.read(delta_frame(4, ticker=OTHER))


@pytest.mark.parametrize("levels", [[["0.4000", "-1.00"]], [["1.5", "1"]], [["0.4", "x"]]])
def test_a_snapshot_that_cannot_be_puts_its_own_book_in_doubt(levels: list[list[str]]) -> None:
    with pytest.raises(BadBook):
        Reading().read(snapshot_frame(1, yes_dollars_fp=levels))


# -- the sequence --


@pytest.mark.parametrize("seq", [1, 2, 4, 5, 0, -1])
def test_a_skip_a_repeat_or_a_decrease_is_a_gap(seq: int) -> None:
    reading = Reading()
    reading.read(snapshot_frame(1))
    reading.read(delta_frame(2))
    with pytest.raises(SequenceGap):
        reading.read(delta_frame(seq))


def test_a_subscription_starts_at_one() -> None:
    with pytest.raises(SequenceGap):
        Reading().read(snapshot_frame(2))


def test_the_sequence_counts_a_whole_subscription_over_all_its_markets() -> None:
    reading = Reading(TICKER, OTHER)
    reading.read(snapshot_frame(1))
    reading.read(snapshot_frame(2, ticker=OTHER))
    with pytest.raises(SequenceGap):
        reading.read(delta_frame(2, ticker=OTHER))


def test_each_subscription_counts_for_itself() -> None:
    reading = Reading()
    reading.read(snapshot_frame(1, sid=1))
    reading.read(snapshot_frame(1, sid=2))
    assert reading.read(delta_frame(2, sid=1))


@pytest.mark.parametrize("kind", ["ok", "something_new"])
def test_frames_that_change_no_book_consume_a_number_too(kind: str) -> None:
    reading = Reading()
    reading.read(snapshot_frame(1))
    assert not reading.read(json.dumps({"type": kind, "id": 9, "sid": 1, "seq": 2, "msg": {}}).encode())
    assert reading.read(delta_frame(3))


def test_frames_without_a_number_consume_none() -> None:
    reading = Reading()
    reading.read(snapshot_frame(1))
    reading.read(b'{"id":1,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}')
    reading.read(b'{"type":"ticker","sid":1,"msg":{"market_ticker":"KXTEST-26NOV23-A"}}')
    assert reading.read(delta_frame(2))


def test_a_frame_of_a_market_we_do_not_follow_keeps_the_sequence() -> None:
    reading = Reading()
    assert not reading.read(snapshot_frame(1, ticker=OTHER))
    assert not reading.read(delta_frame(2, ticker=OTHER))
    assert reading.read(snapshot_frame(3))


def test_what_still_comes_of_a_subscription_that_was_given_up_means_nothing() -> None:
    reading = Reading()
    reading.read(b'{"id":1,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}')
    reading.read(snapshot_frame(1))
    (command,) = reading.subscriptions.retire(wire.BOOKS)
    assert json.loads(command)["params"] == {"sids": [1]}
    assert not reading.read(delta_frame(2))
    assert not reading.read(delta_frame(77))
    assert not reading.read(b'{"id":2,"type":"unsubscribed","sid":1,"seq":78}')
    reading.read(b'{"id":3,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":2}}')
    assert reading.read(snapshot_frame(1, sid=2))


def test_a_number_that_the_venue_gives_again_begins_anew() -> None:
    reading = Reading()
    reading.read(b'{"id":1,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}')
    reading.read(snapshot_frame(1))
    reading.subscriptions.retire(wire.BOOKS)
    reading.read(b'{"id":3,"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}')
    assert reading.read(snapshot_frame(1))
    assert reading.read(delta_frame(2))


# -- the other channels --


def test_a_trade_is_the_taker_buying_the_outcome_that_it_took() -> None:
    reading = Reading()
    body = {"trade_id": "t1", "market_ticker": TICKER, "yes_price_dollars": "0.7200", "no_price_dollars": "0.2800", "count_fp": "12.61"}
    assert reading.read(frame_of("trade", {**body, "taker_outcome_side": "no", "ts_ms": 5}, sid=2))
    assert reading.read(frame_of("trade", {**body, "taker_side": "yes"}, sid=2, seq=2))
    assert reading.told == [
        PublicTrade(NO, Micros(280_000), Micros(12_610_000), Side.BUY, 5, "t1"),
        PublicTrade(YES, Micros(720_000), Micros(12_610_000), Side.BUY, 0, "t1"),
    ]


def test_block_trades_and_trades_without_a_side_are_not_told() -> None:
    reading = Reading()
    body = {"market_ticker": TICKER, "yes_price_dollars": "0.7200", "no_price_dollars": "0.2800", "count_fp": "1"}
    reading.read(frame_of("trade", {**body, "taker_outcome_side": "yes", "is_block_trade": True}, sid=2))
    reading.read(frame_of("trade", {**body, "taker_outcome_side": "both"}, sid=2, seq=2))
    assert reading.told == []
    assert reading.tally.unknown_events == 1


def test_a_ticker_is_told_and_is_in_no_sequence() -> None:
    reading = Reading()
    body = {"market_ticker": TICKER, "price_dollars": "0.5000", "yes_bid_dollars": "0.4900", "volume_fp": "10.50", "ts_ms": 3}
    for _ in range(2):
        assert reading.read(json.dumps({"type": "ticker", "sid": 3, "msg": body}).encode())
    assert reading.told[0] == Ticker(KEY, Micros(490_000), None, Micros(500_000), Micros(10_500_000), None, 3)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (life_frame("created", OTHER), [MarketListed(KALSHI, MarketId(OTHER))]),
        (life_frame("activated"), [StatusChanged(KEY, MarketStatus.OPEN)]),
        (life_frame("deactivated"), [StatusChanged(KEY, MarketStatus.PAUSED)]),
        (life_frame("close_date_updated", close_ts=1_800_000_000), [StatusChanged(KEY, None, datetime.fromtimestamp(1_800_000_000, UTC))]),
        (life_frame("determined", result="yes"), [MarketResolved(KEY, Resolution(ONE, final=False))]),
        (life_frame("settled", result="no"), [MarketResolved(KEY, Resolution(ZERO, final=True))]),
        (
            life_frame("determined", result="scalar", settlement_value="0.2500"),
            [MarketResolved(KEY, Resolution(Micros(250_000), final=False))],
        ),
        (life_frame("determined", result="void"), [MarketResolved(KEY, Resolution(None, final=False))]),
        (life_frame("settled"), [StatusChanged(KEY, MarketStatus.CLOSED), MarketListed(KALSHI, KEY.market)]),
        (
            life_frame("price_level_structure_updated", price_ranges=[{"start": "0", "end": "1", "step": "0.001"}]),
            [GridChanged(KEY, (TickRange(ZERO, ONE, Micros(1_000)),))],
        ),
        (life_frame("metadata_updated"), [MarketListed(KALSHI, KEY.market)]),
        (life_frame("newly_invented"), []),
        (life_frame("deactivated", OTHER), []),
    ],
)
def test_what_happens_to_a_market_is_told_in_our_words(frame: bytes, told: list[MarketEvent]) -> None:
    reading = Reading()
    reading.read(frame)
    assert reading.told == told


def test_an_events_fees_are_handed_on() -> None:
    reading = Reading()
    reading.read(frame_of("event_fee_update", {"event_ticker": "E", "fee_type_override": None, "fee_multiplier_override": "0.5"}, sid=4))
    assert [(each.event_ticker, each.fee_multiplier_override) for each in reading.fees] == [("E", Decimal("0.5"))]


# -- what is odd --


def test_an_error_frame_ends_the_subscription_with_the_venues_code() -> None:
    with pytest.raises(SubscriptionFailed) as caught:
        Reading().read(b'{"type":"error","id":4,"msg":{"code":25,"msg":"Subscription buffer overflow"}}')
    assert caught.value.code == 25


def test_numbers_are_taken_as_json_numbers_too_and_exactly() -> None:
    body = b'{"market_ticker":"KXTEST-26NOV23-A","price_dollars":0.57,"delta_fp":-2,"side":"yes"}'
    text = b'{"type":"orderbook_delta","sid":1,"seq":2,"msg":' + body + b"}"
    reading = Reading()
    reading.read(b'{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"KXTEST-26NOV23-A","yes_dollars_fp":[[0.57,3]]}}')
    reading.read(text)
    assert reading.levels(YES)[0] == [(570_000, 1_000_000)]


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
        snapshot_frame(1, yes_dollars_fp=[["0.4000"]]),
        snapshot_frame(1, yes_dollars_fp={"0.4": "1"}),
    ],
)
def test_a_malformed_frame_is_one_kind_of_error(text: bytes) -> None:
    with pytest.raises(MalformedFrame):
        Reading().read(text)


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
KINDS = ["orderbook_delta", "orderbook_snapshot", "trade", "ticker", "market_lifecycle_v2", "event_fee_update", "error", "subscribed", "x"]
_likely = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "orderbook_delta",
                "orderbook_snapshot",
                "trade",
                "ticker",
                "market_lifecycle_v2",
                "event_fee_update",
                "error",
                "subscribed",
                "ok",
                "x",
            ]
        )
        | _values
    },
    optional={"sid": st.just(1) | _values, "seq": st.just(1) | _values, "msg": _bodies | _values, "id": _values},
)


@given(_likely | _values)
def test_random_json_is_taken_or_is_one_of_four_errors(value: Any) -> None:
    with suppress(MalformedFrame, SequenceGap, SubscriptionFailed, BadBook):
        Reading().read(json.dumps(value).encode())


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
    reading = Reading(ticker)
    yes, no = reading.followed[ticker].yes, reading.followed[ticker].no
    expected: dict[str, dict[str, Decimal]] = {"yes": {}, "no": {}}
    last: dict[int, int] = {}
    deltas = 0
    for event in recorded_events(recording(f"kalshi-ws/{name}.ndjson.gz")):
        last[event["sid"]] = event["seq"] = last.get(event["sid"], 0) + 1
        reading.read(json.dumps(event).encode())
        deltas += event["type"] == "orderbook_delta"
        _fold_plainly(expected, event)
        if deltas % 100 == 0:  # each message is compared where recordings are replayed as a whole
            assert (yes.bids(), no.bids()) == (_best_first(expected["yes"]), _best_first(expected["no"]))
    assert deltas > 27_000
    assert yes.bids() == _best_first(expected["yes"])
    assert no.bids() == _best_first(expected["no"])
    assert yes.asks() == tuple(Level(Micros(1_000_000 - p), s) for p, s in _best_first(expected["no"]))
    assert sum(isinstance(each, PublicTrade) for each in reading.told) > 700


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
    reading = Reading(RECORDED[0].partition("/")[0])
    event = next(recorded_events(recording(f"kalshi-ws/{RECORDED[0]}.ndjson.gz")))
    assert event["seq"] > 1
    with pytest.raises(SequenceGap):
        reading.read(json.dumps(event).encode())
