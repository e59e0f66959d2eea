"""A token's price over time, as the CLOB and the Data API tell it: the middle of its book, or its last trade, by the minute."""

import msgspec

from arbiter.domain.ids import OutcomeId
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.candles import Candle
from arbiter.sandbox.http import Request
from arbiter.sandbox.polymarket import wire

INTERVALS = {"1h": 3_600, "6h": 6 * 3_600, "1d": 86_400, "1w": 7 * 86_400, "max": 10**9}
LONGEST_FIDELITY = 1440

Point = dict[str, int | msgspec.Raw]


def history_of(books: MarketBooks, asset: OutcomeId, request: Request, now_ms: int) -> list[Point] | None:
    """`{t, p}` each `fidelity` minutes, between `startTs` and `endTs` or over the last `interval`. None for a bad query."""
    now_s = now_ms // 1000
    fidelity, start, end = request.number("fidelity", 1), request.number("startTs", 0), request.number("endTs", now_s)
    interval = request.first("interval")
    if not fidelity or fidelity > LONGEST_FIDELITY or start is None or end is None or (interval and interval not in INTERVALS):
        return None
    if interval:
        start, end = max(0, now_s - INTERVALS[interval]), now_s
    if start >= end:
        return None
    return [_point(books, asset, candle.start_s, _close(candle)) for candle in books.candles.over(start, end, fidelity)]


def _close(candle: Candle) -> int:
    return candle.price.close if candle.price else (candle.bid.close + candle.ask.close) // 2


def _point(books: MarketBooks, asset: OutcomeId, start_s: int, yes: int) -> Point:
    return {"t": start_s, "p": wire.number(yes if asset == books.market.yes.id else books.market.payout - yes)}
