"""What a connector counts, and its one word a minute in the log for each kind of input that makes no sense."""

from enum import StrEnum

import structlog

from arbiter.venues.base import Surroundings

LOG_SECONDS = 60.0
SHOWN_BYTES = 200
MOST_NAMES = 50
"""Names of unknown events that are counted each by itself."""


class BadInput(StrEnum):
    """The kinds of what a peer should not send. Each is a counter in `Tally.statistics`."""

    MALFORMED_FRAME = "malformed_frames"
    """A whole message that is not what the venue's API promises."""
    BROKEN_FRAMES = "broken_frames"
    """Bytes that are no WebSocket frames, or break its rules."""
    LARGE_MESSAGE = "large_messages"
    """A message beyond the bound, as it came or inflated."""
    HALF_FRAME = "half_frames"
    """The connection ended within a frame or a message."""
    NO_UPGRADE = "refused_upgrades"
    """An answer to the upgrade that is none: a refusal, HTML, garbage."""
    SLOW_UPGRADE = "slow_upgrades"
    """No answer to the upgrade in time, though it may come byte by byte."""
    UNANSWERED = "unanswered_requests"
    """A request whose answer did not come, broke off, or did not end in time."""
    LARGE_ANSWER = "large_answers"
    """An answer beyond the bound, as it came or inflated."""
    REFUSED_REQUEST = "refused_requests"
    """An answer that says to try later: too many requests (429), not available (5xx)."""
    UNREADABLE_ANSWER = "unreadable_answers"
    """An answer whose body is HTML, garbage, or not what the API promises."""


_LOGGED = {kind: kind.name.lower().replace("_", " ") for kind in BadInput}


class Tally:
    """The counters of one connector since the start. Plain attributes: some are raised with every frame."""

    def __init__(self, venue: str, surroundings: Surroundings) -> None:
        self.frames = 0
        self.unknown_events = 0
        self._unknown_names: dict[str, int] = {}
        """How often each of them came, by what the venue calls it."""
        self.gaps = 0
        self.connections = 0
        self.unreadable_markets = 0
        """Markets of the catalogue whose fields were not what the API promises; left out."""
        self.resubscribed = 0
        """Outcomes that were subscribed anew because their book did not come."""
        self.crossed_books = 0
        """Books that stayed crossed and were fetched anew."""
        self.refused_subscriptions = 0
        self.bad = dict.fromkeys(BadInput, 0)
        self._monotonic = surroundings.monotonic
        self._logged_at: dict[BadInput, float] = {}
        self._refused_at = float("-inf")
        self._log = structlog.get_logger(venue=venue)

    def unknown(self, name: str) -> None:
        """Count an event, or a value in it, that we do not know."""
        self.unknown_events += 1
        if name in self._unknown_names or len(self._unknown_names) < MOST_NAMES:
            self._unknown_names[name] = self._unknown_names.get(name, 0) + 1

    def refused(self, problem: str) -> None:
        """Count a subscription that the venue refused, and say which, at most once a minute."""
        self.refused_subscriptions += 1
        now = self._monotonic()
        if now - self._refused_at >= LOG_SECONDS:
            self._refused_at = now
            self._log.warning("subscription refused", problem=problem[:SHOWN_BYTES], count=self.refused_subscriptions)

    def malformed(self, frame: bytes, problem: str) -> None:
        """Count a malformed frame."""
        self.count(BadInput.MALFORMED_FRAME, problem, frame=frame[:SHOWN_BYTES])

    def count(self, kind: BadInput, problem: str, **more: object) -> None:
        """Count it; at most once a minute for each kind also say so, so that a noisy peer cannot fill the log."""
        self.bad[kind] += 1
        now = self._monotonic()
        if now - self._logged_at.get(kind, float("-inf")) >= LOG_SECONDS:
            self._logged_at[kind] = now
            self._log.warning(_LOGGED[kind], problem=problem[:SHOWN_BYTES], count=self.bad[kind], **more)

    def statistics(self) -> dict[str, int]:
        """As `Venue.statistics` promises, this package's own two, and every kind of bad input."""
        names = ("frames", "unknown_events", "gaps", "connections", "unreadable_markets", "resubscribed", "crossed_books")
        counted = {name: getattr(self, name) for name in names} | {"refused_subscriptions": self.refused_subscriptions}
        unknown = {f"unknown {name}": count for name, count in self._unknown_names.items()}
        return counted | {kind.value: count for kind, count in self.bad.items()} | unknown
