"""ArbScanner: for each changed book, looks again at exactly the pairs it belongs to, and tells the life of what it finds.

The cost of an update does not grow with the number of markets: an index leads from the outcome to its hedges.
"""

from bisect import bisect_right
from typing import Literal, assert_never

import msgspec
import trio

from arbiter.actors.market_feed import BookUpdated, FeedStatus, LineKey, MarketData
from arbiter.domain.arbitrage import NO_EDGE, Offer, Opportunity, Rejected, RejectReason, find, without_edge
from arbiter.domain.ids import OpportunityId, OutcomeKey, PairId, VenueId, new_id
from arbiter.domain.pair import Pair
from arbiter.runtime import Actor, Environment, Message, Request, Topic, TopicKey

SWEEP_SECONDS = 1.0
"""How often open opportunities are checked for books that went stale in silence."""

SCANNER_STOPPED = "scanner_stopped"
"""The reason of what was open when the scanner stopped or crashed; any other is a `RejectReason`."""

State = Literal["opened", "updated", "closed"]


class OpportunityChanged(Message, frozen=True, tag=True):
    """A step in the life of an opportunity. `ages` are those of both books in ms at that instant.

    `opened_ms` and `at_ms` are UTC; `duration_ms` counts from the opening. A closed one carries its last figures and
    why it closed.
    """

    id: OpportunityId
    state: State
    pair: PairId
    title: str
    opportunity: Opportunity
    ages_ms: tuple[int, int]
    opened_ms: int
    at_ms: int
    duration_ms: int
    reason: str = ""


class GetPairs(Request[tuple[Pair, ...]], frozen=True, tag=True):
    """The pairs that are scanned, by id: at most `limit`, those after `after`."""

    limit: int
    after: str = ""


class GetScanStatistics(Request["ScanStatistics"], frozen=True, tag=True):
    """Counters since this incarnation began."""


class ScanStatistics(Message, frozen=True, tag=True):
    """`decisions`: hedges evaluated; `rejected`: how often for which reason."""

    books: int
    decisions: int
    opened: int
    rejected: dict[str, int]


Messages = BookUpdated | FeedStatus | GetPairs | GetScanStatistics


def mailbox_key(message: Messages) -> object:
    """What conflates in the scanner's mailbox: the newest book of each outcome, the newest status of each line."""
    return message.outcome if isinstance(message, BookUpdated) else message.key if isinstance(message, FeedStatus) else message


def matters(before: BookUpdated, now: BookUpdated) -> bool:
    """Whether a change of a book can change a decision: a hedge buys at the asks, and of the bids only the best one counts,
    because it shows a crossed book. The deeper bids are half of all changes."""
    return now.packed_asks != before.packed_asks or now.best_bid != before.best_bid or now.trusted is not before.trusted


class _Hedge:
    """One way to hold both sides of a pair, and what is open on it now."""

    __slots__ = ("first", "live", "opened_at", "pair", "second")

    def __init__(self, pair: Pair, first: TopicKey[OutcomeKey, BookUpdated], second: TopicKey[OutcomeKey, BookUpdated]) -> None:
        self.pair = pair
        self.first = first
        self.second = second
        self.live: OpportunityChanged | None = None
        self.opened_at = 0.0


