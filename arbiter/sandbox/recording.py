"""Recordings: both venues' books over time in one simple line format, and the world that plays them.

The format is described in docs/recordings.md: JSON lines, a header first, then events with the milliseconds since the
start. Prices and sizes are decimal text. A recording is validated whole before anything plays.
"""

import gzip
import zlib
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from arbiter.domain.book import BookSnapshot, Level
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, PairId, VenueId
from arbiter.domain.market import FeeSchedule, KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.domain.pair import Pair, pair_markets
from arbiter.errors import ConfigError
from arbiter.sandbox.world import WorldEvent

LONGEST_LINE = 256 * 1024
MOST_LINES = 5_000_000
_CURE = "the format is described in docs/recordings.md"

Text = str
Rows = list[tuple[Text, Text]]


class MarketLine(msgspec.Struct, forbid_unknown_fields=True):
    """A market of the header. Fees: Polymarket's `rate`, Kalshi's `multiplier`, both decimal text."""

    venue: Literal["polymarket", "kalshi"]
    id: Text
    event: Text
    title: Text
    tick: Text
    yes: Text = "yes"
    no: Text = "no"
    yes_label: Text = "Yes"
    no_label: Text = "No"
    fee: Text = ""
    maker_fees: bool = False
    min_size: Text = "0.01"
    min_notional: Text = "0"
    notional_step: Text = "0"
    category: Text = ""
    rules: Text = ""
    closes_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class PairLine(msgspec.Struct, forbid_unknown_fields=True):
    """A pair of the header: indices into `markets`; `inverted` where the one's YES is the other's NO."""

    id: Text
    title: Text
    a: int
    b: int
    inverted: bool = False


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """The first line. `sample_interval_ms`: the longest regular distance of two samples of one book."""

    format: Literal["arbiter-recording-1"]
    sample_interval_ms: int
    markets: list[MarketLine]
    pairs: list[PairLine]
    source: Text = ""
    license: Text = ""
    assumptions: Text = ""


class BookLine(msgspec.Struct, forbid_unknown_fields=True):
    """Every other line: at `ms` since the start the YES book of market `m` was this."""

    ms: int
    m: int
    bids: Rows
    asks: Rows


_decode_header = msgspec.json.Decoder(Header).decode
_decode_line = msgspec.json.Decoder(BookLine).decode


class Recording:
    """A recording, checked and ready to play: `events` are (ms since the start, snapshot), in order."""

    def __init__(
        self, markets: tuple[Market, ...], pairs: tuple[Pair, ...], sample_interval_ms: int, events: list[tuple[int, BookSnapshot]]
    ) -> None:
        self.markets = markets
        self.pairs = pairs
        self.sample_interval_ms = sample_interval_ms
        self.events = events

    @property
    def length_ms(self) -> int:
        return self.events[-1][0] if self.events else 0

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read a recording, plain or gzipped. Raises ConfigError naming the line and what is wrong with it."""
        try:
            with path.open("rb") as plain:
                file: BufferedIOBase = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
                return cls._read(str(path), _lines(str(path), file))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ConfigError(f"cannot read the recording {path}: {error}", "the file is damaged; copy or convert it again") from None
        except OSError as error:
            raise ConfigError(f"cannot read the recording {path}: {error.strerror or error}", "check the path") from None

    @classmethod
    def _read(cls, name: str, lines: Iterator[tuple[int, bytes]]) -> "Recording":
        number, first = next(lines, (0, b""))
        if not number:
            raise ConfigError(f"the recording {name} is empty", _CURE)
        try:
            header = _decode_header(first)
            markets = tuple(_market(line) for line in header.markets)
            pairs = tuple(_pair(line, markets) for line in header.pairs)
            _check_identities(markets)
            if header.sample_interval_ms < 1:
                raise ValueError("sample_interval_ms must be at least 1")
        except (ValueError, msgspec.DecodeError) as error:
            raise ConfigError(f"{name} line {number}: {error}", _CURE) from None
        events: list[tuple[int, BookSnapshot]] = []
        for number, line in lines:
            try:
                events.append(_event(_decode_line(line), markets, events[-1][0] if events else 0))
            except (ValueError, msgspec.DecodeError) as error:
                raise ConfigError(f"{name} line {number}: {error}", _CURE) from None
        if not events:
            raise ConfigError(f"the recording {name} has a header but no events", _CURE)
        return cls(markets, pairs, header.sample_interval_ms, events)


class RecordedWorld:
    """`World` from a recording, played from `start_ms` at `speed` times its own pace. After its end the last books stay."""

    def __init__(self, recording: Recording, start_ms: int, *, speed: int = 1) -> None:
        if speed < 1:
            raise ValueError("the speed is at least 1")
        self.markets = recording.markets
        self.pairs = recording.pairs
        self.sample_interval_ms: int | None = recording.sample_interval_ms
        self._events = recording.events
        self._start_ms = start_ms
        self._speed = speed
        self._next = 0
        self._told = False

    @property
    def ended(self) -> bool:
        return self._next >= len(self._events)

    def advance(self, now_ms: int) -> list[WorldEvent]:
        """See `World.advance`. Markets without a book yet begin with an empty one."""
        out: list[WorldEvent] = []
        if not self._told:
            self._told = True
            out += [BookSnapshot(market.yes_key, (), ()) for market in self.markets]
        elapsed = (now_ms - self._start_ms) * self._speed
        while self._next < len(self._events) and self._events[self._next][0] <= elapsed:
            out.append(self._events[self._next][1])
            self._next += 1
        return out


# -- reading --


def _lines(name: str, file: BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    for number in range(1, MOST_LINES + 2):
        line = file.readline(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > LONGEST_LINE or number > MOST_LINES:
            what = f"a line of more than {LONGEST_LINE} bytes" if len(line) > LONGEST_LINE else f"more than {MOST_LINES} lines"
            raise ConfigError(f"{name} line {number}: {what}", _CURE)
        if line.strip():
            yield number, line


def _check_identities(markets: tuple[Market, ...]) -> None:
    """Each market once, and each outcome in one market only: a venue's messages name nothing else."""
    if len({market.key for market in markets}) != len(markets):
        raise ValueError("a market is listed twice")
    tokens = [outcome.id for market in markets if market.key.venue == POLYMARKET for outcome in (market.yes, market.no)]
    if len(set(tokens)) != len(tokens):
        raise ValueError("a Polymarket token is listed twice")


