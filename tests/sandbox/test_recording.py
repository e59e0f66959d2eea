"""Recordings: what the format says is what is read, each kind of corrupt line is refused by its number, and the world that plays one."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from arbiter.domain.book import BookSnapshot, Level
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import KalshiFees, PolymarketFees, TickRange
from arbiter.domain.money import ONE, parse_micros
from arbiter.errors import ConfigError
from arbiter.sandbox import recording as module
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.recording import RecordedWorld, Recording

START = 1_767_225_600_000
POLYMARKET = {"venue": "polymarket", "id": "0x01", "event": "rain", "title": "Rain?", "tick": "0.001", "yes": "11", "no": "12"}
KALSHI = {"venue": "kalshi", "id": "KXRAIN-A", "event": "KXRAIN", "title": "Rain?", "tick": "0.01"}
HEADER = {
    "format": "arbiter-recording-1",
    "sample_interval_ms": 1000,
    "markets": [POLYMARKET, KALSHI],
    "pairs": [{"id": "rain", "title": "Rain?", "a": 0, "b": 1}],
}
BOOKS = [
    {"ms": 0, "m": 0, "bids": [["0.4", "10"]], "asks": [["0.42", "5.5"], ["0.415", "2"]]},
    {"ms": 250, "m": 1, "bids": [], "asks": [["0.40", "7"]]},
    {"ms": 1000, "m": 0, "bids": [["0.41", "10"]], "asks": []},
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines, dicts as JSON; gzipped where the name says so."""

    def write(*lines: Any, name: str = "play.jsonl") -> Path:
        text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
        path = tmp_path / name
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


def changed_market(number: int, **changes: Any) -> dict[str, Any]:
    markets = [{**market, **changes} if n == number else market for n, market in enumerate(HEADER["markets"])]
    return {**HEADER, "markets": markets}


# -- the format --


def test_a_recording_is_read_as_it_was_written(write):
    recording = Recording.load(write(HEADER, *BOOKS))
    polymarket, kalshi = recording.markets
    assert (polymarket.key, polymarket.yes.id, polymarket.no.id) == (("polymarket", "0x01"), "11", "12")
    assert (kalshi.key, kalshi.yes.id, kalshi.no.id) == (("kalshi", "KXRAIN-A"), "yes", "no")
    assert polymarket.ticks == (TickRange(1_000, 999_000, 1_000),)
    assert kalshi.ticks == (TickRange(0, ONE, 10_000),)
    assert (recording.sample_interval_ms, recording.length_ms) == (1000, 1000)
    assert [ms for ms, _ in recording.events] == [0, 250, 1000]
    asks = (Level(parse_micros("0.42"), parse_micros("5.5")), Level(parse_micros("0.415"), parse_micros("2")))
    assert recording.events[0][1] == BookSnapshot(polymarket.yes_key, (Level(parse_micros("0.4"), parse_micros("10")),), asks)
    assert recording.events[1][1].outcome == OutcomeKey("kalshi", "KXRAIN-A", "yes")


def test_a_pair_maps_yes_to_yes_unless_it_is_inverted(write):
    straight = Recording.load(write(HEADER, BOOKS[0])).pairs[0]
    inverted = Recording.load(write({**HEADER, "pairs": [{**HEADER["pairs"][0], "inverted": True}]}, BOOKS[0])).pairs[0]
    assert (straight.a_yes.outcome, straight.b_same.outcome) == ("11", "yes")
    assert (inverted.a_yes.outcome, inverted.b_same.outcome) == ("11", "no")


