"""Kalshi's connector: what a frame costs beyond its decoding.

`kalshi_over_decode_us`: an `orderbook_delta` frame's bytes -> its sequence checked, both outcomes' books changed -> the top of the YES
book read, less msgspec's typed decode of the same frame into the same types. Of the changes 4 % were never there before, as in the
recorded windows.
"""

import random
import time
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from arbiter.domain.book import Book
from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey
from arbiter.domain.market import Market, Outcome
from arbiter.domain.market_events import MarketEvent
from arbiter.domain.money import ONE, Micros
from arbiter.venues.base import Followed
from arbiter.venues.kalshi import wire
from arbiter.venues.kalshi.frames import FrameReader
from arbiter.venues.kalshi.subscriptions import Subscriptions
from arbiter.venues.tally import Tally
from bench.over_decode import FRAMES, over_decode_us

TARGETS = {"kalshi_over_decode_us": "<= 1.5"}
TICKER = "KXGOLD15M-26AUG102200-00"
NEW_SHARE = 0.04
EMPTIED_SHARE = 0.13
"""Of the changes of a level so many empty it, and so later as many make one; in the recorded windows 8 and 18 %."""
USUAL = 300
"""So many different changes come again and again."""


class _Nobody:
    """A listener that does nothing: what it would do is not the connector's."""

    def changed(self, book: Book, venue_ms: int) -> None: ...

    def proved(self, outcomes: Iterable[OutcomeKey], at: float) -> None: ...

    def alive(self, line: int) -> None: ...

    def tell(self, event: MarketEvent) -> None: ...


class _Deltas:
    """Frames as the venue would send them, one after the other, on two sides of 20 levels."""

    def __init__(self) -> None:
        self._rng = random.Random(2)
        self._seq = 1
        self._usual = [self._rng.randint(1, 300_000) for _ in range(USUAL)]
        self._held: dict[tuple[bytes, int], int] = {}
        self._fresh = 300_000

    def snapshot(self) -> bytes:
        def side(prices: range) -> bytes:
            return b",".join(b'["0.%02d00","%d.00"]' % (price, 5_000) for price in prices)

        for name, prices in ((b"yes", range(20, 40)), (b"no", range(35, 55))):
            self._held.update({(name, price): 500_000 for price in prices})
        levels = side(range(20, 40)), side(range(35, 55))
        return self._frame(b"orderbook_snapshot", b'"yes_dollars_fp":[%s],"no_dollars_fp":[%s]' % levels)

    def round(self) -> Sequence[bytes]:
        return [self._delta() for _ in range(FRAMES)]

    def _delta(self) -> bytes:
        rng = self._rng
        side, prices = rng.choice([(b"yes", range(20, 40)), (b"no", range(35, 55))])
        price, size = rng.choice(prices), rng.choice(self._usual)
        if rng.random() < NEW_SHARE:
            self._fresh += 1
            size = self._fresh
        held = self._held[side, price]
        if held and rng.random() < EMPTIED_SHARE:
            sign, change = b"-", held
        elif held > 500_000:
            sign, change = b"-", min(size, held - 1)
        else:
            sign, change = b"", size
        self._held[side, price] = held - change if sign else held + change
        text = (price, sign, change // 100, change % 100, side)
        fields = b'"price_dollars":"0.%02d00","delta_fp":"%s%d.%02d","side":"%s","ts":"2026-08-11T01:46:30.485212Z","ts_ms":1786412790485'
        return self._frame(b"orderbook_delta", fields % text)

    def _frame(self, kind: bytes, fields: bytes) -> bytes:
        head = b'{"type":"%s","sid":1,"seq":%d,"msg":{"market_ticker":"%s","market_id":"04f12d8b-89cf-4f4e-84ac-5eb186d5ad0e",'
        self._seq += 1
        return head % (kind, self._seq - 1, TICKER.encode()) + fields + b"}}"


def measure(*, quick: bool) -> dict[str, Any]:
    """The figure, and what the decoding alone costs."""
    market = Market(
        MarketKey(KALSHI, MarketId(TICKER)),
        EventId("event"),
        "Gold?",
        Outcome(OutcomeId("yes"), "Yes"),
        Outcome(OutcomeId("no"), "No"),
        (),
        Micros(10_000),
    )
    followed = Followed(market, Book(market.yes_key), Book(market.no_key))
    surroundings: Any = SimpleNamespace(monotonic=time.monotonic, unix_ms=lambda: 0, random=random.Random(1))
    reader = FrameReader(Subscriptions(500), _Nobody(), Tally(KALSHI, surroundings), lambda _: None)
    reader.follow({TICKER: followed})
    deltas, read = _Deltas(), reader.read
    read(deltas.snapshot())
    bids, other = followed.yes.bid_side.prices, followed.no.bid_side.prices
    top = 0, 0

    def take(frame: bytes) -> None:
        nonlocal top
        read(frame)
        top = bids[-1], ONE - other[-1]

    over, bare = over_decode_us(wire.decode_known, take, deltas.round, quick=quick)
    assert 0 < top[0] < top[1]
    assert followed.yes.trusted
    return {"kalshi_over_decode_us": round(over, 3), "kalshi_decode_us": round(bare, 3)}