def _market(line: MarketLine) -> Market:
    if line.venue == KALSHI and (line.yes, line.no) != ("yes", "no"):
        raise ValueError(f"market {line.id}: Kalshi's outcomes are yes and no")
    tick = parse_micros(line.tick)
    if not 0 < tick < ONE:
        raise ValueError(f"market {line.id}: a tick of {line.tick}")
    return Market(
        key=MarketKey(VenueId(line.venue), MarketId(line.id)),
        event=EventId(line.event),
        title=line.title,
        yes=Outcome(OutcomeId(line.yes), line.yes_label),
        no=Outcome(OutcomeId(line.no), line.no_label),
        ticks=(TickRange(ZERO if line.venue == KALSHI else tick, Micros(ONE - (0 if line.venue == KALSHI else tick)), tick),),
        size_step=Micros(10_000),
        min_size=_amount(line.min_size),
        min_notional=_amount(line.min_notional),
        notional_step=_amount(line.notional_step),
        fees=_fees(line),
        rules=line.rules,
        category=line.category,
        closes_at=line.closes_at,
    )


def _fees(line: MarketLine) -> FeeSchedule | None:
    if not line.fee:
        return None
    fee = _amount(line.fee)
    return PolymarketFees(fee) if line.venue == POLYMARKET else KalshiFees(fee, line.maker_fees)


def _amount(text: str) -> Micros:
    """ValueError below zero."""
    amount = parse_micros(text)
    if amount < 0:
        raise ValueError(f"{text} is below zero")
    return amount


def _pair(line: PairLine, markets: tuple[Market, ...]) -> Pair:
    if not (0 <= line.a < len(markets) and 0 <= line.b < len(markets)):
        raise ValueError(f"pair {line.id}: there are {len(markets)} markets")
    return pair_markets(PairId(line.id), line.title, markets[line.a], markets[line.b], inverted=line.inverted)


def _event(line: BookLine, markets: tuple[Market, ...], not_before: int) -> tuple[int, BookSnapshot]:
    if line.ms < not_before:
        raise ValueError(f"ms {line.ms} comes after {not_before}")
    if not 0 <= line.m < len(markets):
        raise ValueError(f"market {line.m}: there are {len(markets)}")
    return line.ms, BookSnapshot(markets[line.m].yes_key, _levels(line.bids), _levels(line.asks))


def _levels(rows: Rows) -> tuple[Level, ...]:
    return tuple(_level(price, size) for price, size in rows)


@lru_cache(maxsize=65_536)
def _level(price: Text, size: Text) -> Level:
    """With a memory: the same levels stand in book after book. ValueError for what no book can hold."""
    level = Level(parse_micros(price), parse_micros(size))
    if not 0 < level.price < ONE or level.size <= 0:
        raise ValueError(f"a level of {level.size} at {level.price} micros")
    return level
