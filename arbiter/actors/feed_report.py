"""How one venue's feed is, for people: its lines, how many of its books can be acted on, what its connector counts."""

from collections.abc import Iterable

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
    """Of these lines and the books that come over them, at monotonic second `now`. Lets others have their turn on the way."""
    known = {each.line: each for each in statuses}
    lines = {number: _line(status, now) for number, status in sorted(known.items())}
    for number, (outcome, line) in enumerate(tuple(outcomes)):
        if number % AT_ONCE == AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
        report, book = lines.get(line), data.books.get(outcome)
        if report is None:
            continue
        report.books += 1
        if book is None or not book.trusted:
            continue
        report.trusted += 1
        report.fresh += data.fresh(book, now)
        proved = max(book.changed_at, data.proofs.get(outcome) or 0.0)
        if not known[line].proves_books:
            report.oldest_proof_ms = max(report.oldest_proof_ms or 0, _ms(now - proved))
        else:
            report.oldest_proof_ms = report.alive_age_ms
    return tuple(lines.values())


def _line(status: FeedStatus, now: float) -> LineReport:
    alive = _ms(now - status.alive_at) if status.connected or status.alive_at else None
    return LineReport(status.line, status.connected, alive, status.problem)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