class ArbScanner(Actor[Messages]):
    """Follows the books of all approved pairs and publishes every opportunity's opening, changes and end."""

    batch = 256  # most decisions end at the best prices, after a few microseconds

    def __init__(
        self,
        pairs: tuple[Pair, ...],
        data: MarketData,
        opportunities: Topic[OpportunityId, OpportunityChanged],
        environment: Environment,
    ) -> None:
        self._data = data
        self._opportunities = opportunities
        self._environment = environment
        self._index: dict[OutcomeKey, list[_Hedge]] = {}
        self._connected: dict[LineKey, bool] = {}
        self._open: dict[OpportunityId, _Hedge] = {}
        self._books = self._decisions = self._opened = self._without_edge = 0
        self._rejected: dict[RejectReason, int] = dict.fromkeys(RejectReason, 0)
        self._pairs = sorted(pairs, key=lambda pair: pair.id)
        for pair in pairs:
            for first, second in pair.hedges:
                hedge = _Hedge(pair, data.books.key(first), data.books.key(second))
                self._index.setdefault(first, []).append(hedge)
                self._index.setdefault(second, []).append(hedge)

    async def started(self) -> None:
        self._opportunities.start_over()
        for outcome in self._index:
            self.context.follow_key(self._data.books, outcome, matters)
        self.context.follow(self._data.status)
        self.context.start_task(self._sweep_for_ever)

    async def stopped(self) -> None:
        """Readers outlive this incarnation: what is open ends for them here, and the next one opens it anew."""
        now = self._environment.monotonic()
        for hedge in tuple(self._open.values()):
            if hedge.live is not None:
                self._close(hedge, hedge.live, SCANNER_STOPPED, now)

    async def handle(self, message: Messages) -> object:
        match message:
            case BookUpdated():
                self._look_at(message)
                return None
            case FeedStatus(venue, connected):
                if self._connected.get(message.key) != connected:
                    self._connected[message.key] = connected
                    self._look_again(venue)
                return None
            case GetPairs() | GetScanStatistics():
                return self.answer(message)
            case _:
                assert_never(message)

    def take(self, message: Messages) -> bool:
        """A changed book, as soon as it is told: nearly all end at the best prices, in less time than a task switch takes."""
        if not isinstance(message, BookUpdated):
            return False
        self._look_at(message)
        return True

    def _look_at(self, book: BookUpdated) -> None:
        self._books += 1
        for hedge in self._index.get(book.outcome, ()):
            self._decide(hedge)

    def answer(self, request: Messages) -> object:
        if isinstance(request, GetPairs):
            start = bisect_right(self._pairs, request.after, key=lambda pair: pair.id)
            return tuple(self._pairs[start : start + request.limit])
        if not isinstance(request, GetScanStatistics):
            return NotImplemented
        counts = self._rejected | {RejectReason.NO_EDGE: self._rejected[RejectReason.NO_EDGE] + self._without_edge}
        rejected = {reason.value: count for reason, count in counts.items() if count}
        return ScanStatistics(self._books, self._decisions, self._opened, rejected)

    def _look_again(self, venue: VenueId) -> None:
        for outcome, hedges in self._index.items():
            if outcome.venue == venue:
                for hedge in hedges:
                    self._decide(hedge)

    async def _sweep_for_ever(self) -> None:
        """Silence can end an opportunity too: its book may no longer be fresh."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            for hedge in tuple(self._open.values()):
                self._decide(hedge)

    # -- one decision --

    def _decide(self, hedge: _Hedge) -> None:
        self._decisions += 1
        first, second = hedge.first.newest, hedge.second.newest
        if first is None or second is None:
            self._rejected[RejectReason.NO_BOOK] += 1
            return
        hopeless = without_edge(first.best_ask, second.best_ask)
        if hopeless is NO_EDGE and hedge.live is None:
            self._without_edge += 1
            return
        now = self._environment.monotonic()
        found = hopeless or self._find(first, second, now)
        if found is None:
            self._rejected[RejectReason.NO_BOOK] += 1
            return
        if isinstance(found, Rejected):
            self._rejected[found.reason] += 1
            if hedge.live is not None:
                self._close(hedge, hedge.live, found.reason.value, now)
        else:
            self._tell(hedge, found, (_age_ms(first, now), _age_ms(second, now)), now)

    def _find(self, first: BookUpdated, second: BookUpdated, now: float) -> Opportunity | Rejected | None:
        """The whole search; None while a market is not known."""
        data = self._data
        market_a, market_b = data.markets.get(first.outcome.market_key), data.markets.get(second.outcome.market_key)
        if market_a is None or market_b is None:
            return None
        return find(
            Offer(first.outcome, market_a, first.best_bid, first.asks, data.fresh(first, now)),
            Offer(second.outcome, market_b, second.best_bid, second.asks, data.fresh(second, now)),
        )

    def _tell(self, hedge: _Hedge, found: Opportunity, ages: tuple[int, int], now: float) -> None:
        at_ms = self._environment.unix_ms()
        if hedge.live is None:
            hedge.opened_at = now
            self._opened += 1
            opened = OpportunityChanged(
                OpportunityId(new_id(at_ms, self._environment.random)),
                "opened",
                hedge.pair.id,
                hedge.pair.title,
                found,
                ages,
                at_ms,
                at_ms,
                0,
            )
            self._publish(hedge, opened)
        elif found != hedge.live.opportunity:
            duration = round((now - hedge.opened_at) * 1000)
            self._publish(
                hedge,
                msgspec.structs.replace(hedge.live, state="updated", opportunity=found, ages_ms=ages, at_ms=at_ms, duration_ms=duration),
            )

    def _publish(self, hedge: _Hedge, change: OpportunityChanged) -> None:
        hedge.live = change
        self._open[change.id] = hedge
        self._opportunities.publish(change.id, change)

    def _close(self, hedge: _Hedge, live: OpportunityChanged, reason: str, now: float) -> None:
        hedge.live = None
        del self._open[live.id]
        closed = msgspec.structs.replace(
            live,
            state="closed",
            at_ms=self._environment.unix_ms(),
            duration_ms=round((now - hedge.opened_at) * 1000),
            reason=reason,
        )
        self._opportunities.publish_passing(live.id, closed)


def _age_ms(book: BookUpdated, now: float) -> int:
    return max(0, round((now - book.changed_at) * 1000))
