"""What happens in the sandbox: which markets exist, which are the same, and how their books move over time.

A world knows nothing of wire formats. The venue engines list its markets and carry its changes to whoever
subscribed. Two worlds exist: `generated.py` (seeded, endless) and `recording.py` (played from a file).
"""

from typing import Protocol

from arbiter.domain.book import BookSnapshot, LevelChange, PublicTrade
from arbiter.domain.market import Market
from arbiter.domain.pair import Pair

WorldEvent = BookSnapshot | LevelChange | PublicTrade
"""Always on a market's YES outcome, sizes absolute (`signed` False). The NO book is its mirror: an engine derives it."""


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
