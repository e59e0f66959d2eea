"""The `Venue` protocol, market-data side, and the `Network` seam below it.

Actors know venues only by this file. Differences between venues are capabilities stated as data.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import NoReturn, Protocol

import msgspec
import trio

from arbiter.domain.book import MarketEvent
from arbiter.domain.ids import VenueId
from arbiter.domain.market import Market

Emit = Callable[[MarketEvent], None]
"""Takes one event, at once and without waiting. Called in the order in which the venue sent the events."""


class Capabilities(msgspec.Struct, frozen=True):
    """What callers must know about a venue without asking which one it is."""

    nets_outcomes: bool
    """Holding YES and NO of one market nets (Kalshi) or stays gross until merged (Polymarket)."""
    sequenced: bool
    """The book stream carries sequence numbers, so that a gap is seen at once."""


class Venue(Protocol):
    """One venue's market data. Implementations hold no books and make no decisions."""

    name: VenueId
    capabilities: Capabilities

    async def catalogue(self) -> list[Market]:
        """All open binary markets the settings select, paged through. Raises VenueUnavailable, VenueRejected."""

    async def stream_books(self, markets: Sequence[Market], emit: Emit) -> NoReturn:
        """Connect, subscribe, and emit events until the connection is lost.

        The first event of each outcome is a snapshot. Where there are several connections, emits Connected for each, so
        that the life of one proves nothing for the books of another. Emits ProofOfLife whenever the peer proved to be
        alive by something that is no event itself (all but Connected and BooksInvalid are such proof), and BooksInvalid
        before anything that makes books untrustworthy. Raises VenueUnavailable when the connection
        ends for any reason; the caller reconnects with backoff. Unknown frames are counted, never raised.
        """

    def statistics(self) -> dict[str, int]:
        """Counters since the start: `frames`, `unknown_events`, `malformed_frames`, `gaps`, `connections`."""


class Surroundings(Protocol):
    """Clock and chance as a connector may know them; the runtime's `Environment` is one."""

    @property
    def unix_ms(self) -> Callable[[], int]:
        """UTC in milliseconds."""

    @property
    def monotonic(self) -> Callable[[], float]:
        """Seconds for durations and deadlines."""

    @property
    def random(self) -> Random:
        """For jitter and sampling."""


class Network(Protocol):
    """Where byte streams come from: sockets in the program, memory in simulations."""

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """A connected byte stream. Raises OSError as sockets do."""
