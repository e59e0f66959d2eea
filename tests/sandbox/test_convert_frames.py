"""Converters into frames: small sources in the shape of the real ones, and what is refused."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from arbiter.errors import ConfigError
from arbiter.frames.file import FramesFile
from arbiter.frames.lines import Opened, Received
from arbiter.sandbox.convert import convert

SNAPSHOT = {"market_ticker": "KXGOLD-1-2", "market_id": "a", "yes_dollars_fp": [["0.0100", "5.00"]], "no_dollars_fp": [["0.0200", "6.00"]]}
DELTA = {"market_ticker": "KXGOLD-1-2", "price_dollars": "0.0100", "delta_fp": "-5.00", "side": "yes"}
TRADE = {"market_ticker": "KXGOLD-1-2", "trade_id": "t"}


def kalshi(folder: Path, *lines: tuple[int, str, int, int, dict[str, Any]]) -> Path:
    path = folder / "lines.ndjson.gz"
    rows = [{"recv_ms": ms, "event": {"type": type_, "sid": sid, "seq": seq, "msg": msg}} for ms, type_, sid, seq, msg in lines]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def polymarket(folder: Path, *rows: tuple[str, str, str, str, str, str, int]) -> Path:
    path = folder / "rows.csv"
    names = ("asset_id", "event_type", "side", "price", "size", "hash", "timestamp")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("market_slug", *names))
        writer.writeheader()
        writer.writerows({"market_slug": "kc-tex", **dict(zip(names, row, strict=True))} for row in rows)
    return path


def received(path: Path) -> list[tuple[int, Any]]:
    """Milliseconds since the first message, and the message."""
    return [(line.ns // 1_000_000 - 1_000, json.loads(line.text)) for line in FramesFile(path).lines() if isinstance(line, Received)]


def test_kalshi_messages_are_kept_and_numbered_anew_in_each_subscription(tmp_path):
    source = kalshi(
        tmp_path,
        (5_000, "orderbook_snapshot", 1, 900, SNAPSHOT),
        (5_010, "trade", 2, 77, TRADE),
        (5_010, "orderbook_delta", 1, 950, DELTA),
    )
    convert("kalshi-frames", source, tmp_path / "a.zst")
    told = received(tmp_path / "a.zst")
    accepted, messages = told[:2], told[2:]
    assert [message["msg"] for _, message in accepted] == [{"channel": "orderbook_delta", "sid": 1}, {"channel": "trade", "sid": 2}]
    assert messages == [
        (0, {"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": SNAPSHOT}),
        (10, {"type": "trade", "sid": 2, "seq": 1, "msg": TRADE}),
        (10, {"type": "orderbook_delta", "sid": 1, "seq": 2, "msg": DELTA}),
    ]
    file = FramesFile(tmp_path / "a.zst")
    assert [market.key.market for market in file.header.markets] == ["KXGOLD-1-2"]
    assert (file.header.started_ms, file.header.controls) == (4_000, False)
    assert "numbered anew" in file.header.assumptions
    assert isinstance(next(file.lines()), Opened)


def test_polymarket_rows_become_messages_again_in_order_of_time(tmp_path):
    source = polymarket(
        tmp_path,
        ("71", "price_change", "bid", "0.40", "0", "h3", 2_000),
        ("71", "book", "ask", "0.50", "7.0", "h1", 1_000),
        ("72", "book", "BUY", "0.50", "7", "h2", 1_000),
        ("71", "book", "bid", "0.40", "5", "h1", 1_000),
        ("71", "price_change", "SELL", "0.51", "1.5", "h3", 2_000),
    )
    convert("polymarket-frames", source, tmp_path / "a.zst")
    (market,) = FramesFile(tmp_path / "a.zst").header.markets
    common = {"market": market.key.market, "timestamp": "1000"}
    change = {"asset_id": "71", "hash": ""}
    book = {"event_type": "book", "hash": "", **common}
    assert received(tmp_path / "a.zst") == [
        (0, {**book, "asset_id": "71", "bids": [{"price": "0.40", "size": "5.00"}], "asks": [{"price": "0.50", "size": "7.00"}]}),
        (0, {**book, "asset_id": "72", "bids": [{"price": "0.50", "size": "7.00"}], "asks": []}),
        (
            1_000,
            {
                "event_type": "price_change",
                "market": market.key.market,
                "timestamp": "2000",
                "price_changes": [
                    {**change, "price": "0.40", "size": "0.00", "side": "BUY"},
                    {**change, "price": "0.51", "size": "1.50", "side": "SELL"},
                ],
            },
        ),
    ]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([(5, "orderbook_snapshot", 1, 1, SNAPSHOT), (4, "trade", 1, 2, TRADE)], "line 2: recv_ms 4 comes after 5"),
        ([(5, "moon", 1, 1, SNAPSHOT)], "line 1: an event 'moon'"),
        ([(5, "trade", 1, 1, {})], "line 1: .*market_ticker"),
        ([], "holds no message"),
    ],
)
def test_what_is_no_such_source_is_refused_and_leaves_nothing(tmp_path, lines, complaint):
    with pytest.raises(ConfigError, match=complaint):
        convert("kalshi-frames", kalshi(tmp_path, *lines), tmp_path / "a.zst")
    assert [path.name for path in tmp_path.iterdir()] == ["lines.ndjson.gz"]


def test_a_polymarket_file_of_one_token_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="1 markets and 1 tokens instead of 1 and 2"):
        convert("polymarket-frames", polymarket(tmp_path, ("71", "book", "bid", "0.4", "5", "h", 1)), tmp_path / "a.zst")
