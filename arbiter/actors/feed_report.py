"""How one venue's feed is, for people: its lines, how many of its books can be acted on, what its connector counts."""

from collections.abc import Iterable
from itertools import islice

import msgspec
import trio

from arbiter.actors.market_data import FeedStatus, MarketData
from arbiter.domain.ids import OutcomeKey, VenueId

AT_ONCE = 500
"""Books that are looked at before others have their turn."""


class LineReport(msgspec.Struct):
    """One connection. Of the books that come over it: how many there are, have no doubt about them, may be acted on.

    Ages in milliseconds; None: never. `oldest_proof_ms` is of the trusted books alone.
    """

    line: int
    connected: bool
    alive_age_ms: int | None
    problem: str
    books: int = 0
    trusted: int = 0
    fresh: int = 0
    oldest_proof_ms: int | None = None


class FeedReport(msgspec.Struct, frozen=True):
    """`markets` are known and have not ended; of `followed` ones books are kept. `counters` are since the connector's start.

    `catalogue_age_ms` is since it was last read whole, None: not yet; `catalogue_problem` why the last attempt failed.
    """

    venue: VenueId
    markets: int
    followed: int
    catalogue_age_ms: int | None
    catalogue_problem: str
    lines: tuple[LineReport, ...]
    counters: dict[str, int]


async def report_lines(
    data: MarketData, statuses: Iterable[FeedStatus], outcomes: Iterable[tuple[OutcomeKey, int]], now: float
) -> tuple[LineReport, ...]:
    """Of these lines and the books that come over them, at monotonic second `now`. Lets others have their turn on the way.

    A line that was given up, since nothing is followed over it any more, is none: unless there is no other.
    """
    known = {each.line: each for each in statuses}
    lines = {number: _line(status, now) for number, status in sorted(known.items())}
    oldest: dict[int, float] = {}
    waiting = iter(tuple(outcomes))
    while chunk := list(islice(waiting, AT_ONCE)):
        for outcome, number in chunk:
            if number in lines:
                proved_at = _count(lines[number], known[number], outcome, data, now)
                oldest[number] = min(oldest.get(number, now), proved_at)
        await trio.lowlevel.checkpoint()
    for number, at in oldest.items():
        lines[number].oldest_proof_ms = _ms(now - at) if lines[number].trusted else None
    found = tuple(line for line in lines.values() if line.connected or line.books)
    return found or tuple(lines.values())[:1]


def _count(report: LineReport, status: FeedStatus, outcome: OutcomeKey, data: MarketData, now: float) -> float:
    """When it was last proved; now, where it is not to be trusted anyhow."""
    report.books += 1
    book = data.books.get(outcome)
    if book is None or not book.trusted:
        return now
    report.trusted += 1
    proved_at = data.proved_at(book, status)
    report.fresh += data.fresh(book, now)
    return status.alive_at if proved_at is None else proved_at


def _line(status: FeedStatus, now: float) -> LineReport:
    alive = _ms(now - status.alive_at) if status.connected or status.alive_at else None
    return LineReport(status.line, status.connected, alive, status.problem)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
