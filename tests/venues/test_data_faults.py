"""Every fault that the sandbox knows, at each venue, through the real connector and the real feed: what they made of it.

Both venues run in one program, and only one has the fault: the other's books stay fresh all the time. First the fault, then one
change of every market and one trade, then nothing: what was lost is found without help from the venue.
"""

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import structlog.testing
import trio

from arbiter.actors.market_data import MarketData
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET, OutcomeKey
from arbiter.sandbox.faults import ANSWERS, FRAMES, Fault
from arbiter.sandbox.faults.fault import KNOWN

STEP = 0.1
"""Seconds between two looks."""
SETTLED = 12.0
"""Before the fault: longer than what ends the backoff."""
ALL, MARKET, TOKEN, NOBODY = 6, 2, 1, 0
"""How many of the six books lose their trust. A market of Kalshi has one book, which both outcomes see."""
AT_ONCE = 0.3
RECONNECTED = 1.0
ANSWERS_BAD = 20.0
"""Seconds for which answers are bad."""


class Row(NamedTuple):
    """What is expected: how many books fall; within how many seconds after the fault all are fresh and the venue's own again; what is
    counted; what is logged. `wrong`: for how long at most books are taken for fresh that are not the venue's."""

    fallen: int
    well: float
    counted: str = ""
    logged: str = ""
    wrong: float = 0.0


