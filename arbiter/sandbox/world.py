"""What happens in the sandbox: which markets exist, which are the same, and how their books move over time.

A world knows nothing of wire formats. The venue engines list its markets and carry its changes to whoever
subscribed. Two worlds exist: `generated.py` (seeded, endless) and `recording.py` (played from a file).
"""

from enum import Enum
from typing import Literal, Protocol

import msgspec

from arbiter.domain.book import BookSnapshot, LevelChange, PublicTrade
from arbiter.domain.ids import MarketKey, VenueId
from arbiter.domain.market import FeeSchedule, Market, MarketStatus, TickRange
from arbiter.domain.money import Micros
from arbiter.domain.pair import Pair


class Stage(Enum):
    """Where a market stands in its life: finer than the domain's status, since a settlement takes steps."""

    UPCOMING = "upcoming"
    ACTIVE = "active"
    PAUSED = "paused"
    CLOSED = "closed"
    DETERMINED = "determined"
    DISPUTED = "disputed"
    SETTLED = "settled"


STAGE_OF = {
    MarketStatus.UPCOMING: Stage.UPCOMING,
    MarketStatus.OPEN: Stage.ACTIVE,
    MarketStatus.PAUSED: Stage.PAUSED,
    MarketStatus.CLOSED: Stage.CLOSED,
    MarketStatus.RESOLVED: Stage.SETTLED,
}
"""What a world's market begins with."""


class Details(msgspec.Struct, frozen=True):
    """What one venue lists beside what all have. The defaults are those of a plain market.

    `group`: what tells the market apart inside its event. `exclusive`: at most one of the event's markets can be YES
    (Polymarket: neg-risk). `generation`: of Polymarket's outcome ids. `source`: who settles it. `shard`: Kalshi's
    `exchange_index`. `collection`, `legs`: of a combo.
    """

    group: str = ""
    exclusive: bool = False
    generation: Literal["v1", "v2"] = "v1"
    source: str = ""
    tags: tuple[str, ...] = ()
    shard: int = 0
    collection: str = ""
    legs: tuple[str, ...] = ()


PLAIN = Details()


class StageChanged(msgspec.Struct, frozen=True, tag=True):
    """A market goes on in its life. From DETERMINED on `yes_pays` says what one YES pays; `void`: everybody gets that back."""

    market: MarketKey
    stage: Stage
    yes_pays: Micros | None = None
    void: bool = False


class TicksChanged(msgspec.Struct, frozen=True, tag=True):
    """A market's price grid is another from now on."""

    market: MarketKey
    ticks: tuple[TickRange, ...]


class Listed(msgspec.Struct, frozen=True, tag=True):
    """A market that was not there before; the snapshot of its book follows."""

    listing: Market
    details: Details = PLAIN

    @property
    def market(self) -> MarketKey:
        return self.listing.key


class FeesChanged(msgspec.Struct, frozen=True, tag=True):
    """The fees of this market's event are others from now on than its series'."""

    market: MarketKey
    fees: FeeSchedule


BookEvent = BookSnapshot | LevelChange | PublicTrade
"""Always on a market's YES outcome, sizes absolute (`signed` False). The NO book is its mirror: an engine derives it."""
LifeEvent = StageChanged | TicksChanged | Listed | FeesChanged
WorldEvent = BookEvent | LifeEvent


def venue_of(event: WorldEvent) -> VenueId:
    """Where it happened."""
    return event.market.venue if isinstance(event, LifeEvent) else event.outcome.venue


class World(Protocol):
    """A source of markets and of what happens to their books."""

    markets: tuple[Market, ...]
    """Every market of both venues."""
    pairs: tuple[Pair, ...]
    """The pairs a person has approved in advance."""
    sample_interval_ms: int | None
    """For a recording: the longest regular distance of its samples, which is what freshness can mean there. None: live."""

    def advance(self, now_ms: int) -> list[WorldEvent]:
        """Everything that happened since the last call up to `now_ms` (Unix ms), in order.

        The first call returns a BookSnapshot of every market's YES outcome first.
        """
