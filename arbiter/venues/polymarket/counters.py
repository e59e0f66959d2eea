"""What the connector counts beyond what every one does, and its one word a minute in the log for each kind of odd frame."""

from collections import Counter

import structlog

from arbiter.venues.base import Surroundings
from arbiter.venues.tally import LOG_SECONDS, SHOWN_BYTES, BadInput, Tally

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_OWN = (
    *("strange_tokens", "contradicted", "compared", "stalled", "hash_mismatches", "hash_false_alarms"),
    *("oldest_proof_ms", "late_proofs", "false_doubts"),
)


class Counters(Tally):
    """Since the start. Polymarket numbers nothing, so no gap can be seen: a stall is one."""

    def __init__(self, venue: str, surroundings: Surroundings) -> None:
        super().__init__(venue, surroundings)
        self.strange_tokens = 0
        """Events of tokens that nobody follows: what was on its way when they were dropped."""
        self.contradicted = 0
        """Books whose best prices were not, for too long, what the venue says they are."""
        self.false_doubts = 0
        """Contradictions of which REST said that the book was right."""
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
        self._kinds: Counter[str] = Counter()
        self._kind_logged_at: dict[str, float] = {}
        self._kind_log = structlog.get_logger(venue=venue)
        self._now = surroundings.monotonic

    def odd(self, kind: str, problem: str, frame: bytes = b"") -> None:
        """Count what makes no sense, and say so unless that kind was logged within the minute. Kinds are a few words of ours."""
        self.bad[BadInput.MALFORMED_FRAME] += 1
        self._kinds[kind] += 1
        now = self._now()
        if now - self._kind_logged_at.get(kind, float("-inf")) >= LOG_SECONDS:
            self._kind_logged_at[kind] = now
            shown = frame[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
            self._kind_log.warning("malformed frame", kind=kind, problem=problem[:SHOWN_BYTES], frame=shown, count=self._kinds[kind])

    def unknown(self, name: str) -> None:
        """Count an event that nobody knows; its name is the peer's word."""
        plain = name and len(name) <= 40 and _NAME_CHARACTERS.issuperset(name)
        super().unknown(name if plain else "odd_name")

    def statistics(self) -> dict[str, int]:
        """As `Venue.statistics` promises, and this venue's own."""
        self.gaps = self.stalled
        own = {name: getattr(self, name) for name in _OWN}
        return super().statistics() | own | {f"malformed {kind}": count for kind, count in self._kinds.items()}