@pytest.mark.parametrize(
    ("number", "changes", "fees"),
    [
        (0, {}, None),
        (0, {"fee": "0.03"}, PolymarketFees(parse_micros("0.03"))),
        (0, {"fee": "0"}, PolymarketFees(parse_micros("0"))),
        (1, {"fee": "1", "maker_fees": True}, KalshiFees(ONE, maker_fees=True)),
        (1, {"fee": "0.5"}, KalshiFees(parse_micros("0.5"))),
    ],
)
def test_fees_are_each_venues_own_and_unknown_where_they_are_not_told(write, number, changes, fees):
    assert Recording.load(write(changed_market(number, **changes), BOOKS[0])).markets[number].fees == fees


def test_a_market_tells_its_labels_minimums_rules_and_closing_time(write):
    told = {"yes_label": "Rain", "no_label": "Dry", "min_size": "5", "min_notional": "1", "notional_step": "0.01"}
    more = {"rules": "By the gauge.", "category": "weather", "closes_at": "2026-01-02T03:04:05Z"}
    market = Recording.load(write(changed_market(0, **told, **more), BOOKS[0])).markets[0]
    assert (market.yes.label, market.no.label, market.rules, market.category) == ("Rain", "Dry", "By the gauge.", "weather")
    assert (market.min_size, market.min_notional, market.notional_step) == (5 * ONE, ONE, 10_000)
    assert market.closes_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_blank_lines_are_nothing(write):
    assert len(Recording.load(write(b"", HEADER, b"  ", BOOKS[0], b"")).events) == 1


def test_a_gzipped_recording_is_the_same(write):
    plain, packed = (Recording.load(write(HEADER, *BOOKS, name=name)) for name in ("play.jsonl", "play.jsonl.gz"))
    assert (plain.markets, plain.pairs, plain.events) == (packed.markets, packed.pairs, packed.events)


def test_the_example_of_the_documentation_is_a_recording(write):
    text = (Path(__file__).resolve().parents[2] / "docs" / "recordings.md").read_text("utf-8")
    example = text.partition("```json\n")[2].partition("```")[0]
    recording = Recording.load(write(*example.encode().splitlines()))
    assert len(recording.events) == 3
    assert len(recording.pairs) == 1


def test_the_documentation_lists_every_field_of_the_format():
    text = (Path(__file__).resolve().parents[2] / "docs" / "recordings.md").read_text("utf-8")
    kinds = (module.Header, module.MarketLine, module.PairLine, module.BookLine)
    assert [field for kind in kinds for field in kind.__struct_fields__ if f"`{field}`" not in text] == []


