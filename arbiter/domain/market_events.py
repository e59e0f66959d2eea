"""What a venue's connector tells beside the books themselves: their life and death, and what happens to markets.

Venues say these things in their own words; a connector turns them into these. Changes of books are no events: they are
written into the books (`arbiter/domain/book.py`).
"""

from datetime import datetime

import msgspec

from arbiter.domain.book import PublicTrade
from arbiter.domain.ids import MarketId, MarketKey, OutcomeKey, VenueId
from arbiter.domain.market import FeeSchedule, MarketStatus, Resolution, TickRange
from arbiter.domain.money import Micros


class Connected(msgspec.Struct, frozen=True, tag=True):
    """A line (one of the venue's connections, numbered from 0) is up, and these outcomes' books come over it from now on.

    Told again with more outcomes when a line takes on more.
    """

    venue: VenueId
    line: int
    outcomes: tuple[OutcomeKey, ...]


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """The line is lost, and with it the books that came over it; the connector is already trying again."""

    venue: VenueId
    line: int
    reason: str


class BooksInvalid(msgspec.Struct, frozen=True, tag=True):
    """A gap, a stall, a change that cannot be: these outcomes' books cannot be trusted until their next snapshot."""

    reason: str
    outcomes: tuple[OutcomeKey, ...]


class GridChanged(msgspec.Struct, frozen=True, tag=True):
    """The market has another price grid. Whether its books go with it the connector says by BooksInvalid."""

    market: MarketKey
    ticks: tuple[TickRange, ...]


class FeesChanged(msgspec.Struct, frozen=True, tag=True):
    """The market has another fee schedule; None: one that we cannot compute, so no trade."""

    market: MarketKey
    fees: FeeSchedule | None


class StatusChanged(msgspec.Struct, frozen=True, tag=True):
    """The market opened, paused, closed, or moved its closing time. None: as it was."""

    market: MarketKey
    status: MarketStatus | None
    closes_at: datetime | None = None
    venue_ms: int = 0


class MarketListed(msgspec.Struct, frozen=True, tag=True):
    """A market appeared, or changed in ways the event does not spell out: read it from the catalogue."""

    venue: VenueId
    market: MarketId


class MarketResolved(msgspec.Struct, frozen=True, tag=True):
    """The venue says how the market came out. It may say so more than once, and not finally."""

    market: MarketKey
    resolution: Resolution


class Ticker(msgspec.Struct, frozen=True, tag=True):
    """What the venue says of a market as a whole. Prices are of YES; micros of a dollar, volume in shares; None: not said."""

    market: MarketKey
    best_bid: Micros | None = None
    best_ask: Micros | None = None
    last_price: Micros | None = None
    volume: Micros | None = None
    open_interest: Micros | None = None
    venue_ms: int = 0


MarketEvent = (
    Connected
    | Disconnected
    | BooksInvalid
    | GridChanged
    | FeesChanged
    | StatusChanged
    | MarketListed
    | MarketResolved
    | PublicTrade
    | Ticker
)
