"""Writing a recording: what a converter collected, put in order of time, behind its header."""

import gzip
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low

import msgspec

from arbiter.domain.money import format_micros, parse_micros
from arbiter.errors import ConfigError
from arbiter.sandbox.recording import BookLine, Header, MarketLine, PairLine, Recording, Rows

REGULAR = 3
"""A distance of two samples is regular up to so many times the median one; beyond, the recorder was away."""
STREAMED = 1
"""The interval of a recording that was told each change as it came: nothing was sampled."""
_TICKS = (10_000, 1_000, 100, 10, 1)


@dataclass
class Draft:
    """A recording in the making. Books come with Unix ms, in any order; those of one instant stay in theirs."""

    source: str
    license: str
    assumptions: str
    markets: list[MarketLine] = field(default_factory=list)
    pairs: list[PairLine] = field(default_factory=list)
    books: list[tuple[int, int, Rows, Rows]] = field(default_factory=list)

    def add_market(self, market: MarketLine) -> int:
        """Its index."""
        self.markets.append(market)
        return len(self.markets) - 1

    def add_book(self, unix_ms: int, market: int, bids: Rows, asks: Rows) -> None:
        """The YES book as it was seen at that time."""
        self.books.append((unix_ms, market, bids, asks))

    def longest_regular_gap(self) -> int:
        """Of two samples of one book, in ms; at least 1."""
        last: dict[int, int] = {}
        gaps: list[int] = []
        for unix_ms, market, _, _ in sorted(self.books, key=lambda book: book[0]):
            if market in last:
                gaps.append(unix_ms - last[market])
            last[market] = unix_ms
        if not gaps:
            return 1
        limit = REGULAR * median_low(gaps)
        return max([1, *(gap for gap in gaps if gap <= limit)])

    def end_books(self, interval_ms: int) -> None:
        """Empty each book `interval_ms` after its last sample, where the recording goes on beyond: nobody knows it then."""
        last: dict[int, int] = {}
        for unix_ms, market, _, _ in self.books:
            last[market] = max(unix_ms, last.get(market, unix_ms))
        end = max(last.values(), default=0)
        for market, unix_ms in last.items():
            if unix_ms + interval_ms < end:
                self.add_book(unix_ms + interval_ms, market, [], [])

    def refine_ticks(self) -> None:
        """Make a market's tick as fine as its finest price."""
        prices: dict[int, set[str]] = {}
        for _, market, bids, asks in self.books:
            prices.setdefault(market, set()).update(price for price, _ in bids + asks)
        for market, seen in prices.items():
            line, finest = self.markets[market], {parse_micros(price) for price in seen}
            tick = next(tick for tick in (parse_micros(line.tick), *_TICKS) if all(price % tick == 0 for price in finest))
            self.markets[market] = msgspec.structs.replace(line, tick=format_micros(tick))


def write(draft: Draft, target: Path, *, sample_interval_ms: int) -> None:
    """Whole or not at all; gzipped where the name ends so. What was written is read back first. Raises ConfigError."""
    if not draft.books:
        raise ConfigError(f"the source holds no book for {target}", "check that it is of the kind that was named")
    draft.refine_ticks()
    header = Header(
        format="arbiter-recording-1",
        sample_interval_ms=sample_interval_ms,
        markets=draft.markets,
        pairs=draft.pairs,
        source=draft.source,
        license=draft.license,
        assumptions=draft.assumptions,
    )
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".gz" if target.suffix == ".gz" else "")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                text = b"".join(msgspec.json.encode(line) + b"\n" for line in [header, *_lines(draft)])
                file.write(gzip.compress(text, mtime=0) if target.suffix == ".gz" else text)
            Recording.load(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror or error}", "check the path") from None


def _lines(draft: Draft) -> Iterator[BookLine]:
    books = sorted(draft.books, key=lambda book: book[0])
    start = books[0][0]
    for unix_ms, market, bids, asks in books:
        yield BookLine(unix_ms - start, market, bids, asks)


def made_up_token(*parts: str) -> str:
    """A token id for what a source does not tell: a decimal number that follows from the parts."""
    return str(int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest(), "big"))


def made_up_condition(*parts: str) -> str:
    """A condition id likewise."""
    return "0x" + hashlib.sha256("/".join(parts).encode()).hexdigest()