# -- what is refused --


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"not json", "malformed"),
        (b'{"format":"arbiter-recording-1"', "truncated"),
        (b"[" * 100_000, "object"),
        (b'{"format":"\xff"}', "utf-8"),
        ({}, "format"),
        ({**HEADER, "format": "arbiter-recording-2"}, "format"),
        ({**HEADER, "colour": "red"}, "colour"),
        ({**HEADER, "sample_interval_ms": 0}, "at least 1"),
        ({**HEADER, "sample_interval_ms": 1.5}, "sample_interval_ms"),
        ({**HEADER, "markets": [KALSHI, KALSHI], "pairs": []}, "a market is listed twice"),
        ({**HEADER, "markets": [POLYMARKET, {**POLYMARKET, "id": "0x02"}], "pairs": []}, "a Polymarket token is listed twice"),
        (changed_market(0, no="11"), "a Polymarket token is listed twice"),
        (changed_market(0, venue="betfair"), "betfair"),
        (changed_market(0, tick="0"), "a tick of 0"),
        (changed_market(0, tick="1"), "a tick of 1"),
        (changed_market(0, tick="1e-3"), "not a plain decimal"),
        (changed_market(0, tick=0.001), "tick"),
        (changed_market(0, fee="-0.03"), "below zero"),
        (changed_market(0, min_size="-5"), "below zero"),
        (changed_market(0, closes_at="2026-01-02T03:04:05"), "timezone"),
        (changed_market(1, yes="y"), "Kalshi's outcomes are yes and no"),
        ({**HEADER, "pairs": [{"id": "x", "title": "x", "a": 0, "b": 2}]}, "there are 2 markets"),
        ({**HEADER, "pairs": [{"id": "x", "title": "x", "a": -1, "b": 0}]}, "there are 2 markets"),
        ({**HEADER, "pairs": [{"id": "x", "title": "x", "a": 0, "b": 0}]}, "both markets are on polymarket"),
    ],
)
def test_a_header_that_is_not_one_is_refused_with_its_line(write, header, problem):
    path = write(header)
    with pytest.raises(ConfigError) as caught:
        Recording.load(path)
    assert caught.value.cause.startswith(f"{path} line 1: ")
    assert problem.lower() in caught.value.cause.lower()
    assert "docs/recordings.md" in caught.value.cure


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "truncated"),
        (b"[1]", "object"),
        (b'{"ms":1,"m":0,"bids":[],"asks":[]} {}', "trailing"),
        (b'{"ms":1,"m":0,"bids":' + b"[" * 100_000, "array"),
        ({"ms": 1, "m": 0, "bids": []}, "asks"),
        ({**BOOKS[0], "seq": 7}, "seq"),
        ({**BOOKS[0], "ms": "0"}, "ms"),
        ({**BOOKS[0], "ms": 499}, "ms 499 comes after 500"),
        ({**BOOKS[0], "ms": -1}, "ms -1 comes after"),
        ({**BOOKS[0], "ms": 500, "m": 2}, "market 2: there are 2"),
        ({**BOOKS[0], "ms": 500, "m": -1}, "market -1: there are 2"),
        ({**BOOKS[0], "ms": 500, "bids": [["0.4"]]}, "length 2"),
        ({**BOOKS[0], "ms": 500, "bids": [[0.4, 10]]}, "str"),
        ({**BOOKS[0], "ms": 500, "bids": [["0.4", "ten"]]}, "not a plain decimal"),
        ({**BOOKS[0], "ms": 500, "bids": [["0.4", "1_0"]]}, "not a plain decimal"),
        ({**BOOKS[0], "ms": 500, "bids": [["0.4000001", "10"]]}, "more than six decimals"),
        ({**BOOKS[0], "ms": 500, "bids": [["0", "10"]]}, "a level of"),
        ({**BOOKS[0], "ms": 500, "asks": [["1", "10"]]}, "a level of"),
        ({**BOOKS[0], "ms": 500, "asks": [["0.5", "0"]]}, "a level of"),
        ({**BOOKS[0], "ms": 500, "asks": [["0.5", "-3"]]}, "a level of"),
        ({**BOOKS[0], "ms": 500, "asks": [["0.5", "9" * 30]]}, "out of range"),
        (HEADER, "unknown field"),
    ],
)
def test_a_line_that_is_not_one_is_refused_with_its_number(write, line, problem):
    path = write(HEADER, {**BOOKS[0], "ms": 500}, b"", line)
    with pytest.raises(ConfigError) as caught:
        Recording.load(path)
    assert caught.value.cause.startswith(f"{path} line 4: ")
    assert problem.lower() in caught.value.cause.lower()


@pytest.mark.parametrize("name", ["play.jsonl", "play.jsonl.gz"])
@pytest.mark.parametrize(
    ("lines", "problem"), [((), "is empty"), ((b"", b"  "), "is empty"), ((HEADER, b""), "has a header but no events")]
)
def test_a_recording_of_nothing_is_refused(write, name, lines, problem):
    path = write(*lines, name=name)
    with pytest.raises(ConfigError) as caught:
        Recording.load(path)
    assert caught.value.cause == f"the recording {path} {problem}"
    assert "docs/recordings.md" in caught.value.cure


def test_a_file_of_no_bytes_is_empty_whatever_its_name(tmp_path):
    for name in ("none.jsonl", "none.jsonl.gz"):
        (tmp_path / name).touch()
        with pytest.raises(ConfigError, match="is empty"):
            Recording.load(tmp_path / name)


