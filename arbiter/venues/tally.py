"""What a connector counts, and its one word a minute in the log about frames that make no sense."""

import structlog

from arbiter.venues.base import Surroundings

LOG_SECONDS = 60.0
SHOWN_BYTES = 200


class Tally:
    """The counters of one connector since the start. Plain attributes: some are raised with every frame."""

    def __init__(self, venue: str, surroundings: Surroundings) -> None:
        self.frames = 0
        self.unknown_events = 0
        self.malformed_frames = 0
        self.gaps = 0
        self.connections = 0
        self.unreadable_markets = 0
        """Markets of the catalogue whose fields were not what the API promises; left out."""
        self.resubscribed = 0
        """Outcomes that were subscribed anew because their book did not come."""
        self._monotonic = surroundings.monotonic
        self._logged_at = float("-inf")
        self._log = structlog.get_logger(venue=venue)

    def malformed(self, frame: bytes, problem: str) -> None:
        """Count a malformed frame; at most once a minute also say so, so that a noisy peer cannot fill the log."""
        self.malformed_frames += 1
        if self._monotonic() - self._logged_at >= LOG_SECONDS:
            self._logged_at = self._monotonic()
            self._log.warning("malformed frame", problem=problem[:SHOWN_BYTES], frame=frame[:SHOWN_BYTES])

    def statistics(self) -> dict[str, int]:
        """As `Venue.statistics` promises, and this package's own two."""
        names = ("frames", "unknown_events", "malformed_frames", "gaps", "connections", "unreadable_markets", "resubscribed")
        return {name: getattr(self, name) for name in names}