RELINED = "line lost"
ANEW = "books invalid"
AT_KALSHI = {
    # on the connection
    "garbage": Row(ALL, AT_ONCE, "malformed_frames", f"malformed frame, {ANEW}"),
    "broken-json": Row(ALL, AT_ONCE, "malformed_frames", f"malformed frame, {ANEW}"),
    "error-25": Row(ALL, AT_ONCE, "gaps", ANEW),
    "duplicate-frame": Row(ALL, AT_ONCE, "gaps", ANEW),
    "drop-frame": Row(ALL, 6.5, "gaps", ANEW, wrong=6.5),  # the last frames: found by asking for a book
    "negative-level": Row(MARKET, AT_ONCE, "malformed_frames", f"malformed frame, {ANEW}"),
    "crossed-book": Row(MARKET, 3.5, "crossed_books", ANEW),
    "unknown-enum": Row(ALL, AT_ONCE, "malformed_frames", f"malformed frame, {ANEW}"),
    # by a new one
    "disconnect": Row(ALL, RECONNECTED, "connections", RELINED),
    "close": Row(ALL, RECONNECTED, "connections", RELINED),
    "half-frame": Row(ALL, RECONNECTED, "half_frames, connections", f"half frame, {RELINED}"),
    "huge-message": Row(ALL, RECONNECTED, "large_messages, connections", f"large message, {RELINED}"),
    "stall": Row(ALL, 18.0, "gaps, connections", f"{ANEW}, {RELINED}", wrong=6.5),
    # nothing to repair
    "unknown-event": Row(NOBODY, AT_ONCE, "unknown_events"),
    "null-arrays": Row(NOBODY, AT_ONCE),  # no change has any
    "swapped-numbers": Row(NOBODY, AT_ONCE),
    # REST proves no book here
    "answer-429": Row(NOBODY, AT_ONCE, "refused_requests", "refused request"),
    "answer-503": Row(NOBODY, AT_ONCE, "refused_requests", "refused request"),
    "answer-html": Row(NOBODY, AT_ONCE, "unreadable_answers", "unreadable answer"),
    "answer-garbage": Row(NOBODY, AT_ONCE, "unreadable_answers", "unreadable answer"),
    "answer-half": Row(NOBODY, AT_ONCE, "unanswered_requests", "unanswered"),
    "answer-huge": Row(NOBODY, AT_ONCE),  # an object without the fields that are asked for: all halls are open
    "answer-slow": Row(NOBODY, AT_ONCE, "unanswered_requests", "unanswered"),
    "answer-unknown-enum": Row(NOBODY, AT_ONCE),
    "answer-null-arrays": Row(NOBODY, AT_ONCE),
    "answer-swapped-numbers": Row(NOBODY, AT_ONCE, "unreadable_answers", "unreadable answer"),
}
UNPROVED = ANSWERS_BAD + 2.5
"""Books that REST cannot prove are not fresh, until it can."""
ODD_BOOKS = "malformed_frames, unreadable_answers"
AT_POLYMARKET = {
    "garbage": Row(ALL, RECONNECTED, "malformed_frames, connections", f"malformed frame, {RELINED}"),
    "broken-json": Row(ALL, RECONNECTED, "malformed_frames, connections", f"malformed frame, {RELINED}"),
    "disconnect": Row(ALL, RECONNECTED, "connections", RELINED),
    "close": Row(ALL, RECONNECTED, "connections", RELINED),
    "half-frame": Row(ALL, RECONNECTED, "half_frames, connections", f"half frame, {RELINED}"),
    "huge-message": Row(ALL, RECONNECTED, "large_messages, connections", f"large message, {RELINED}"),
    # nothing is numbered, so what is lost is found by comparing with REST
    "stall": Row(ALL, 9.0, "stalled, gaps, connections", RELINED, wrong=8.5),
    "drop-frame": Row(ALL, 9.0, "stalled, gaps, connections", RELINED, wrong=8.5),
    # on the connection
    "negative-level": Row(TOKEN, 1.0, "malformed_frames", f"malformed frame, {ANEW}"),
    "crossed-book": Row(TOKEN, 3.5),  # the next change of its best prices shows that it was not so
    "unknown-enum": Row(ALL, 1.0, "malformed_frames, resubscribed", f"malformed frame, {ANEW}"),
    "null-arrays": Row(ALL, 1.0, "malformed_frames, resubscribed", f"malformed frame, {ANEW}"),
    # sizes are absolute, so what comes twice changes nothing
    "duplicate-frame": Row(NOBODY, AT_ONCE),
    "swapped-numbers": Row(NOBODY, AT_ONCE),
    "unknown-event": Row(NOBODY, AT_ONCE, "unknown_events"),
    "answer-429": Row(NOBODY, ANSWERS_BAD + 15, "refused_requests", "refused request"),  # asked ever more seldom
    "answer-503": Row(NOBODY, UNPROVED, "refused_requests", "refused request"),
    "answer-html": Row(NOBODY, UNPROVED, ODD_BOOKS, "unreadable answer, malformed frame"),
    "answer-garbage": Row(NOBODY, UNPROVED, ODD_BOOKS, "unreadable answer, malformed frame"),
    "answer-half": Row(NOBODY, UNPROVED, "unanswered_requests", "unanswered"),
    "answer-huge": Row(NOBODY, UNPROVED, ODD_BOOKS, "unreadable answer, malformed frame"),
    "answer-slow": Row(NOBODY, ANSWERS_BAD + 11, "unanswered_requests", "unanswered"),
    "answer-null-arrays": Row(NOBODY, UNPROVED, "malformed_frames", "malformed frame"),
    "answer-unknown-enum": Row(NOBODY, AT_ONCE),
    "answer-swapped-numbers": Row(NOBODY, AT_ONCE),
}
TABLE = [(KALSHI, *each) for each in AT_KALSHI.items()] + [(POLYMARKET, *each) for each in AT_POLYMARKET.items()]


def begun(what: str) -> Fault:
    """Answers are bad for 20 s, frames three times."""
    if what in ANSWERS:
        return Fault(what, for_ms=int(1000 * ANSWERS_BAD), delay_ms=15_000 if what == "answer-slow" else 0)
    return Fault(what, count=3) if what in FRAMES else Fault(what)


@dataclass
class Seen:
    """What happened to the venue that had the fault, and to the other."""

    fallen: set[OutcomeKey] = field(default_factory=set)
    wrong: float = 0.0
    well: float | None = None
    others_unfresh: int = 0
    counted: dict[str, int] = field(default_factory=dict)
    others_counted: dict[str, int] = field(default_factory=dict)
    logged: list[Any] = field(default_factory=list)


