"""What the connector counts, and its one word a minute in the log for each kind of bad input."""

from collections import Counter

import structlog

from arbiter.venues.base import Surroundings

LOG_SECONDS = 60.0
SHOWN_BYTES = 200
MOST_NAMES = 50
"""Names of unknown events that are counted each; the peer chooses them."""
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


class Counters:
    """Since the start. Plain attributes: some are raised with every frame."""

    def __init__(self, venue: str, surroundings: Surroundings) -> None:
        self.frames = 0
        self.connections = 0
        self.unreadable_markets = 0
        """Markets of the catalogue whose fields were not what the API promises; left out."""
        self.strange_tokens = 0
        """Events of tokens that nobody follows: what was on its way when they were dropped."""
        self.resubscribed = 0
        """Tokens that were subscribed anew, because their book did not come or could not be trusted."""
        self.crossed = 0
        self.contradicted = 0
        """Books whose best prices were not, for too long, what the venue says they are."""
        self.compared = 0
        """Books that REST was asked for."""
        self.stalled = 0
        """Tokens and sockets that fell silent while REST had another book."""
        self.hash_mismatches = 0
        self.hash_false_alarms = 0
        """Of these, books that REST nevertheless had just so."""
        self.oldest_proof_ms = 0
        self.late_proofs = 0
        """Trusted books whose last proof is older than the limit of freshness, at the last look."""
        self._malformed: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._monotonic = surroundings.monotonic
        self._logged_at: dict[str, float] = {}
        self._log = structlog.get_logger(venue=venue)

    def malformed(self, kind: str, problem: str, frame: bytes = b"") -> None:
        """Count what makes no sense, and say so unless that kind was logged within the minute, so that a noisy peer cannot fill the log.

        Kinds are a few words of ours.
        """
        self._malformed[kind] += 1
        now = self._monotonic()
        if now - self._logged_at.get(kind, float("-inf")) >= LOG_SECONDS:
            self._logged_at[kind] = now
            shown = frame[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
            self._log.warning("malformed frame", kind=kind, problem=problem[:SHOWN_BYTES], frame=shown, so_far=self._malformed[kind])

    def unknown_event(self, name: str) -> None:
        """Count an event that nobody knows, by its name."""
        if not name or len(name) > 40 or not _NAME_CHARACTERS.issuperset(name):
            name = "odd_name"
        elif name not in self._unknown and len(self._unknown) >= MOST_NAMES:
            name = "others"
        self._unknown[name] += 1

    def statistics(self) -> dict[str, int]:
        """As `Venue.statistics` promises, and this venue's own. Polymarket numbers nothing, so no gap can be seen: a stall is one."""
        own = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {
            **own,
            "gaps": self.stalled,
            "malformed_frames": self._malformed.total(),
            "unknown_events": self._unknown.total(),
            **{f"malformed_{kind}": count for kind, count in self._malformed.items()},
            **{f"unknown_event_{name}": count for name, count in self._unknown.items()},
        }
