"""Polymarket's connector: what a frame costs beyond its decoding, and what a followed token weighs.

1. `polymarket_over_decode_us`: a `price_change` frame's bytes -> the change in its book -> the top of that book read by the
   listener, less msgspec's typed decode of the same frame into the same types. Of the sizes 13 % were never there before, as in
   the recorded games; `polymarket_new_sizes_over_decode_us` is the same with sizes that are all new.
2. `token_kib`: lines, books and everything else that 10,000 tokens with 20 levels a side make the connector hold.
"""

import gc
import random
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from arbiter.domain.book import Book
from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.market_events import MarketEvent
from arbiter.domain.money import ONE, Micros
from arbiter.venues.base import Followed
from arbiter.venues.polymarket import wire
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.hosts import PolymarketPace
from arbiter.venues.polymarket.line import Shared
from arbiter.venues.polymarket.lines import Lines
from bench.over_decode import FRAMES, over_decode_us

TARGETS = {"polymarket_over_decode_us": "<= 1.5", "token_kib": "<= 12"}
NEW_SHARE = 0.13
USUAL = 400
"""So many different sizes come again and again."""
TOKENS = 10_000
LEVELS = 20


class _Top:
    """A listener that reads the top of each changed book, and no more."""

    bid: Micros | None = None
    ask: Micros | None = None

    def changed(self, book: Book, venue_ms: int) -> None:
        self.bid = book.bid_side.highest
        self.ask = book.ask_side.lowest

    def proved(self, outcomes: Iterable[OutcomeKey], at: float) -> None:
        """Nothing is read."""

    def alive(self, line: int) -> None:
        """Nothing is read."""

    def tell(self, event: MarketEvent) -> None:
        """Nothing is read."""


class _Nursery:
    """Starts nothing: lines are filled by hand."""

    def start_soon(self, *_: Any) -> None:
        """Not now."""


def _market(number: int, rng: random.Random) -> Market:
    ids = [OutcomeId(str(rng.getrandbits(255) | 1 << 254)) for _ in range(2)]
    key = MarketKey(POLYMARKET, MarketId(f"0x{number:064x}"))
    cents = (TickRange(Micros(10_000), Micros(ONE - 10_000), Micros(10_000)),)
    return Market(
        key, EventId(f"event-{number}"), f"Number {number}?", Outcome(ids[0], "Yes"), Outcome(ids[1], "No"), cents, Micros(10_000)
    )


def _book_frame(market: Market, token: str, rng: random.Random) -> bytes:
    def side(prices: Iterable[int]) -> bytes:
        return b",".join(b'{"price":"0.%02d","size":"%d.%02d"}' % (p, rng.randint(1, 3000), rng.randint(0, 99)) for p in prices)

    head = b'{"event_type":"book","market":"%s","asset_id":"%s","timestamp":"1767225600123","hash":"",'
    return head % (market.key.market.encode(), token.encode()) + b'"bids":[%s],"asks":[%s]}' % (
        side(range(30, 50)),
        side(range(71, 51, -1)),
    )


class _Changes:
    """Frames of one token, one after the other."""

    def __init__(self, token: str, new_share: float) -> None:
        self._rng = random.Random(2)
        self._token = token.encode()
        self._new_share = new_share
        self._usual = [self._rng.randint(100, 300_000) for _ in range(USUAL)]
        self._fresh = 300_000

    def round(self) -> Sequence[bytes]:
        return [self._one() for _ in range(FRAMES)]

    def _one(self) -> bytes:
        rng = self._rng
        side, price = rng.choice([(b"BUY", rng.randint(30, 49)), (b"SELL", rng.randint(52, 70))])
        size = rng.choice(self._usual)
        if rng.random() < self._new_share:
            self._fresh += 1
            size = self._fresh
        return (
            b'{"event_type":"price_change","market":"0xaa","timestamp":"1767225600200","price_changes":[{"asset_id":"%s","price":"0.%02d",'
            b'"size":"%d.%02d","side":"%s","hash":"ab12","best_bid":"0.49","best_ask":"0.52"}]}'
            % (self._token, price, size // 100, size % 100, side)
        )


def _lines(count: int) -> tuple[Lines, list[Market], _Top]:
    """So many markets, followed on lines that are not connected, each book told once."""
    rng = random.Random(1)
    surroundings: Any = SimpleNamespace(monotonic=time.monotonic, unix_ms=lambda: 0, random=rng)
    listener = _Top()
    network: Any = None
    nursery: Any = _Nursery()
    counters = Counters(POLYMARKET, surroundings)
    lines = Lines(Shared("ws://", network, surroundings, PolymarketPace(), counters, listener, lambda *_: None), nursery)
    markets = [_market(number, rng) for number in range(count)]
    wanted = {market.key: Followed(market, Book(market.yes_key), Book(market.no_key)) for market in markets}
    lines.set(wanted, wanted)
    for line in lines.all():
        for token in tuple(line.tokens.values()):
            line.reader.read(_book_frame(token.market.market, token.id, rng))
        line.reader.look(time.monotonic())
    return lines, markets, listener


def _over_decode_us(new_share: float, *, quick: bool) -> tuple[float, float]:
    """See above, 1."""
    lines, markets, _ = _lines(1)
    reader = next(iter(lines.all())).reader
    return over_decode_us(wire.decode, reader.read, _Changes(markets[0].yes.id, new_share).round, quick=quick)


def token_kib(tokens: int = TOKENS) -> float:
    """See above, 2. KiB a token, of all that was allocated and is held."""
    _lines(1)  # what is made once is not a token's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = _lines(tokens // 2)
        for token in held[0].tokens():
            token.book.packed()  # the copy that readers are given is held, too
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        assert len(held[1]) == tokens // 2
    finally:
        tracemalloc.stop()
    return grown / tokens / 1024


def measure(*, quick: bool) -> dict[str, Any]:
    """The figures, and what the decoding alone costs."""
    over, bare = _over_decode_us(NEW_SHARE, quick=quick)
    return {
        "polymarket_over_decode_us": round(over, 3),
        "polymarket_decode_us": round(bare, 3),
        "polymarket_new_sizes_over_decode_us": round(_over_decode_us(1.0, quick=quick)[0], 3),
        "token_kib": round(token_kib(), 2),
    }