def test_a_line_too_long_and_a_line_too_many_are_refused(write, monkeypatch):
    with pytest.raises(ConfigError, match=r"line 2: a line of more than 262144 bytes"):
        Recording.load(write(HEADER, b" " * (module.LONGEST_LINE + 1)))
    monkeypatch.setattr(module, "MOST_LINES", 3)
    assert len(Recording.load(write(HEADER, *BOOKS[:2])).events) == 2
    with pytest.raises(ConfigError, match="line 4: more than 3 lines"):
        Recording.load(write(HEADER, *BOOKS))


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, write):
    whole = write(HEADER, *BOOKS, name="play.jsonl.gz").read_bytes()
    files = {"cut.gz": whole[:-20], "flipped.gz": whole[:40] + bytes([whole[40] ^ 255]) + whole[41:], "plain.gz": b"{}\n"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name in ("absent.jsonl", ".", *files):
        with pytest.raises(ConfigError, match="cannot read the recording") as caught:
            Recording.load(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert caught.value.cure == ("the file is damaged; copy or convert it again" if name in files else "check the path")


# -- the world that plays it --


@pytest.fixture
def recording(write) -> Recording:
    return Recording.load(write(HEADER, *BOOKS))


def test_the_first_advance_tells_an_empty_book_of_each_market_and_what_is_due(recording):
    world = RecordedWorld(recording, START)
    first = world.advance(START)
    assert first[:2] == [BookSnapshot(market.yes_key, (), ()) for market in recording.markets]
    assert first[2:] == [recording.events[0][1]]


def test_before_its_start_a_recording_tells_nothing_but_the_empty_books(recording):
    world = RecordedWorld(recording, START)
    assert len(world.advance(START - 5000)) == 2
    assert world.advance(START - 1) == []
    assert world.advance(START) == [recording.events[0][1]]


def test_each_event_is_told_once_at_its_time_and_the_last_book_stays(recording):
    world = RecordedWorld(recording, START)
    world.advance(START)
    assert world.advance(START + 249) == []
    assert world.advance(START + 250) == [recording.events[1][1]]
    assert not world.ended
    assert world.advance(START + 10_000) == [recording.events[2][1]]
    assert world.ended
    assert world.advance(START + 20_000) == []


def test_a_late_advance_tells_everything_in_order(recording):
    assert RecordedWorld(recording, START).advance(START + 1000)[2:] == [snapshot for _, snapshot in recording.events]


def test_a_speed_shortens_every_distance(recording):
    world = RecordedWorld(recording, START, speed=10)
    world.advance(START)
    assert world.advance(START + 24) == []
    assert world.advance(START + 25) == [recording.events[1][1]]
    assert world.advance(START + 100) == [recording.events[2][1]]


def test_a_speed_below_one_is_the_callers_mistake(recording):
    with pytest.raises(ValueError, match="at least 1"):
        RecordedWorld(recording, START, speed=0)


def test_a_world_tells_its_markets_its_pairs_and_its_interval(recording):
    world = RecordedWorld(recording, START)
    assert (world.markets, world.pairs, world.sample_interval_ms) == (recording.markets, recording.pairs, 1000)


def test_the_engines_show_a_recordings_books_and_keep_the_last_ones_after_its_end(recording):
    sandbox = Sandbox(RecordedWorld(recording, START), {})
    for ms in (0, 250, 1000, 60_000):
        sandbox.tick(START + ms)
    yes, no = sandbox.polymarket.by_asset["11"].yes, sandbox.polymarket.by_asset["11"].no
    assert (yes.best_bid, yes.best_ask) == (Level(410_000, 10 * ONE), None)
    assert (no.best_bid, no.best_ask) == (None, Level(590_000, 10 * ONE))
    assert sandbox.kalshi.books["KXRAIN-A"].yes.best_ask == Level(400_000, 7 * ONE)
