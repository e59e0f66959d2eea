"""Converters: small sources in the shape of the real ones, what is refused, and the real files where they lie beside the repository."""

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from arbiter.cli import cli, main
from arbiter.domain.book import BookSnapshot
from arbiter.domain.market import KalshiFees, PolymarketFees
from arbiter.domain.money import ONE, format_micros
from arbiter.errors import ConfigError
from arbiter.sandbox.convert import KINDS, convert, convert_worldcup
from arbiter.sandbox.recording import Header, Recording

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"
TOKEN = "225877753018691467482379130505059324856489584815718083242855606500573908820"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "play.jsonl"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a source, gzipped where its name says so: JSON lines of dicts, or a CSV of dicts."""

    def write(name: str, rows: list[dict[str, Any]]) -> Path:
        if ".csv" in name:
            text = io.StringIO()
            writer = csv.DictWriter(text, rows[0])
            writer.writeheader()
            writer.writerows(rows)
            data = text.getvalue().encode()
        else:
            data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def real(name: str) -> list[Path]:
    """Recorded files; skips the test where they are absent."""
    found = sorted(RECORDINGS.glob(name))
    if not found:
        pytest.skip(f"no recorded data here: {name} is not beside the repository")
    return found


def shown(snapshot: BookSnapshot) -> tuple[list[str], list[str]]:
    """Bids and asks as `price x size`."""
    bids, asks = (
        [f"{format_micros(level.price)} x {format_micros(level.size)}" for level in side] for side in (snapshot.bids, snapshot.asks)
    )
    return bids, asks


def played(recording: Recording) -> list[tuple[int, str, list[str], list[str]]]:
    return [(ms, snapshot.outcome.market, *shown(snapshot)) for ms, snapshot in recording.events]


def header_of(path: Path) -> Header:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return msgspec.json.decode(file.readline(), type=Header)


# -- worldcup --


def worldcup_row(at: int, venue: str, /, **changes: Any) -> dict[str, Any]:
    touch = {"bid": 5.5, "ask": 5.8, "mid": 5.65, "spread": 0.3, "bid_sz": "3514.35", "ask_sz": "315.76", "venue_ts": None}
    return {"ts": at, "t_fetch": at, "venue": venue, "pair": f"KXMENWORLDCUP-26-MX:{TOKEN}", **touch, **changes}


def test_worldcup_cents_become_dollars_and_each_book_has_the_time_of_its_fetch(write, target):
    rows = [worldcup_row(1000, "kalshi"), worldcup_row(1148, "polymarket", bid=4.3, ask=4), worldcup_row(4730, "kalshi", ask=99.9)]
    convert_worldcup(write("main.jsonl", rows), target)
    recording = Recording.load(target)
    condition = recording.markets[0].key.market
    assert played(recording) == [
        (0, "KXMENWORLDCUP-26-MX", ["0.055 x 3514.35"], ["0.058 x 315.76"]),
        (148, condition, ["0.043 x 3514.35"], ["0.04 x 315.76"]),
        (3730, "KXMENWORLDCUP-26-MX", ["0.055 x 3514.35"], ["0.999 x 315.76"]),
    ]
    assert recording.sample_interval_ms == 3730


def test_worldcup_states_the_fees_that_held_and_the_pair(write, target):
    convert_worldcup(write("main.jsonl", [worldcup_row(1000, "kalshi")]), target)
    recording = Recording.load(target)
    polymarket, kalshi = recording.markets
    assert (polymarket.fees, polymarket.yes.id) == (PolymarketFees(30_000), TOKEN)
    assert (polymarket.min_size, polymarket.min_notional, polymarket.notional_step) == (5 * ONE, ONE, 10_000)
    assert kalshi.fees == KalshiFees(ONE, maker_fees=True)
    (pair,) = recording.pairs
    assert (pair.a_yes, pair.b_same, pair.title) == (polymarket.yes_key, kalshi.yes_key, "Will Mexico win the 2026 World Cup?")
    header = header_of(target)
    assert "Polymarket taker rate 0.03" in header.assumptions
    assert "cross-venue-price-discovery" in header.source
    assert header.license == "none stated"


def test_worldcup_a_side_that_is_null_is_empty(write, target):
    convert_worldcup(write("main.jsonl", [worldcup_row(1, "kalshi", bid=None, bid_sz=None), worldcup_row(2, "kalshi", ask=None)]), target)
    assert [event[2:] for event in played(Recording.load(target))] == [([], ["0.058 x 315.76"]), (["0.055 x 3514.35"], [])]


@pytest.mark.parametrize(("price", "tick"), [(5, 10_000), (5.5, 1_000), (5.55, 100), (5.0001, 1)])
def test_a_tick_is_a_cent_or_as_fine_as_the_finest_price(write, target, price, tick):
    convert_worldcup(
        write("main.jsonl", [worldcup_row(1, "kalshi", bid=price, ask=None), worldcup_row(2, "polymarket", bid=1, ask=2)]), target
    )
    assert [market.ticks[0].step for market in Recording.load(target).markets] == [10_000, tick]


def test_no_price_passes_through_a_float(tmp_path, target):
    """0.1 + 0.2 in cents, as a float nearly 0.30000000000000004, is what the text says."""
    line = json.dumps(worldcup_row(1, "kalshi")).replace("5.5,", "0.3000,")
    path = tmp_path / "main.jsonl"
    path.write_text(line + "\n" + line.replace("0.3000,", "0.30000000000000004,") + "\n")
    with pytest.raises(ConfigError, match=r"line 2: .*six decimals"):
        convert_worldcup(path, target)
    path.write_text(line)
    convert_worldcup(path, target)
    assert shown(Recording.load(target).events[0][1])[0] == ["0.003 x 3514.35"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"venue": "betfair"}, "betfair"),
        ({"pair": "KXMENWORLDCUP-26-MX"}, "not a pair"),
        ({"pair": "X:Y"}, "not a pair"),
        ({"bid_sz": None}, "without a size"),
        ({"bid_sz": "0"}, "0 at"),
        ({"bid": 0}, "at 0"),
        ({"ask": 100}, "at 1"),
        ({"ask": "many"}, "ask"),
        ({"t_fetch": 1.5}, "t_fetch"),
        ({"deep": [[[[1]]]], "bid": 1e300}, "range"),
    ],
)
def test_worldcup_a_row_that_is_not_one_is_refused_with_its_line(write, target, changes, problem):
    source = write("main.jsonl.gz", [worldcup_row(1, "kalshi"), worldcup_row(2, "kalshi", **changes)])
    with pytest.raises(ConfigError) as caught:
        convert_worldcup(source, target)
    assert caught.value.cause.startswith(f"{source} line 2: ")
    assert problem in caught.value.cause
    assert not target.exists()


# -- fed --


def fed_row(at: int, **changes: Any) -> dict[str, Any]:
    touch = {"best_bid_yes": "0.5", "best_bid_no": "0.49", "depth_best_yes": "64469.59", "depth_best_no": "18493.09"}
    both = {f"{venue}_{name}": value for venue in ("poly", "kalshi") for name, value in touch.items()}
    return {"timestamp_ms": at, "poly_total_depth_no": "1837465.9499999997", **both, **changes}


def test_fed_asks_are_one_less_the_best_no_bid(write, target):
    source = write("fed.csv.gz", [fed_row(0, kalshi_best_bid_no="0.48"), fed_row(1_800_000, poly_best_bid_no="", poly_depth_best_no="")])
    convert("fed-dec2025", source, target)
    recording = Recording.load(target)
    polymarket, kalshi = (market.key.market for market in recording.markets)
    assert played(recording) == [
        (0, polymarket, ["0.50 x 64469.59"], ["0.51 x 18493.09"]),
        (0, kalshi, ["0.50 x 64469.59"], ["0.52 x 18493.09"]),
        (1_800_000, polymarket, ["0.50 x 64469.59"], []),
        (1_800_000, kalshi, ["0.50 x 64469.59"], ["0.51 x 18493.09"]),
    ]
    assert recording.markets[0].fees == PolymarketFees(0)
    assert len(recording.pairs) == 1


@pytest.mark.parametrize(("value", "problem"), [("nan", "not a number"), ("1.0", "dollars"), ("x", "not a number"), ("1e999999", "")])
def test_fed_a_price_that_is_none_is_refused_with_its_line(write, target, value, problem):
    source = write("fed.csv", [fed_row(0), fed_row(1, poly_best_bid_yes=value)])
    with pytest.raises(ConfigError, match=f"line 3: .*{problem}"):
        convert("fed-dec2025", source, target)


# -- weather --


def kalshi_weather(at: str, ticker: str = "KXHIGHAUS-26AUG05-B100.5", **changes: str) -> dict[str, str]:
    touch = {"yes_best_bid": "0.46", "yes_best_ask": "0.49", "yes_ask_depth_usdc": "2394.32"}
    other = {"no_best_bid": "0.51", "no_best_ask": "0.54", "no_ask_depth_usdc": "30"}
    return {"fetched_at_utc": at, "city": "Austin", "ticker": ticker, **touch, **other, **changes}


QUESTION = "Will the highest temperature in Austin be between 100-101°F on August 5?"


def weather_source(write: Callable[..., Path], kalshi: list[dict[str, str]], polymarket: list[dict[str, str]]) -> Path:
    pairs = [
        {"kalshi_ticker": "KXHIGHAUS-26AUG05-B100.5", "polymarket_question": QUESTION, "converged": "opposite"},
        {"kalshi_ticker": "KXHIGHMIA-26AUG05-B90.5", "polymarket_question": "Miami?", "converged": "agree"},
    ]
    write("kalshi_books/austin_books.csv.gz", kalshi)
    write("polymarket_snapshots/austin_snapshots.csv.gz", [{**row, "question": row.pop("ticker")} for row in polymarket])
    return write("derived_identical_bucket_pairs.csv", pairs).parent


def test_weather_takes_the_identical_buckets_alone_and_sizes_of_at_most_a_hundred_dollars(write, target):
    kalshi = [kalshi_weather("2026-08-04T12:00:00.5+00:00"), kalshi_weather("2026-08-04T12:00:00+00:00", "KXHIGHAUS-26AUG05-T97")]
    polymarket = [kalshi_weather("2026-08-04T12:00:01+00:00", QUESTION, no_best_ask="", no_ask_depth_usdc="0.0")]
    convert("weather", weather_source(write, kalshi, polymarket), target)
    recording = Recording.load(target)
    kalshi_market, polymarket_market = recording.markets
    assert played(recording) == [
        (0, "KXHIGHAUS-26AUG05-B100.5", ["0.46 x 55.55"], ["0.49 x 204.08"]),  # 30 / 0.54, 100 / 0.49
        (500, polymarket_market.key.market, [], ["0.49 x 204.08"]),
    ]
    assert [pair.title for pair in recording.pairs] == [QUESTION]
    assert (kalshi_market.fees, polymarket_market.fees) == (KalshiFees(ONE), PolymarketFees(50_000))


def test_weather_a_market_that_is_no_longer_sampled_has_no_book(write, target):
    kalshi = [kalshi_weather(f"2026-08-04T{hour}:00:00+00:00") for hour in (12, 13, 14)]
    polymarket = [kalshi_weather(f"2026-08-04T{hour}:00:00+00:00", QUESTION) for hour in (12, 13, 14, 15, 16)]
    convert("weather", weather_source(write, kalshi, polymarket), target)
    recording = Recording.load(target)
    assert recording.sample_interval_ms == 3_600_000
    of_kalshi = [(ms // 3_600_000, bool(bids or asks)) for ms, market, bids, asks in played(recording) if market.startswith("KX")]
    assert of_kalshi == [(0, True), (1, True), (2, True), (3, False)]


def test_weather_a_time_without_its_zone_is_refused(write, target):
    source = weather_source(write, [kalshi_weather("2026-08-04T12:00:00")], [kalshi_weather("2026-08-04T12:00:00+00:00", QUESTION)])
    with pytest.raises(ConfigError, match=r"austin_books.csv.gz line 2: a time without its zone"):
        convert("weather", source, target)


# -- streams --


def kalshi_line(at: int, kind: str, **message: Any) -> dict[str, Any]:
    return {"recv_ms": at, "event": {"type": kind, "sid": 1, "seq": at * 7, "msg": {"market_ticker": "KXGOLD-1", **message}}}


def delta(at: int, side: str, price: str, change: str) -> dict[str, Any]:
    return kalshi_line(at, "orderbook_delta", side=side, price_dollars=price, delta_fp=change)


def test_kalshi_lines_are_folded_into_the_yes_book_of_each_millisecond(write, target):
    lines = [
        delta(5, "yes", "0.1000", "9.00"),  # before any snapshot
        kalshi_line(10, "orderbook_snapshot", yes_dollars_fp=[["0.4000", "7.00"], ["0.4100", "1.50"]], no_dollars_fp=[["0.5500", "3.00"]]),
        delta(12, "yes", "0.4100", "-1.50"),
        delta(12, "no", "0.5700", "4.00"),
        kalshi_line(12, "trade", count_fp="1.00"),
        delta(13, "no", "0.5500", "-1.00"),
        kalshi_line(20, "orderbook_snapshot"),
    ]
    convert("kalshi-ws", write("lines.ndjson.gz", lines), target)
    recording = Recording.load(target)
    assert played(recording) == [
        (0, "KXGOLD-1", ["0.41 x 1.50", "0.40 x 7.00"], ["0.45 x 3.00"]),
        (2, "KXGOLD-1", ["0.40 x 7.00"], ["0.43 x 4.00", "0.45 x 3.00"]),
        (3, "KXGOLD-1", ["0.40 x 7.00"], ["0.43 x 4.00", "0.45 x 2.00"]),
        (10, "KXGOLD-1", [], []),
    ]
    assert recording.markets[0].fees is None
    assert recording.pairs == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (delta(2, "yes", "0.4000", "-8"), "would hold -1"),
        (delta(2, "yes", "1.0000", "1"), "a level at 1.0000"),
        (delta(2, "maybe", "0.4", "1"), "maybe"),
        (delta(2, "yes", "0.4", "x"), "delta_fp"),
        ({"event": {"type": "trade"}}, "recv_ms"),
        ({"recv_ms": 2, "event": {}}, "type"),
    ],
)
def test_a_kalshi_line_that_cannot_be_is_refused_with_its_number(write, target, line, problem):
    source = write("lines.ndjson", [kalshi_line(1, "orderbook_snapshot", yes_dollars_fp=[["0.4000", "7.00"]]), line])
    with pytest.raises(ConfigError, match=f"line 2: .*{problem}"):
        convert("kalshi-ws", source, target)


def test_a_line_nested_without_end_is_refused(tmp_path, target):
    source = tmp_path / "lines.ndjson"
    source.write_bytes(b'{"recv_ms":1,"deep":' + b"[" * 100_000 + b"\n")
    with pytest.raises(ConfigError, match="line 1: "):
        convert("kalshi-ws", source, target)


def polymarket_row(at: int, event: str, side: str, price: str, size: str, hash_: str = "", asset: str = "111") -> dict[str, str]:
    kept = {"market_slug": "mlb", "asset_id": asset, "outcome_name": "", "event_type": event, "price": price, "side": side}
    return {**kept, "size": size, "hash": hash_, "timestamp": str(at)}


POLYMARKET_ROWS = [
    polymarket_row(100, "book", "SELL", "0.99", "5.0", "a"),
    polymarket_row(100, "book", "SELL", "0.60", "2", "a"),
    polymarket_row(100, "book", "BUY", "0.50", "3", "a"),
    polymarket_row(100, "book", "BUY", "0.50", "3", "a"),  # a duplicate
    polymarket_row(120, "price_change", "SELL", "0.60", "0.0", "c"),
    polymarket_row(110, "price_change", "bid", "0.51", "4", "b"),  # out of order
    polymarket_row(110, "price_change", "ask", "0.49", "4", "b", asset="222"),
    polymarket_row(200, "book", "BUY", "0.10", "1", "d"),
    polymarket_row(200, "book", "BUY", "0.1", "1", "d", asset="222"),
    polymarket_row(200, "book", "SELL", "0.999", "1", "d"),  # the rest of a snapshot after another's row
]


def test_polymarket_rows_are_folded_into_the_first_tokens_book(write, target):
    convert("polymarket-ws", write("events.csv.gz", POLYMARKET_ROWS), target)
    recording = Recording.load(target)
    assert [(ms, *shown(snapshot)) for ms, snapshot in recording.events] == [
        (0, ["0.50 x 3.00"], ["0.60 x 2.00", "0.99 x 5.00"]),
        (10, ["0.51 x 4.00", "0.50 x 3.00"], ["0.60 x 2.00", "0.99 x 5.00"]),
        (20, ["0.51 x 4.00", "0.50 x 3.00"], ["0.99 x 5.00"]),
        (100, ["0.10 x 1.00"], ["0.999 x 1.00"]),
    ]
    (market,) = recording.markets
    assert (market.yes.id, market.no.id, market.yes.label, market.ticks[0].step) == ("111", "222", "Yes", 1_000)


def test_polymarket_outcomes_have_their_names_where_any_row_tells_them(write, target):
    rows = [
        {**row, "outcome_name": {"111": "Tigers", "222": "Nationals"}[row["asset_id"]] * (n > 3)} for n, row in enumerate(POLYMARKET_ROWS)
    ]
    convert("polymarket-ws", write("events.csv", rows), target)
    (market,) = Recording.load(target).markets
    assert (market.yes.label, market.no.label) == ("Tigers", "Nationals")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"side": "HOLD"}, "line 3: a side 'HOLD'"),
        ({"event_type": "moon"}, "line 3: .*'moon'"),
        ({"price": "1"}, "line 3: 3 at 1 dollars"),
        ({"size": "-1"}, "line 3: -1 at"),
        ({"size": "inf"}, "line 3: not a number"),
        ({"timestamp": "soon"}, "line 3: .*soon"),
        ({"market_slug": "nba"}, "2 markets and 2 tokens"),
        ({"asset_id": "333"}, "1 markets and 3 tokens"),
    ],
)
def test_a_polymarket_row_that_cannot_be_is_refused(write, target, changes, problem):
    rows = [polymarket_row(1, "book", "ask", "0.5", "3", "x", asset="222"), {**POLYMARKET_ROWS[2], **changes}, POLYMARKET_ROWS[0]]
    with pytest.raises(ConfigError, match=problem):
        convert("polymarket-ws", write("events.csv", rows), target)


# -- sources and targets that are not there, and the command --


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_not_there_is_one_line(tmp_path, target, kind):
    with pytest.raises(ConfigError, match=r"cannot read .*absent") as caught:
        convert(kind, tmp_path / "absent", target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["fed-dec2025", "polymarket-ws"])
def test_a_csv_file_of_another_kind_names_the_column_that_is_missing(write, target, kind):
    with pytest.raises(ConfigError, match="line 1: no column '"):
        convert(kind, write("other.csv", [{"a": "1"}]), target)


def test_a_row_that_is_too_short_or_too_long_is_refused(write, target):
    source = write("fed.csv", [fed_row(0)])
    whole = source.read_text()
    for last in ("1,2\r\n", ",".join("1" * 40) + "\r\n"):
        source.write_text(whole + last)
        with pytest.raises(ConfigError, match="line 3: a row of another length"):
            convert("fed-dec2025", source, target)


@pytest.mark.parametrize("kind", ["worldcup", "kalshi-ws"])
def test_a_source_without_any_book_is_refused(write, target, kind):
    with pytest.raises(ConfigError, match="holds no book"):
        convert(kind, write("empty.jsonl", []), target)
    assert not target.exists()


def test_what_is_too_long_or_not_gzip_is_refused(tmp_path, target):
    long, plain = tmp_path / "long.jsonl", tmp_path / "plain.jsonl.gz"
    long.write_bytes(b" " * 300_000)
    plain.write_bytes(b"{}\n")
    with pytest.raises(ConfigError, match="line 1: the line is too long"):
        convert("worldcup", long, target)
    with pytest.raises(ConfigError, match=r"cannot read .*plain"):
        convert("worldcup", plain, target)


def test_a_target_that_cannot_be_written_is_refused_and_nothing_is_left(write, tmp_path):
    source = write("main.jsonl", [worldcup_row(1, "kalshi")])
    with pytest.raises(ConfigError, match=r"cannot write .*No such file"):
        convert_worldcup(source, tmp_path / "nowhere" / "play.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"cannot write .*folder"):
        convert_worldcup(source, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "source"]


def test_a_source_is_never_overwritten(write):
    source = write("main.jsonl", [worldcup_row(1, "kalshi")])
    before = source.read_bytes()
    with pytest.raises(ConfigError, match="would overwrite its source"):
        convert("worldcup", source, source.parent / "." / source.name)
    assert source.read_bytes() == before


def test_a_gzipped_target_is_the_same_recording_and_the_same_bytes_each_time(write, tmp_path):
    source = write("main.jsonl", [worldcup_row(1, "kalshi"), worldcup_row(2, "polymarket")])
    plain, first, second = (tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz"))
    for path in (plain, first, second):
        convert_worldcup(source, path)
    assert Recording.load(plain).events == Recording.load(first).events
    assert first.read_bytes() == second.read_bytes()


def test_the_command_converts_and_tells_a_persons_mistakes_in_one_line(write, target, monkeypatch, capsys):
    source = write("main.jsonl", [worldcup_row(1, "kalshi")])
    monkeypatch.setattr(sys, "argv", ["arbiter", "convert", "worldcup", str(source), str(target)])
    main()
    assert len(Recording.load(target).events) == 1
    for arguments in (["soccer", str(source), str(target)], ["worldcup", str(source) + ".gone", str(target)]):
        monkeypatch.setattr(sys, "argv", ["arbiter", "convert", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        told = capsys.readouterr().err
        assert told.startswith("arbiter: ")
        assert told.count("\n") == 1
    assert all(kind in (cli.commands["convert"].help or "") for kind in KINDS)


# -- the real files --


def books_by_market(recording: Recording) -> dict[str, int]:
    """How many books each market has."""
    found: dict[str, int] = {}
    for _, snapshot in recording.events:
        found[snapshot.outcome.market] = found.get(snapshot.outcome.market, 0) + 1
    return found


@pytest.mark.parametrize(("name", "samples", "interval"), [("mexico_england_main", 3361, 5332), ("paraguay_france", 2668, 4741)])
def test_the_real_world_cup_files_are_converted_row_for_row(target, name, samples, interval):
    (source,) = real(f"worldcup/cross_venue_{name}.jsonl.gz")
    convert_worldcup(source, target)
    recording = Recording.load(target)
    assert list(books_by_market(recording).values()) == [samples] * 4
    assert recording.sample_interval_ms == interval
    assert {market.ticks[0].step for market in recording.markets} == {1_000}
    with gzip.open(source, "rt") as file:
        for line, (_, snapshot) in zip(file, recording.events, strict=True):
            row = json.loads(line, parse_float=Decimal)
            for cents, size, side in ((row["bid"], row["bid_sz"], snapshot.bids), (row["ask"], row["ask_sz"], snapshot.asks)):
                told = [] if cents is None else [(Decimal(cents) * 10_000, Decimal(size) * ONE)]
                assert [tuple(level) for level in side] == told


def test_the_real_fed_file_is_converted(target):
    (source,) = real("fed-dec2025/*.csv.gz")
    convert("fed-dec2025", source, target)
    recording = Recording.load(target)
    assert list(books_by_market(recording).values()) == [1006, 1006]
    assert 1_800_000 <= recording.sample_interval_ms < 2 * 1_800_000
    assert {market.ticks[0].step for market in recording.markets} == {10_000}


def test_of_the_real_weather_folder_only_the_identical_buckets_with_books_on_both_venues_are_taken(target):
    (source,) = real("weather")
    convert("weather", source, target)
    recording = Recording.load(target)
    with (source / "derived_identical_bucket_pairs.csv").open() as file:
        named = {row["kalshi_ticker"]: row["polymarket_question"] for row in csv.DictReader(file)}
    assert (len(named), len(recording.pairs), len(recording.markets)) == (94, 49, 98)
    assert all(named[pair.b_same.market] == pair.title for pair in recording.pairs)
    assert len(books_by_market(recording)) == 98


def test_a_real_kalshi_stream_never_crosses_and_ends_empty(target):
    source = real("kalshi-ws/*/*.ndjson.gz")[0]
    convert("kalshi-ws", source, target)
    recording = Recording.load(target)
    assert len(recording.markets) == 1
    assert not any(s.bids and s.asks and s.bids[0].price >= s.asks[0].price for _, s in recording.events)
    assert recording.events[-1][1] == BookSnapshot(recording.markets[0].yes_key, (), ())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_real_polymarket_stream_never_crosses(target, number):
    source = real("polymarket-ws/*_events.csv.gz")[number]
    convert("polymarket-ws", source, target)
    recording = Recording.load(target)
    assert not any(s.bids and s.asks and s.bids[0].price >= s.asks[0].price for _, s in recording.events)
    assert recording.events[0][1].bids
    assert recording.events[0][1].asks
