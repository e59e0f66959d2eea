"""Kalshi's WebSocket as it was received: JSON lines of snapshots, deltas and trades, folded into YES books. One venue."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from arbiter.sandbox.convert.fold import FoldedBook
from arbiter.sandbox.convert.source import Place, lines, reading
from arbiter.sandbox.convert.writer import STREAMED, Draft, write
from arbiter.sandbox.recording import MarketLine

Level = tuple[Decimal, Decimal]
_SIDES = {"yes": "bid", "no": "ask"}


class Snapshot(msgspec.Struct):
    """Bids of both outcomes; a side without any is missing."""

    market_ticker: str
    yes_dollars_fp: list[Level] = []
    no_dollars_fp: list[Level] = []


class Delta(msgspec.Struct):
    market_ticker: str
    price_dollars: Decimal
    delta_fp: Decimal
    side: Literal["yes", "no"]


class Event(msgspec.Struct):
    type: str
    msg: msgspec.Raw = msgspec.Raw(b"{}")


class Line(msgspec.Struct):
    recv_ms: int
    event: Event


_decode = msgspec.json.Decoder(Line).decode
_decode_snapshot = msgspec.json.Decoder(Snapshot).decode
_decode_delta = msgspec.json.Decoder(Delta).decode


def convert_kalshi_ws(source: Path, target: Path) -> None:
    """Every market of the file, its book after each millisecond in which it changed. Raises ConfigError."""
    draft = Draft(
        source="github.com/zkiihne/kalshi-gold15m-sample",
        license="none stated",
        assumptions=(
            "books folded from snapshots and deltas at the time they were received; trades are left out; sequence numbers are not checked, "
            "since the source was cut to single markets while they count a whole subscription; deltas before a market's first snapshot are "
            "left out; the fee schedule is not in the source, so these markets can be watched and not traded"
        ),
    )
    folded = _Folded(draft)
    place = Place(source)
    with reading(place):
        for raw in lines(place):
            line = _decode(raw)
            if line.event.type == "orderbook_snapshot":
                folded.snapshot(line.recv_ms, _decode_snapshot(line.event.msg))
            elif line.event.type == "orderbook_delta":
                folded.delta(line.recv_ms, _decode_delta(line.event.msg))
    folded.flush()
    write(draft, target, sample_interval_ms=STREAMED)


class _Folded:
    """The books, and which of them changed in the current millisecond."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._books: dict[str, tuple[int, FoldedBook]] = {}
        self._touched: dict[str, None] = {}
        self._now = 0

    def snapshot(self, now: int, message: Snapshot) -> None:
        self._go_on(now)
        ticker = message.market_ticker
        if ticker not in self._books:
            market = MarketLine(venue="kalshi", id=ticker, event=ticker.rpartition("-")[0] or ticker, title=ticker, tick="0.01")
            self._books[ticker] = self._draft.add_market(market), FoldedBook()
        book = self._books[ticker][1]
        book.clear()
        for price, size in message.yes_dollars_fp:
            book.set("bid", price, size)
        for price, size in message.no_dollars_fp:
            book.set("ask", 1 - price, size)
        self._touched[ticker] = None

    def delta(self, now: int, message: Delta) -> None:
        self._go_on(now)
        if message.market_ticker in self._books:
            price = message.price_dollars if message.side == "yes" else 1 - message.price_dollars
            self._books[message.market_ticker][1].add(_SIDES[message.side], price, message.delta_fp)
            self._touched[message.market_ticker] = None

    def _go_on(self, now: int) -> None:
        if now != self._now:
            self.flush()
            self._now = now

    def flush(self) -> None:
        for ticker in self._touched:
            index, book = self._books[ticker]
            self._draft.add_book(self._now, index, *book.rows())
        self._touched.clear()