class Watch:
    """Both venues' feeds, looked at every now and then."""

    def __init__(self, stage: Any, datas: dict[str, MarketData]) -> None:
        self._stage = stage
        self._datas = datas

    def fresh(self, venue: str) -> dict[OutcomeKey, tuple[Any, Any]]:
        """The books that may be acted on now."""
        data, now = self._datas[venue], self._stage.environment.monotonic()
        books = [data.books.get(outcome) for outcome in self._stage.truth(venue)]
        return {book.outcome: (book.bids, book.asks) for book in books if book is not None and data.fresh(book, now)}

    def all_fresh(self, venue: str) -> bool:
        return self.fresh(venue).keys() == self._stage.truth(venue).keys()

    async def look(self, venue: str, other: str, seen: Seen, seconds: float) -> None:
        """For so long. `seen.well` is when everything was right for good."""
        began = wrong_since = trio.current_time()
        while trio.current_time() - began < seconds:
            await trio.sleep(STEP)
            at, truth, fresh = trio.current_time(), self._stage.truth(venue), self.fresh(venue)
            if all(truth[outcome] == book for outcome, book in fresh.items()):
                wrong_since = at
            seen.wrong = max(seen.wrong, at - wrong_since)
            seen.others_unfresh += not self.all_fresh(other)
            if fresh != truth:
                seen.well = None
            elif seen.well is None:
                seen.well = at - began


async def befall(stage: Any, venue: str, fault: Fault, seconds: float, until: Any) -> Seen:
    """The fault, one change of every market and one trade."""
    other = KALSHI if venue == POLYMARKET else POLYMARKET
    engines = {KALSHI: stage.sandbox.kalshi, POLYMARKET: stage.sandbox.polymarket}
    markets = {KALSHI: stage.world.kalshi, POLYMARKET: stage.world.polymarket}
    seen = Seen()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stage.running())
        connectors = {KALSHI: stage.kalshi(), POLYMARKET: stage.polymarket()}
        datas = {name: await stack.enter_async_context(stage.feed(each)) for name, each in connectors.items()}
        watch = Watch(stage, datas)
        await until(lambda: all(watch.all_fresh(each) for each in datas), 3)
        await trio.sleep(SETTLED)
        before = {name: each.statistics() for name, each in connectors.items()}

        def heard(book: Any) -> None:
            if not book.trusted:
                seen.fallen.add(book.outcome)

        with structlog.testing.capture_logs() as logs, datas[venue].books.deliver_to(heard):
            engines[venue].faults.begin(fault, stage.environment.unix_ms())
            await trio.sleep(0.03)
            for market in markets[venue]:
                stage.world.change(market, Side.BUY, "0.41", "7")
            stage.world.trade(markets[venue][0], "0.44", "1", Side.BUY)
            await watch.look(venue, other, seen, seconds)
        seen.logged = [(line["event"], line["venue"]) for line in logs]
        for name, counted in ((venue, seen.counted), (other, seen.others_counted)):
            after = connectors[name].statistics()
            for counter in after.keys() - {"frames", "compared", "oldest_proof_ms", "late_proofs"}:
                if after[counter] != before[name].get(counter, 0) and " " not in counter:
                    counted[counter] = after[counter] - before[name].get(counter, 0)
    return seen


def test_the_tables_have_every_fault_that_there_is() -> None:
    assert AT_KALSHI.keys() == KNOWN.keys()
    assert AT_POLYMARKET.keys() == KNOWN.keys() - {"error-25"}


@pytest.mark.parametrize(("venue", "what", "row"), TABLE, ids=[f"{venue}-{what}" for venue, what, _ in TABLE])
async def test_what_a_fault_does_to_the_books_of_its_venue_and_that_it_does_nothing_to_the_other(
    autojump_clock, stage, until, venue, what, row
):
    seen = await befall(stage, venue, begun(what), max(row.well, ANSWERS_BAD) + 12 if what in ANSWERS else row.well + 3, until)
    assert len(seen.fallen) == row.fallen
    assert seen.well is not None
    assert seen.well <= row.well
    assert seen.wrong <= row.wrong + AT_ONCE
    names = {name for name in row.counted.split(", ") if name}
    assert seen.counted.keys() - {"resubscribed"} == names - {"resubscribed"}
    assert Counter(seen.logged) == Counter((event, venue) for event in row.logged.split(", ") if event), "each kind once a minute"
    assert (seen.others_unfresh, seen.others_counted) == (0, {})
